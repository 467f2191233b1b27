#include "nomiqon/wallet/identity.h"

#include <sodium.h>
#include <algorithm>
#include <optional>

#include "nomiqon/core/encoding.h"
#include "nomiqon/core/sodium.h"

namespace nomiqon::wallet {
namespace {

std::optional<Caid> parse_key(std::string_view text) {
    if (text.starts_with("caid_")) return Caid::parse(text);
    PublicKey key{};
    const auto bytes = base58_decode(text, key.size());
    if (!bytes || bytes->size() != key.size()) return std::nullopt;
    std::ranges::copy(*bytes, key.begin());
    return Caid{key};
}

}  // namespace

bool is_registrable_key(const PublicKey& key) {
    ensure_sodium();
    // Canonical, on the curve, in the prime-order subgroup, not of small order: libsodium asks for all four.
    return crypto_core_ed25519_is_valid_point(key.data()) == 1;
}

std::expected<Caid, std::string> parse_registrable(std::string_view text) {
    auto caid = parse_key(text);
    if (!caid) return std::unexpected("publicKey must be a CAID, or the base58 of 32 bytes");
    if (!is_registrable_key(caid->public_key())) {
        return std::unexpected(
            "publicKey is no Ed25519 key of the prime-order subgroup; make a fresh key pair");
    }
    return std::move(*caid);
}

}  // namespace nomiqon::wallet
