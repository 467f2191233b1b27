#pragma once

#include "nomiqon/metering/meter.h"

namespace nomiqon::metering {

// Searches that are sold by the call, and GET charges for (rule 1).

/// api.search.brave.com.
[[nodiscard]] const Meter& brave_meter();
/// api.bing.microsoft.com.
[[nodiscard]] const Meter& bing_meter();
/// serpapi.com.
[[nodiscard]] const Meter& serpapi_meter();

}  // namespace nomiqon::metering
