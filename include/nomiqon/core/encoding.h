#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nomiqon {

using Bytes = std::vector<std::uint8_t>;

/// Base58 with the Bitcoin alphabet, as Solana and the CAID use it. Leading zero bytes are leading '1's.
[[nodiscard]] std::string base58_encode(std::span<const std::uint8_t> bytes);
/// `nullopt` for a foreign character or more than `max_bytes` of result (the cost grows with the square of
/// the length).
[[nodiscard]] std::optional<Bytes> base58_decode(std::string_view text, std::size_t max_bytes = 64);

/// Unpadded base64url (RFC 4648 section 5). Decoding is strict: no padding, no foreign character, unused bits
/// zero.
[[nodiscard]] std::string base64url_encode(std::span<const std::uint8_t> bytes);
[[nodiscard]] std::optional<std::string> base64url_decode(std::string_view text);

/// Standard base64 with optional padding, as HTTP Basic credentials use it (RFC 7617).
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);
[[nodiscard]] std::string base64_encode(std::string_view bytes);

[[nodiscard]] std::string hex_encode(std::span<const std::uint8_t> bytes);
[[nodiscard]] std::optional<Bytes> hex_decode(std::string_view text);

/// SHA-256 of `data`, in lower-case hexadecimal.
[[nodiscard]] std::string sha256_hex(std::string_view data);

/// Whether `text` is well-formed UTF-8: no overlong form, no surrogate, nothing above U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

}  // namespace nomiqon
