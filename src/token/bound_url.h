#pragma once

#include <optional>
#include <string_view>

#include "nomiqon/token/spend_token.h"

namespace nomiqon::token {

/// Reads a `htu`: an absolute `http` or `https` URL (RFC 3986) without user, query or fragment; `nullopt` for
/// any other text.
[[nodiscard]] std::optional<BoundUrl> parse_bound_url(std::string_view text);

}  // namespace nomiqon::token
