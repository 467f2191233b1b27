#pragma once

#include <memory>

#include "usage_reader.h"

namespace nomiqon::metering {

/// The units and tokens that Pinecone's answers tell.
[[nodiscard]] std::unique_ptr<UsageReader> make_pinecone_reader();

}  // namespace nomiqon::metering
