#include "plain_path.h"

#include "nomiqon/core/encoding.h"

namespace nomiqon::policy {
namespace {

constexpr std::string_view digits = "0123456789ABCDEF";

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// The byte that `text` spells at `at`, where a `%` stands; nothing if no two digits follow it.
std::optional<unsigned char> encoded_byte(std::string_view text, std::size_t at) {
    if (at + 2 >= text.size()) return std::nullopt;
    const int high = hex_digit(text[at + 1]);
    const int low = hex_digit(text[at + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    return static_cast<unsigned char>(high * 16 + low);
}

bool is_unreserved(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           std::string_view("-._~").contains(static_cast<char>(c));
}

/// Some readers divide at these, others don't: Windows takes `\` for `/`, servlets cut a segment at `;`, and
/// whoever decodes before he divides finds a `?` or a `#` where another one doesn't.
bool divides_for_some(unsigned char c) {
    return std::string_view("\\;?#").contains(static_cast<char>(c));
}

bool is_control(unsigned char c) {
    return c < 0x20 || c == 0x7F;
}

void append_encoded(std::string& text, unsigned char c) {
    text.append(1, '%').append(1, digits[c >> 4U]).append(1, digits[c & 15U]);
}

/// Whether `path`, which begins with a slash, has a segment that some readers drop or climb by.
bool has_odd_segment(std::string_view path) {
    path.remove_prefix(1);
    for (auto slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/')) {
        const auto segment = path.substr(0, slash);
        if (segment.empty() || segment == "." || segment == "..") return true;
        path.remove_prefix(slash + 1);
    }
    return path == "." || path == "..";
}

std::string decoded(std::string_view text) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = text[i] == '%' ? encoded_byte(text, i) : std::nullopt;
        result += byte ? static_cast<char>(*byte) : text[i];
        if (byte) i += 2;
    }
    return result;
}

}  // namespace

std::optional<std::string> plain_path(std::string_view path) {
    if (!path.starts_with('/')) return std::nullopt;
    std::string plain;
    plain.reserve(path.size());
    for (std::size_t i = 0; i < path.size(); ++i) {
        auto byte = static_cast<unsigned char>(path[i]);
        if (byte != '%') {
            if (divides_for_some(byte) || is_control(byte)) return std::nullopt;
            // An entry may be written in any letters; on the wire these are always encoded.
            if (byte < 0x80) {
                plain += path[i];
            } else {
                append_encoded(plain, byte);
            }
            continue;
        }
        const auto encoded = encoded_byte(path, i);
        if (!encoded) return std::nullopt;
        byte = *encoded;
        i += 2;
        if (byte == '/' || byte == '%' || divides_for_some(byte) || is_control(byte)) return std::nullopt;
        if (is_unreserved(byte)) {
            plain += static_cast<char>(byte);
        } else {
            append_encoded(plain, byte);
        }
    }
    if (has_odd_segment(plain) || !is_utf8(decoded(plain))) return std::nullopt;
    return plain;
}

std::string folded_path(std::string_view plain) {
    std::string folded = decoded(plain);
    for (char& c : folded) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return folded;
}

std::string_view without_trailing_slash(std::string_view path) {
    while (path.size() > 1 && path.ends_with('/'))
        path.remove_suffix(1);
    return path;
}

}  // namespace nomiqon::policy
