#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "nomiqon/core/caid.h"

namespace nomiqon::wallet {

/// Whether a key may be registered: the canonical encoding of a point of Ed25519's prime-order subgroup.
/// Small and mixed order, points off the curve and non-canonical encodings are refused.
[[nodiscard]] bool is_registrable_key(const PublicKey& key);

/// Reads a `publicKey` of the API: base58 of 32 bytes, or a CAID; and checks that it may be registered. The
/// error is a sentence for the caller.
[[nodiscard]] std::expected<Caid, std::string> parse_registrable(std::string_view text);

}  // namespace nomiqon::wallet
