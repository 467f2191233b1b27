#pragma once

#include <string>
#include <string_view>

namespace nomiqon::admin {

/// `nmq_` and the base58 of 32 random bytes. A secret: shown once, stored as its SHA-256.
[[nodiscard]] std::string new_api_key();
/// Whether `text` could be a key, so that what can't is not looked up.
[[nodiscard]] bool is_api_key(std::string_view text);

}  // namespace nomiqon::admin
