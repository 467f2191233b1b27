#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace nomiqon::metering {

/// What a Messages request gives the model to read, at most (rule 9).
struct AnthropicInput {
    std::int64_t tokens = 0;
    /// Something in it can't be measured from here (a document, a URL, a file's id): the model's whole
    /// window.
    bool unmeasured = false;
    bool caches = false;       ///< `cache_control` stands somewhere: what is read may be written to the cache
    bool caches_hour = false;  ///< … for an hour
};

/// `body` is the whole request; `model` decides what a picture may cost.
[[nodiscard]] AnthropicInput measure_anthropic_input(const nlohmann::json& body, std::string_view model);

}  // namespace nomiqon::metering
