#include "flat_json.h"

#include <optional>
#include <utility>

#include "nomiqon/core/encoding.h"

namespace nomiqon::token {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

void append_utf8(std::string& text, std::uint32_t code) {
    const auto put = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xc0 | code >> 6);
        put(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        put(0xe0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3f));
        put(0x80 | (code & 0x3f));
    } else {
        put(0xf0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3f));
        put(0x80 | (code >> 6 & 0x3f));
        put(0x80 | (code & 0x3f));
    }
}

class Reader {
  public:
    explicit Reader(std::string_view text) : rest_(text) {}

    [[nodiscard]] bool at_end() const { return rest_.empty(); }

    void skip_space() {
        while (!rest_.empty() &&
               (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\n' || rest_[0] == '\r')) {
            rest_.remove_prefix(1);
        }
    }

    bool take(char expected) {
        if (rest_.empty() || rest_[0] != expected) return false;
        rest_.remove_prefix(1);
        return true;
    }

    std::optional<FlatValue> value() {
        if (rest_.starts_with('"')) {
            auto text = string();
            if (!text) return std::nullopt;
            return FlatValue{std::move(*text)};
        }
        const auto number = integer();
        if (!number) return std::nullopt;
        return FlatValue{*number};
    }

    std::optional<std::string> string() {
        if (!take('"')) return std::nullopt;
        std::string text;
        while (!rest_.empty()) {
            const char c = rest_[0];
            if (static_cast<unsigned char>(c) < 0x20) return std::nullopt;
            rest_.remove_prefix(1);
            if (c == '"') return text;
            if (c != '\\') {
                text += c;
            } else if (!escape(text)) {
                return std::nullopt;
            }
        }
        return std::nullopt;
    }

  private:
    std::optional<std::int64_t> integer() {
        const bool negative = take('-');
        if (rest_.empty() || !is_digit(rest_[0])) return std::nullopt;
        if (rest_[0] == '0' && rest_.size() > 1 && is_digit(rest_[1])) return std::nullopt;
        std::int64_t number = 0;
        for (; !rest_.empty() && is_digit(rest_[0]); rest_.remove_prefix(1)) {
            const int digit = rest_[0] - '0';
            if (__builtin_mul_overflow(number, 10, &number) ||
                __builtin_add_overflow(number, negative ? -digit : digit, &number)) {
                return std::nullopt;
            }
        }
        return number;  // a fraction or an exponent behind it is no member's end, and refused there
    }

    bool escape(std::string& text) {
        if (rest_.empty()) return false;
        const char c = rest_[0];
        rest_.remove_prefix(1);
        switch (c) {
            case '"':
            case '\\':
            case '/':
                text += c;
                return true;
            case 'b':
                text += '\b';
                return true;
            case 'f':
                text += '\f';
                return true;
            case 'n':
                text += '\n';
                return true;
            case 'r':
                text += '\r';
                return true;
            case 't':
                text += '\t';
                return true;
            case 'u':
                return unicode_escape(text);
            default:
                return false;
        }
    }

    /// `\uXXXX`, or a pair of them for what is beyond U+FFFF; a lone surrogate is no character.
    bool unicode_escape(std::string& text) {
        const auto first = four_digits();
        if (!first || (*first >= 0xdc00 && *first <= 0xdfff)) return false;
        if (*first < 0xd800 || *first > 0xdbff) {
            append_utf8(text, *first);
            return true;
        }
        if (!take('\\') || !take('u')) return false;
        const auto second = four_digits();
        if (!second || *second < 0xdc00 || *second > 0xdfff) return false;
        append_utf8(text, 0x10000 + ((*first - 0xd800) << 10) + (*second - 0xdc00));
        return true;
    }

    std::optional<std::uint32_t> four_digits() {
        if (rest_.size() < 4) return std::nullopt;
        const auto bytes = hex_decode(rest_.substr(0, 4));
        if (!bytes) return std::nullopt;
        rest_.remove_prefix(4);
        return std::uint32_t{(*bytes)[0]} << 8 | (*bytes)[1];
    }

    std::string_view rest_;
};

bool read_member(Reader& reader, const FlatMember& member) {
    reader.skip_space();
    const auto name = reader.string();
    reader.skip_space();
    if (!name || !reader.take(':')) return false;
    reader.skip_space();
    auto value = reader.value();
    reader.skip_space();
    return value && member(*name, std::move(*value));
}

}  // namespace

bool read_flat_object(std::string_view text, const FlatMember& member) {
    if (!is_utf8(text)) return false;
    Reader reader{text};
    reader.skip_space();
    if (!reader.take('{')) return false;
    reader.skip_space();
    if (!reader.take('}')) {
        do {
            if (!read_member(reader, member)) return false;
        } while (reader.take(','));
        if (!reader.take('}')) return false;
    }
    reader.skip_space();
    return reader.at_end();
}

}  // namespace nomiqon::token
