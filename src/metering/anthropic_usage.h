#pragma once

#include <memory>
#include <set>
#include <string>

#include "usage_reader.h"

namespace nomiqon::metering {

/// What the request fixed for reading the use.
struct AnthropicAsked {
    bool fast = false;  ///< where the answer doesn't say at what speed it was served
    /// Tools whose calls the route gives a fee for, beside the price book's `web_search`.
    std::set<std::string, std::less<>> paid_tools{};
};

[[nodiscard]] std::unique_ptr<UsageReader> make_anthropic_reader(AnthropicAsked asked);

/// An error event of the Messages API.
[[nodiscard]] std::string anthropic_error_event(std::string_view code, std::string_view message,
                                                std::string_view request_id);

}  // namespace nomiqon::metering
