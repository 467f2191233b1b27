#pragma once

#include <cstddef>
#include <expected>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace nomiqon {

struct JsonProblem {
    /// What is wrong, for a person. Quotes nothing of the text, which may hold secrets.
    std::string message;
    /// Where, as a JSON pointer (RFC 6901), when it is inside a document that could be read.
    std::string pointer{};
    std::size_t line = 0;    ///< 1-based place in the text, 0 when unknown
    std::size_t column = 0;  ///< 1-based, in bytes
};

struct JsonLimits {
    std::size_t max_depth = 64;
    /// Of all kinds, nested ones included: a document takes up to fifty times the memory of its text.
    std::size_t max_values = std::numeric_limits<std::size_t>::max();
    bool allow_comments = false;  ///< // and /* */, for the configuration only
};

/// Reads JSON (RFC 8259) that two parsers can't read differently: valid UTF-8 without byte order mark, no
/// repeated member, no lone surrogate, nothing after the document, nesting within the limit. Integers that
/// fit no 64 bits, and numbers that overflow a double, are refused. Never throws.
[[nodiscard]] std::expected<nlohmann::json, JsonProblem> parse_strict_json(std::string_view text,
                                                                           const JsonLimits& limits = {});

/// `name` as one reference token of a JSON pointer: '~' → "~0", '/' → "~1".
[[nodiscard]] std::string json_pointer_token(std::string_view name);

}  // namespace nomiqon
