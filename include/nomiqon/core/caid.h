#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace nomiqon {

/// 32 bytes of an Ed25519 public key (RFC 8032), which are also the owner's address on Solana.
using PublicKey = std::array<std::uint8_t, 32>;

/// An agent's identity: `caid_` and the base58 of its public key. Well-formed, which says nothing of its
/// registration nor that the key is a safe point; `is_registrable_key` (wallet/) does.
class Caid {
  public:
    explicit Caid(const PublicKey& key);
    /// With the prefix; exactly 32 bytes, canonical text.
    static std::optional<Caid> parse(std::string_view text);

    [[nodiscard]] const PublicKey& public_key() const { return key_; }
    [[nodiscard]] const std::string& str() const { return text_; }  ///< with the prefix
    [[nodiscard]] std::string_view base58() const { return std::string_view{text_}.substr(5); }

    friend bool operator==(const Caid& a, const Caid& b) { return a.key_ == b.key_; }
    friend auto operator<=>(const Caid& a, const Caid& b) { return a.key_ <=> b.key_; }

  private:
    Caid(const PublicKey& key, std::string text) : key_(key), text_(std::move(text)) {}

    PublicKey key_;
    std::string text_;
};

}  // namespace nomiqon
