#pragma once

#include <optional>
#include <string>
#include <string_view>

// How a request's path is compared with an entry's `paths`. The provider reads the path after us, with a
// parser that we don't know: what two of them could read differently fits no entry of an allowlist, and every
// entry of a blocklist.

namespace nomiqon::policy {

/// `path` in the one spelling in which paths are compared: unreserved characters not encoded, everything else
/// that is encoded in upper-case hex (RFC 3986 section 6.2.2). Nothing where readers differ: `.`, `..` and
/// empty segments (but for the last, empty one), `\` and `;`, encoded separators, control characters and `%`,
/// wrong UTF-8, a `%` without two digits.
[[nodiscard]] std::optional<std::string> plain_path(std::string_view path);

/// Of a plain path, what a blocklist compares: a provider that decodes all, and doesn't mind case, reads no
/// other one in it.
[[nodiscard]] std::string folded_path(std::string_view plain);
/// Without the slashes at its end.
[[nodiscard]] std::string_view without_trailing_slash(std::string_view path);

}  // namespace nomiqon::policy
