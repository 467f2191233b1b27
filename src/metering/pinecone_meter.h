#pragma once

#include "nomiqon/metering/meter.h"

namespace nomiqon::metering {

/// Pinecone's control plane and inference (api.pinecone.io) and its indexes (*.pinecone.io).
[[nodiscard]] const Meter& pinecone_meter();

}  // namespace nomiqon::metering
