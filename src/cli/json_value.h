#pragma once

#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "failure.h"

namespace nomiqon::cli {

/// Keeps the order of members, so that what the API wrote is shown as it wrote it.
using Json = nlohmann::ordered_json;

/// Strict JSON (core/strict_json.h) whose members keep their order; `what` names the document in the error.
[[nodiscard]] Outcome<Json> parse_json(std::string_view text, std::string_view what);

/// The value at a path of members; null where one is missing.
[[nodiscard]] const Json& at(const Json& value, std::initializer_list<std::string_view> path);
/// The same as text: strings as they are, other values as JSON writes them, nothing for null.
[[nodiscard]] std::string text_at(const Json& value, std::initializer_list<std::string_view> path);

/// Indented; what is no UTF-8 is replaced.
[[nodiscard]] std::string pretty(const Json& value);

}  // namespace nomiqon::cli
