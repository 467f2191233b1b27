#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace nomiqon::metering {

/// Tokens of a text (valid UTF-8), at most: one for each byte that the tokenizer sees, which may normalise it
/// first.
[[nodiscard]] std::int64_t text_tokens(std::string_view text);
/// Of a JSON value with its names and marks. `escaped`: the model reads it as JSON, in which escapes are
/// text.
[[nodiscard]] std::int64_t json_tokens(const nlohmann::json& value, bool escaped);

}  // namespace nomiqon::metering
