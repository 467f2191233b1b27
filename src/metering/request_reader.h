#pragma once

#include <expected>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "nomiqon/core/refusal.h"
#include "nomiqon/metering/meter.h"

namespace nomiqon::metering {

/// The value of a field, without spaces around it; empty: it isn't there. The first one, when it is there
/// more than once: `check_fields` refuses those that differ, where we read them.
[[nodiscard]] std::string_view field_value(std::span<const Field> fields, std::string_view name);

/// Headers that change what is asked in a way that nobody authorised (X-HTTP-Method-Override and its kind),
/// and fields that we read and that are there twice with different values (rule 6).
[[nodiscard]] std::expected<void, Refusal> check_fields(std::span<const Field> fields);

/// The request's body with its content coding undone within `limit` (rule 7). Refusals: `bad_request`,
/// `request_too_large`.
[[nodiscard]] std::expected<std::string, Refusal> read_body(const Call& call, std::size_t limit);

/// The request's body as JSON, as any parser must read it (rules 6 and 7): content coding undone within
/// `limit`, valid UTF-8, no repeated member, nothing behind it, and a JSON object. `body` receives the
/// decoded text. Refusals: `bad_request`, `request_too_large`.
[[nodiscard]] std::expected<nlohmann::json, Refusal> read_json_body(const Call& call, std::size_t limit,
                                                                    std::string& body);

/// Refuses what another parser could take for one of `names` in `object`: the same name in another case, or
/// in the other one of camelCase and snake_case (rule 6). Where `names` has both forms, both at once are
/// refused.
[[nodiscard]] std::expected<void, Refusal> check_spelling(const nlohmann::json& object,
                                                          std::span<const std::string_view> names);

/// A limit that the request may give: a non-negative integer, or null, or absent (both: nothing). Else
/// `bad_request`.
[[nodiscard]] std::expected<std::optional<std::int64_t>, Refusal> read_limit(const nlohmann::json& object,
                                                                             std::string_view name);

/// Writes `value` (JSON) as the member `name` of the object that `body` is, at its top level, and leaves
/// every other byte as it was. `body` must be what `read_json_body` took.
void set_member(std::string& body, std::string_view name, std::string_view value);

[[nodiscard]] Refusal bad_request(std::string detail);
[[nodiscard]] Refusal price_unknown(std::string detail);

}  // namespace nomiqon::metering
