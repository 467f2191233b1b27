#include "json_skim.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "nomiqon/core/strict_json.h"

namespace nomiqon::metering {

namespace {

constexpr std::size_t longest_scalar = 64;
/// More than the rest of any character, behind which a string can be cut.
constexpr std::size_t longest_character = 16;

bool is_space(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}
bool is_continuation(char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}
bool is_scalar_byte(char byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           byte == '-' || byte == '+' || byte == '.';
}

/// 16 where it is no digit.
std::uint32_t hex_digit(char byte) {
    if (byte >= '0' && byte <= '9') return static_cast<std::uint32_t>(byte - '0');
    if (byte >= 'a' && byte <= 'f') return static_cast<std::uint32_t>(byte - 'a' + 10);
    if (byte >= 'A' && byte <= 'F') return static_cast<std::uint32_t>(byte - 'A' + 10);
    return 16;
}

}  // namespace

void JsonSkim::read(std::string_view bytes) {
    std::size_t at = 0;
    while (at < bytes.size() && !broken_) {
        const bool in_string = token_ == Token::string || token_ == Token::name;
        if (in_string && !escape_ && hex_left_ == 0 && (cut_ || !keeping_)) {
            at = bytes.find_first_of("\"\\", at);
            if (at == std::string_view::npos) return;
        }
        const char byte = bytes[at++];
        if (in_string) {
            take_in_string(byte);
        } else if (token_ == Token::scalar) {
            take_in_scalar(byte);
        } else if (!is_space(byte)) {
            take_structure(byte);
        }
    }
}

std::vector<std::string> JsonSkim::take_elements() {
    return std::exchange(elements_, {});
}

void JsonSkim::take_structure(char byte) {
    if (complete_) return fail();
    Frame* frame = frames_.empty() ? nullptr : &frames_.back();
    switch (byte) {
        case ',':
            if (frame == nullptr || !frame->after_value) return fail();
            frame->after_value = false;
            return;
        case ':':
            if (frame == nullptr || !frame->colon_due) return fail();
            frame->colon_due = false;
            frame->value_due = true;
            keeping_ = frame->keep;
            return keep(':');
        case '}':
        case ']':
            return close(byte == ']');
        case '"':
            if (frame != nullptr && !frame->array && !frame->value_due) return begin_name();
            [[fallthrough]];
        default:
            return begin_value(byte);
    }
}

void JsonSkim::begin_name() {
    Frame& frame = frames_.back();
    if (frame.after_value || frame.colon_due) return fail();
    keeping_ = frame.keep;
    if (frame.begun++ > 0) keep(',');
    token_ = Token::name;
    token_bytes_ = 0;
    keep('"');
}

bool JsonSkim::begin_in_array(Frame& frame, bool scalar) {
    const std::size_t index = frame.begun++;
    if (!frame.keep) return false;
    if (top_array_ && frames_.size() == 1) return true;
    if (index >= (scalar ? limits_.scalars : limits_.items)) {
        lossy_ = lossy_ || !scalar;
        return false;
    }
    if (frame.kept++ > 0) {
        keeping_ = true;
        keep(',');
    }
    return true;
}

void JsonSkim::begin_value(char byte) {
    const bool scalar = byte != '{' && byte != '[' && byte != '"';
    if (scalar && !is_scalar_byte(byte)) return fail();
    if (frames_.empty()) {
        keeping_ = true;
    } else if (Frame& frame = frames_.back(); frame.array) {
        if (frame.after_value) return fail();
        keeping_ = begin_in_array(frame, scalar);
    } else {
        if (!frame.value_due) return fail();
        frame.value_due = false;
        keeping_ = frame.keep;
    }
    if (byte == '{' || byte == '[') return open(byte);
    token_ = scalar ? Token::scalar : Token::string;
    token_bytes_ = 0;
    keep(byte);
}

void JsonSkim::open(char byte) {
    if (frames_.size() >= limits_.depth) return fail();
    const bool array = byte == '[';
    if (array && frames_.empty()) {
        top_array_ = true;
    } else {
        keep(byte);
    }
    frames_.push_back({.array = array, .keep = keeping_});
}

void JsonSkim::close(bool array) {
    if (frames_.empty()) return fail();
    const Frame frame = frames_.back();
    // After a comma, a name or a colon something else is due.
    if (frame.array != array || (!frame.after_value && frame.begun > 0)) return fail();
    keeping_ = frame.keep;
    frames_.pop_back();
    if (!(top_array_ && frames_.empty())) keep(array ? ']' : '}');
    end_value();
}

void JsonSkim::end_value() {
    if (frames_.empty()) {
        complete_ = true;
        return;
    }
    frames_.back().after_value = true;
    if (top_array_ && frames_.size() == 1) elements_.push_back(std::exchange(kept_, {}));
}

void JsonSkim::take_in_scalar(char byte) {
    if (is_scalar_byte(byte)) {
        if (++token_bytes_ > longest_scalar) return fail();
        return keep(byte);
    }
    token_ = Token::none;
    end_value();
    if (!is_space(byte)) take_structure(byte);
}

void JsonSkim::take_in_string(char byte) {
    if (escape_) {
        escape_ = false;
        hex_left_ = byte == 'u' ? 4 : 0;
        hex_ = 0;
        high_surrogate_ = false;
        return keep(byte);
    }
    if (hex_left_ > 0) {
        const std::uint32_t digit = hex_digit(byte);
        if (digit > 15) return fail();
        hex_ = hex_ * 16 + digit;
        if (--hex_left_ == 0) high_surrogate_ = hex_ >= 0xD800 && hex_ <= 0xDBFF;
        return keep(byte);
    }
    if (byte == '"') return end_of_string();
    if (static_cast<unsigned char>(byte) < 0x20) return fail();
    const bool pair = byte == '\\' && high_surrogate_;
    if (!cut_ && token_bytes_ >= limits_.string_bytes && !is_continuation(byte) && !pair) cut_ = true;
    if (!cut_ && token_bytes_ >= limits_.string_bytes + longest_character) return fail();
    if (byte == '\\') {
        escape_ = true;
    } else {
        high_surrogate_ = false;
    }
    keep(byte);
}

void JsonSkim::end_of_string() {
    cut_ = false;
    high_surrogate_ = false;
    keep('"');
    if (std::exchange(token_, Token::none) == Token::name) {
        frames_.back().colon_due = true;
    } else {
        end_value();
    }
}

void JsonSkim::keep(char byte) {
    if (!keeping_ || cut_) return;
    if (kept_.size() >= limits_.bytes) return fail();
    kept_ += byte;
    ++token_bytes_;
}

namespace {

bool is_half(std::string_view text, std::size_t at, std::uint32_t first) {
    if (text.substr(at, 2) != "\\u" || at + 6 > text.size()) return false;
    std::uint32_t value = 0;
    for (const char digit : text.substr(at + 2, 4))
        value = value * 16 + hex_digit(digit);
    return value >= first && value < first + 0x400;
}

/// Halves of surrogate pairs that stand alone, replaced by U+FFFD: providers cut a character of a stream's
/// text between two events, and that is no reason to lose the counters beside it.
std::string mend_halves(std::string_view text) {
    std::string mended;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t next = std::min(text.find('\\', at), text.size());
        mended += text.substr(at, next - at);
        const bool high = is_half(text, next, 0xD800);
        const bool pair = high && is_half(text, next + 6, 0xDC00);
        const bool alone = !pair && (high || is_half(text, next, 0xDC00));
        const std::size_t length = pair ? 12 : alone ? 6 : 2;
        mended += alone ? std::string_view{"\\ufffd"} : text.substr(next, length);
        at = next + length;
    }
    return mended;
}

}  // namespace

std::optional<nlohmann::json> parse_answer(std::string_view text) {
    auto parsed = parse_strict_json(text, {.max_depth = SkimLimits{}.depth});
    if (!parsed && text.find("\\u") != std::string_view::npos) {
        parsed = parse_strict_json(mend_halves(text), {.max_depth = SkimLimits{}.depth});
    }
    if (!parsed) return std::nullopt;
    return std::move(*parsed);
}

}  // namespace nomiqon::metering
