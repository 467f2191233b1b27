#include "nomiqon/core/caid.h"

#include <algorithm>

#include "nomiqon/core/encoding.h"

namespace nomiqon {
namespace {

constexpr std::string_view prefix = "caid_";

}  // namespace

Caid::Caid(const PublicKey& key) : key_(key), text_(std::string{prefix} + base58_encode(key)) {}

std::optional<Caid> Caid::parse(std::string_view text) {
    if (!text.starts_with(prefix)) return std::nullopt;
    PublicKey key{};
    const auto bytes = base58_decode(text.substr(prefix.size()), key.size());
    if (!bytes || bytes->size() != key.size()) return std::nullopt;
    std::ranges::copy(*bytes, key.begin());
    // Base58 spells each byte string in one way only, so that `text` is what the other constructor makes.
    return Caid{key, std::string{text}};
}

}  // namespace nomiqon
