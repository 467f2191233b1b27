#include "text_escape.h"

#include <array>
#include <cstdint>
#include <cstdio>

#include "nomiqon/core/encoding.h"

namespace nomiqon {
namespace {

/// One character of a text: its bytes, and its code point where they are UTF-8.
struct Character {
    std::string_view bytes;
    std::uint32_t code = 0;
    bool valid = false;
};

std::uint32_t code_of(std::string_view sequence) {
    const auto byte = [&](std::size_t i) {
        return static_cast<std::uint32_t>(static_cast<unsigned char>(sequence[i]));
    };
    if (sequence.size() == 1) return byte(0);
    std::uint32_t code = byte(0) & (0x7fU >> sequence.size());
    for (std::size_t i = 1; i < sequence.size(); ++i)
        code = (code << 6) | (byte(i) & 0x3f);
    return code;
}

Character first_of(std::string_view text) {
    for (std::size_t length = 1; length <= 4 && length <= text.size(); ++length) {
        const std::string_view sequence = text.substr(0, length);
        if (is_utf8(sequence)) return {.bytes = sequence, .code = code_of(sequence), .valid = true};
    }
    return {.bytes = text.substr(0, 1)};
}

/// Ends a line, drives a terminal, or reorders what is shown.
bool is_treacherous(std::uint32_t code) {
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x2028 || code == 0x2029 ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

std::string hexadecimal(const char* format, std::uint32_t value) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), format, value);
    return text.data();
}

}  // namespace

std::string escape_for_text(std::string_view text) {
    std::string escaped;
    escaped.reserve(text.size());
    while (!text.empty()) {
        const Character character = first_of(text);
        text.remove_prefix(character.bytes.size());
        if (!character.valid) {
            escaped += hexadecimal("\\x%02x", static_cast<unsigned char>(character.bytes[0]));
        } else if (!is_treacherous(character.code)) {
            escaped += character.bytes;
        } else if (character.code == '\n') {
            escaped += "\\n";
        } else if (character.code == '\r') {
            escaped += "\\r";
        } else if (character.code == '\t') {
            escaped += "\\t";
        } else {
            escaped += hexadecimal(character.code < 0x80 ? "\\x%02x" : "\\u%04x", character.code);
        }
    }
    return escaped;
}

std::string escape_for_json(std::string_view text) {
    std::string escaped;
    escaped.reserve(text.size());
    while (!text.empty()) {
        const Character character = first_of(text);
        text.remove_prefix(character.bytes.size());
        if (!character.valid) {
            escaped += "\\ufffd";
        } else if (character.code == '"' || character.code == '\\') {
            escaped += '\\';
            escaped += character.bytes;
        } else if (is_treacherous(character.code)) {
            escaped += hexadecimal("\\u%04x", character.code);
        } else {
            escaped += character.bytes;
        }
    }
    return escaped;
}

}  // namespace nomiqon
