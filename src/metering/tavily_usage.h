#pragma once

#include <memory>

#include "usage_reader.h"

namespace nomiqon::metering {

/// The credits that Tavily's answers tell.
[[nodiscard]] std::unique_ptr<UsageReader> make_tavily_reader();

}  // namespace nomiqon::metering
