#pragma once

#include <memory>

#include "usage_reader.h"

namespace nomiqon::metering {

/// Whether a search of SerpApi's counts.
[[nodiscard]] std::unique_ptr<UsageReader> make_serpapi_reader();

}  // namespace nomiqon::metering
