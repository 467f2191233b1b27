// Base58 (Bitcoin's alphabet), base64 and base64url (RFC 4648 sections 4 and 5), hexadecimal, UTF-8 (RFC
// 3629).

#include "nomiqon/core/encoding.h"

#include <sodium.h>
#include <algorithm>
#include <array>
#include <cstring>

#include "nomiqon/core/sodium.h"

namespace nomiqon {
namespace {

constexpr std::string_view base58_digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
constexpr std::string_view base64_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view base64url_digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::string_view hex_digits = "0123456789abcdef";

constexpr std::uint8_t foreign = 0xff;
using DigitValues = std::array<std::uint8_t, 256>;

consteval DigitValues values_of(std::string_view digits) {
    DigitValues values{};
    values.fill(foreign);
    for (std::size_t i = 0; i < digits.size(); ++i) {
        values[static_cast<std::uint8_t>(digits[i])] = static_cast<std::uint8_t>(i);
    }
    return values;
}

constexpr DigitValues base58_values = values_of(base58_digits);
constexpr DigitValues base64_values = values_of(base64_digits);
constexpr DigitValues base64url_values = values_of(base64url_digits);

std::uint8_t value_of(const DigitValues& values, char c) {
    return values[static_cast<std::uint8_t>(c)];
}

std::string encode64(std::span<const std::uint8_t> bytes, std::string_view digits) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    std::uint32_t buffer = 0;
    int bits = 0;
    for (const std::uint8_t byte : bytes) {
        buffer = (buffer << 8) | byte;
        for (bits += 8; bits >= 6; bits -= 6)
            text += digits[(buffer >> (bits - 6)) & 63];
    }
    if (bits > 0) text += digits[(buffer << (6 - bits)) & 63];
    return text;
}

std::optional<std::string> decode64(std::string_view text, const DigitValues& values) {
    if (text.size() % 4 == 1) return std::nullopt;
    std::string bytes;
    bytes.reserve(text.size() * 3 / 4);
    std::uint32_t buffer = 0;
    int bits = 0;
    for (const char c : text) {
        const std::uint8_t value = value_of(values, c);
        if (value == foreign) return std::nullopt;
        buffer = (buffer << 6) | value;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes += static_cast<char>((buffer >> bits) & 0xff);
        }
    }
    // Set bits that encode nothing would give one value several spellings (RFC 4648 section 3.5).
    if ((buffer & ((1U << bits) - 1)) != 0) return std::nullopt;
    return bytes;
}

std::optional<std::uint8_t> hex_value(char c) {
    if (c >= '0' && c <= '9') return static_cast<std::uint8_t>(c - '0');
    if (c >= 'a' && c <= 'f') return static_cast<std::uint8_t>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') return static_cast<std::uint8_t>(c - 'A' + 10);
    return std::nullopt;
}

bool is_continuation(unsigned char c) {
    return (c & 0xc0) == 0x80;
}

/// Length of the well-formed sequence at the start of `text`, 0 if there is none (Unicode, table 3-7).
std::size_t utf8_sequence(std::string_view text) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    if (first < 0x80) return 1;
    const std::size_t length = first >= 0xc2 && first <= 0xdf   ? 2
                               : first >= 0xe0 && first <= 0xef ? 3
                               : first >= 0xf0 && first <= 0xf4 ? 4
                                                                : 0;
    if (length == 0 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if (!is_continuation(byte(i))) return 0;
    }
    const unsigned char second = byte(1);
    if (first == 0xe0 && second < 0xa0) return 0;  // overlong
    if (first == 0xed && second > 0x9f) return 0;  // a surrogate
    if (first == 0xf0 && second < 0x90) return 0;  // overlong
    if (first == 0xf4 && second > 0x8f) return 0;  // above U+10FFFF
    return length;
}

}  // namespace

std::string base58_encode(std::span<const std::uint8_t> bytes) {
    const auto first = std::ranges::find_if(bytes, [](std::uint8_t byte) { return byte != 0; });
    const auto zeros = static_cast<std::size_t>(first - bytes.begin());
    Bytes digits;  // of base 58, the least significant first
    digits.reserve(bytes.size() * 138 / 100 + 1);
    for (const std::uint8_t byte : bytes.subspan(zeros)) {
        std::uint32_t carry = byte;
        for (auto& digit : digits) {
            carry += std::uint32_t{digit} << 8;
            digit = static_cast<std::uint8_t>(carry % 58);
            carry /= 58;
        }
        for (; carry > 0; carry /= 58)
            digits.push_back(static_cast<std::uint8_t>(carry % 58));
    }
    std::string text(zeros, base58_digits[0]);
    for (std::size_t i = digits.size(); i-- > 0;)
        text += base58_digits[digits[i]];
    return text;
}

std::optional<Bytes> base58_decode(std::string_view text, std::size_t max_bytes) {
    const std::size_t zeros = std::min(text.find_first_not_of(base58_digits[0]), text.size());
    if (zeros > max_bytes) return std::nullopt;
    const std::size_t room = max_bytes - zeros;
    Bytes bytes;  // the least significant first
    for (const char c : text.substr(zeros)) {
        std::uint32_t carry = value_of(base58_values, c);
        if (carry == foreign) return std::nullopt;
        for (auto& byte : bytes) {
            carry += std::uint32_t{byte} * 58;
            byte = static_cast<std::uint8_t>(carry & 0xff);
            carry >>= 8;
        }
        if (carry > 0) {
            if (bytes.size() == room) return std::nullopt;
            bytes.push_back(static_cast<std::uint8_t>(carry));
        }
    }
    bytes.insert(bytes.end(), zeros, 0);
    std::ranges::reverse(bytes);
    return bytes;
}

std::string base64url_encode(std::span<const std::uint8_t> bytes) {
    return encode64(bytes, base64url_digits);
}

std::optional<std::string> base64url_decode(std::string_view text) {
    return decode64(text, base64url_values);
}

std::optional<std::string> base64_decode(std::string_view text) {
    if (text.ends_with('=')) {
        if (text.size() % 4 != 0) return std::nullopt;
        text.remove_suffix(text.ends_with("==") ? 2 : 1);
    }
    return decode64(text, base64_values);
}

std::string base64_encode(std::string_view bytes) {
    const Bytes copy(bytes.begin(), bytes.end());
    std::string text = encode64(copy, base64_digits);
    text.append((4 - text.size() % 4) % 4, '=');
    return text;
}

std::string hex_encode(std::span<const std::uint8_t> bytes) {
    std::string text;
    text.reserve(bytes.size() * 2);
    for (const std::uint8_t byte : bytes) {
        text += hex_digits[byte >> 4];
        text += hex_digits[byte & 15];
    }
    return text;
}

std::optional<Bytes> hex_decode(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    Bytes bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const auto high = hex_value(text[i]);
        const auto low = hex_value(text[i + 1]);
        if (!high || !low) return std::nullopt;
        bytes.push_back(static_cast<std::uint8_t>((*high << 4) | *low));
    }
    return bytes;
}

std::string sha256_hex(std::string_view data) {
    ensure_sodium();
    std::array<std::uint8_t, crypto_hash_sha256_BYTES> digest{};
    crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(data.data()), data.size());
    return hex_encode(digest);
}

bool is_utf8(std::string_view text) noexcept {
    while (!text.empty()) {
        // Eight bytes of ASCII at a time: nearly all of what arrives.
        std::uint64_t word = 0;
        if (text.size() >= sizeof word) {
            std::memcpy(&word, text.data(), sizeof word);
            if ((word & 0x8080808080808080ULL) == 0) {
                text.remove_prefix(sizeof word);
                continue;
            }
        }
        const std::size_t length = utf8_sequence(text);
        if (length == 0) return false;
        text.remove_prefix(length);
    }
    return true;
}

}  // namespace nomiqon
