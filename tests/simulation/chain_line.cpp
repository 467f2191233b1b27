#include "chain_line.h"

namespace nomiqon::simulation {

void ChainLine::begin() {
    if (!members_.empty()) members_ += ", ";
}

ChainLine& ChainLine::text(std::string_view value) {
    constexpr std::string_view digits = "0123456789abcdef";
    begin();
    members_ += '"';
    for (const char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        switch (c) {
            case '"':
                members_ += "\\\"";
                break;
            case '\\':
                members_ += "\\\\";
                break;
            case '\b':
                members_ += "\\b";
                break;
            case '\f':
                members_ += "\\f";
                break;
            case '\n':
                members_ += "\\n";
                break;
            case '\r':
                members_ += "\\r";
                break;
            case '\t':
                members_ += "\\t";
                break;
            default:
                if (byte < 0x20) {
                    members_ += "\\u00";
                    members_ += digits[byte >> 4U];
                    members_ += digits[byte & 15U];
                } else {
                    members_ += c;
                }
        }
    }
    members_ += '"';
    return *this;
}

ChainLine& ChainLine::text_or_null(std::string_view value) {
    return value.empty() ? members("null") : text(value);
}

ChainLine& ChainLine::number(std::int64_t value) {
    return members(std::to_string(value));
}

ChainLine& ChainLine::number_or_null(std::optional<std::int64_t> value) {
    return value ? number(*value) : members("null");
}

ChainLine& ChainLine::boolean(bool value) {
    return members(value ? "true" : "false");
}

ChainLine& ChainLine::members(std::string_view more) {
    if (!more.empty()) {
        begin();
        members_ += more;
    }
    return *this;
}

}  // namespace nomiqon::simulation
