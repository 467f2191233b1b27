#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>

namespace nomiqon::token {

/// What the profile's members hold: text with its escapes decoded, or an integer without fraction or
/// exponent.
using FlatValue = std::variant<std::string, std::int64_t>;

/// Called for each member in order; false refuses the object. A repeated member is the caller's to notice: it
/// knows the few names there may be.
using FlatMember = std::function<bool(std::string_view name, FlatValue value)>;

/// Reads one JSON object (RFC 8259) of nothing but strings and integers of 64 bits, as the header and the
/// claims of a token are. Strict: valid UTF-8, no byte order mark, comment, lone surrogate, trailing comma or
/// text behind it. Nested values are refused unread, so depth costs nothing. False when the text is anything
/// else or `member` refused.
[[nodiscard]] bool read_flat_object(std::string_view text, const FlatMember& member);

}  // namespace nomiqon::token
