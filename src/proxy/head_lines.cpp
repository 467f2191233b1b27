#include "head_lines.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace nomiqon::proxy {
namespace {

constexpr char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

constexpr bool is_token_char(char c) noexcept {
    if ((c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'z')) return true;
    return std::string_view{"!#$%&'*+-.^_`|~"}.contains(c);
}

constexpr bool is_control(char c) noexcept {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

constexpr std::array<std::string_view, 9> hop_by_hop{
    "connection", "keep-alive",        "proxy-connection", "proxy-authenticate", "proxy-authorization", "te",
    "trailer",    "transfer-encoding", "upgrade"};

constexpr std::string_view gateway_prefix = "x-nomiqon-";

}  // namespace

bool iequals(std::string_view a, std::string_view b) noexcept {
    return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

bool is_token(std::string_view text) noexcept {
    return !text.empty() && std::ranges::all_of(text, is_token_char);
}

std::string_view trim_ows(std::string_view text) noexcept {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool is_field_value(std::string_view text) noexcept {
    return std::ranges::none_of(text, is_control);
}

std::size_t count_fields(const HeaderFields& fields, std::string_view name) noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(fields, [&](const HeaderField& field) { return iequals(field.name, name); }));
}

const HeaderField* find_field(const HeaderFields& fields, std::string_view name) noexcept {
    const auto found =
        std::ranges::find_if(fields, [&](const HeaderField& field) { return iequals(field.name, name); });
    return found == fields.end() ? nullptr : &*found;
}

bool list_has(const HeaderFields& fields, std::string_view name, std::string_view token) {
    return std::ranges::any_of(fields, [&](const HeaderField& field) {
        return iequals(field.name, name) &&
               std::ranges::any_of(list_elements(field.value),
                                   [&](auto element) { return iequals(element, token); });
    });
}

std::vector<std::string_view> list_elements(std::string_view value) {
    std::vector<std::string_view> elements;
    while (!value.empty()) {
        const auto comma = value.find(',');
        const auto element = trim_ows(value.substr(0, comma));
        if (!element.empty()) elements.push_back(element);
        value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
    }
    return elements;
}

bool is_hop_by_hop(std::string_view name) noexcept {
    return std::ranges::any_of(hop_by_hop, [&](std::string_view known) { return iequals(known, name); });
}

bool is_gateway_field(std::string_view name) noexcept {
    if (name.size() < gateway_prefix.size()) return false;
    return std::ranges::equal(name.substr(0, gateway_prefix.size()), gateway_prefix,
                              [](char c, char known) { return (c == '_' ? '-' : lower(c)) == known; });
}

std::expected<HeaderField, std::string_view> parse_field_line(std::string_view line) {
    if (line.starts_with(' ') || line.starts_with('\t')) return std::unexpected("folded field line");
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) return std::unexpected("field line without colon");
    const auto name = line.substr(0, colon);
    if (!is_token(name)) return std::unexpected("field name is no token, or whitespace before the colon");
    const auto value = trim_ows(line.substr(colon + 1));
    if (!is_field_value(value)) return std::unexpected("control character in a field value");
    return HeaderField{.name = std::string{name}, .value = std::string{value}};
}

std::optional<std::uint64_t> parse_content_length(std::string_view value) noexcept {
    std::uint64_t length = 0;
    // from_chars takes no sign for unsigned numbers, no space and no prefix, and reports overflow.
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (error != std::errc{} || end != value.data() + value.size()) return std::nullopt;
    return length;
}

std::expected<FramingFields, std::string_view> read_framing(const HeaderFields& fields, int minor_version) {
    FramingFields framing;
    const HeaderField* const length = find_field(fields, "Content-Length");
    const HeaderField* const coding = find_field(fields, "Transfer-Encoding");
    if (length != nullptr && coding != nullptr) {
        return std::unexpected("Content-Length beside Transfer-Encoding");
    }
    if (length != nullptr) {
        if (count_fields(fields, "Content-Length") > 1)
            return std::unexpected("more than one Content-Length");
        framing.content_length = parse_content_length(length->value);
        if (!framing.content_length) return std::unexpected("Content-Length is no number");
    }
    if (coding != nullptr) {
        if (count_fields(fields, "Transfer-Encoding") > 1) {
            return std::unexpected("more than one Transfer-Encoding");
        }
        if (minor_version == 0) return std::unexpected("Transfer-Encoding in HTTP/1.0");
        // The names of codings fold case (RFC 9112 7); what goes on is written anew, so no reader sees ours.
        if (!iequals(coding->value, "chunked"))
            return std::unexpected("Transfer-Encoding other than chunked");
        framing.chunked = true;
    }
    return framing;
}

std::expected<std::optional<std::size_t>, HeadScanner::Error> HeadScanner::scan(std::string_view received,
                                                                                bool skip_empty_line) {
    const auto malformed = [](std::string_view detail) {
        return std::unexpected(Error{.problem = Problem::malformed, .detail = detail});
    };
    const auto too_large = [](std::string_view detail) {
        return std::unexpected(Error{.problem = Problem::too_large, .detail = detail});
    };
    while (at_ < received.size()) {
        if (at_ >= limits_.bytes) return too_large("head is longer than the limit");
        const char c = received[at_];
        if (c == '\n') return malformed("line ends in a bare LF");
        if (is_control(c) && c != '\r') return malformed("control character in the head");
        if (c != '\r') {
            ++at_;
            continue;
        }
        if (at_ + 2 > limits_.bytes) return too_large("head is longer than the limit");
        if (at_ + 1 == received.size()) return std::nullopt;
        if (received[at_ + 1] != '\n') return malformed("bare CR");
        const bool empty = at_ == line_start_;
        at_ += 2;
        line_start_ = at_;
        if (!empty) {
            if (++lines_ > limits_.count + 1) return too_large("more field lines than the limit");
        } else if (lines_ > 0) {
            return at_;
        } else if (skip_empty_line && start_ == 0) {
            start_ = at_;
        } else {
            return malformed("empty line before the start line");
        }
    }
    if (at_ >= limits_.bytes) return too_large("head is longer than the limit");
    return std::nullopt;
}

HeadLines split_head(std::string_view head) {
    HeadLines lines;
    while (!head.empty()) {
        const auto end = head.find("\r\n");
        const auto line = head.substr(0, end);
        head.remove_prefix(end == std::string_view::npos ? head.size() : end + 2);
        if (line.empty()) break;
        if (lines.start_line.empty()) {
            lines.start_line = line;
        } else {
            lines.field_lines.push_back(line);
        }
    }
    return lines;
}

std::expected<HeaderFields, std::string_view> parse_field_lines(const HeadLines& lines) {
    HeaderFields fields;
    fields.reserve(lines.field_lines.size());
    for (const auto line : lines.field_lines) {
        auto field = parse_field_line(line);
        if (!field) return std::unexpected(field.error());
        fields.push_back(std::move(*field));
    }
    return fields;
}

}  // namespace nomiqon::proxy
