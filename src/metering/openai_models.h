#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace nomiqon::metering {

/// The most tokens that a model of OpenAI's reads of one picture; `large`: one that it may not make smaller.
/// Nothing: not known.
[[nodiscard]] std::optional<std::int64_t> picture_tokens_read(std::string_view model, bool large);

/// The most tokens that a model of OpenAI's writes for one picture of `size` (`1024x1024`) and `quality`;
/// either may be `auto`, or empty. Nothing: not known.
[[nodiscard]] std::optional<std::int64_t> picture_tokens_written(std::string_view model,
                                                                 std::string_view size,
                                                                 std::string_view quality);

/// Models that search the web for every chat completion.
[[nodiscard]] bool searches_always(std::string_view model);

/// A model's name without what leads it (`ft:`, `openai/`, a region) and the date behind it.
[[nodiscard]] std::string_view undated(std::string_view model);

}  // namespace nomiqon::metering
