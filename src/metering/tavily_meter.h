#pragma once

#include "nomiqon/metering/meter.h"

namespace nomiqon::metering {

/// api.tavily.com, which sells credits.
[[nodiscard]] const Meter& tavily_meter();

}  // namespace nomiqon::metering
