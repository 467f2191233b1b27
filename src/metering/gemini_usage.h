#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "usage_reader.h"

namespace nomiqon::metering {

/// What the request fixed for reading the use.
struct GeminiAsked {
    bool embedding = false;  ///< nothing is written
    std::int64_t candidates = 1;
    /// Tools whose calls the route gives a fee for: `google_search`, `code_execution`, …
    std::set<std::string, std::less<>> paid_tools{};
};

[[nodiscard]] std::unique_ptr<UsageReader> make_gemini_reader(GeminiAsked asked);

}  // namespace nomiqon::metering
