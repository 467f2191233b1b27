#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace nomiqon {

/// What somebody who wrote `name` most likely meant, for "did you mean …": the candidate that differs least,
/// letter case, `_`, `-` and `.` not counted. Nothing when none is near.
[[nodiscard]] std::optional<std::string> nearest_name(std::string_view name,
                                                      std::span<const std::string_view> candidates);

/// `name` in backticks for a message to a person: without control characters, cut where it is long, valid
/// UTF-8 if it was.
[[nodiscard]] std::string in_backticks(std::string_view name);

}  // namespace nomiqon
