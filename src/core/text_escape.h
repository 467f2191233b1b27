#pragma once

#include <string>
#include <string_view>

namespace nomiqon {

/// For a line that people read: control characters, Unicode's line separators and direction marks, and bytes
/// that are no UTF-8 become `\n`, `\x1b`, `\u2028`. The rest stays.
[[nodiscard]] std::string escape_for_text(std::string_view text);

/// The same for the inside of a JSON string (RFC 8259 section 7); bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string escape_for_json(std::string_view text);

}  // namespace nomiqon
