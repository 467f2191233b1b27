#include "array_reader.h"

#include <algorithm>
#include <charconv>

#include "nomiqon/core/encoding.h"

namespace nomiqon::audit {
namespace {

bool is_ascii(std::string_view text) {
    unsigned char all = 0;
    for (const char c : text)
        all = static_cast<unsigned char>(all | static_cast<unsigned char>(c));
    return all < 0x80;
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// Of the control characters that have no letter of their own.
std::optional<char> from_hex(std::string_view digits) {
    constexpr std::string_view letters = "btnfr";
    constexpr std::string_view codes = "\b\t\n\f\r";
    static_assert(letters.size() == codes.size());
    if (!digits.starts_with("00") || (digits[2] != '0' && digits[2] != '1')) return std::nullopt;
    const char low = digits[3];
    if (!is_digit(low) && (low < 'a' || low > 'f')) return std::nullopt;
    const int value = (digits[2] - '0') * 16 + (is_digit(low) ? low - '0' : low - 'a' + 10);
    const char c = static_cast<char>(value);
    if (c == '\0' || codes.contains(c)) return std::nullopt;
    return c;
}

}  // namespace

ArrayReader::ArrayReader(std::string_view text) : rest_(text) {
    if (!is_ascii(text) && !is_utf8(text)) {
        fail();
        return;
    }
    skip("[");
}

void ArrayReader::fail() {
    ok_ = false;
    rest_ = {};
}

bool ArrayReader::skip(std::string_view expected) {
    if (!rest_.starts_with(expected)) {
        fail();
        return false;
    }
    rest_.remove_prefix(expected.size());
    return true;
}

void ArrayReader::begin_member() {
    if (!first_) skip(", ");
    first_ = false;
}

bool ArrayReader::take_null() {
    constexpr std::string_view null = "null";
    if (!rest_.starts_with(null)) return false;
    rest_.remove_prefix(null.size());
    return true;
}

/// The character behind a backslash, which is at the front.
char ArrayReader::escaped() {
    constexpr std::string_view letters = "\"\\bfnrt";
    constexpr std::string_view meanings = "\"\\\b\f\n\r\t";
    const char letter = rest_.size() > 1 ? rest_[1] : '\0';
    if (const auto place = letters.find(letter); letter != '\0' && place != std::string_view::npos) {
        rest_.remove_prefix(2);
        return meanings[place];
    }
    constexpr std::size_t length = 6;  // \u001f
    const auto c = letter == 'u' && rest_.size() > length ? from_hex(rest_.substr(2, 4)) : std::nullopt;
    if (!c) {
        fail();
        return '\0';
    }
    rest_.remove_prefix(length);
    return *c;
}

std::string ArrayReader::text() {
    std::string result;
    begin_member();
    if (!skip("\"")) return result;
    while (ok_) {
        const auto* const end = std::ranges::find_if(
            rest_, [](char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; });
        const auto plain = static_cast<std::size_t>(end - rest_.begin());
        result.append(rest_.substr(0, plain));
        rest_.remove_prefix(plain);
        if (rest_.starts_with('"')) {
            rest_.remove_prefix(1);
            return result;
        }
        if (rest_.starts_with('\\')) {
            result += escaped();
        } else {
            fail();
        }
    }
    return {};
}

// A member that is null is taken; any other is left where it is, for who knows what it is.
bool ArrayReader::take_null_member() {
    const bool was_first = first_;
    const auto before = rest_;
    begin_member();
    if (take_null() || !ok_) return true;
    first_ = was_first;
    rest_ = before;
    return false;
}

std::optional<std::string> ArrayReader::text_or_null() {
    if (take_null_member()) return std::nullopt;
    return text();
}

std::int64_t ArrayReader::integer() {
    begin_member();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    const auto length = static_cast<std::size_t>(end - rest_.data());
    const auto digits = rest_.substr(0, length);
    // "-0", "007": from_chars takes them.
    const bool canonical = digits == "0" || (!digits.starts_with('0') && !digits.starts_with("-0"));
    if (error != std::errc{} || !canonical) {
        fail();
        return 0;
    }
    rest_.remove_prefix(length);
    return value;
}

std::optional<std::int64_t> ArrayReader::integer_or_null() {
    if (take_null_member()) return std::nullopt;
    return integer();
}

bool ArrayReader::boolean() {
    begin_member();
    const bool value = rest_.starts_with("true");
    skip(value ? "true" : "false");
    return value && ok_;
}

}  // namespace nomiqon::audit
