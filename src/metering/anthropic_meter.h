#pragma once

#include "nomiqon/metering/meter.h"

namespace nomiqon::metering {

/// The Messages API of api.anthropic.com.
[[nodiscard]] const Meter& anthropic_meter();

}  // namespace nomiqon::metering
