#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "api.h"

// Reads what callers send. Each function answers a value or a validation_error with its pointer.
namespace nomiqon::admin {

/// `%XX` and, in a query, `+`, undone. Nothing for a broken escape, text that is not UTF-8, or U+0000, which
/// PostgreSQL can't store.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

/// `names` as in Route::query.
[[nodiscard]] Result<Query> read_query(std::string_view text, std::string_view names);
/// A JSON object whose members are all in `names` (as in Route::members). No body is an empty object.
[[nodiscard]] Result<json> read_body(std::string_view text, std::string_view names);

struct TextRule {
    std::size_t min = 1;  ///< characters
    std::size_t max = 64;
};
/// A string member without control characters; nothing when it is absent or null.
[[nodiscard]] Result<std::optional<std::string>> read_text(const json& body, std::string_view name,
                                                           TextRule rule);
[[nodiscard]] Result<std::string> require_text(const json& body, std::string_view name, TextRule rule);

/// The `metadata` of a body; an update may hold nulls, which remove.
enum class Nulls : std::uint8_t { drop, keep };
[[nodiscard]] Result<json> read_metadata(const json& body, Nulls nulls);

/// Adds the query's `from` and `to` to the arguments as instants: `from` is the first, `to` the first one
/// after. A date as `from` is its beginning, as `to` its end.
[[nodiscard]] Result<void> read_range(const Query& query, json& arguments);

/// A query parameter that must be an id of kind `Id`, or nothing.
template <class Id>
[[nodiscard]] Result<std::optional<std::string>> read_id(const Query& query, std::string_view name) {
    const auto found = query.find(name);
    if (found == query.end()) return std::nullopt;
    if (!Id::parse(found->second)) {
        return std::unexpected(validation_error("this is no id of that kind", '/' + std::string{name}));
    }
    return found->second;
}

}  // namespace nomiqon::admin
