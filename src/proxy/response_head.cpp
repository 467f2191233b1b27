#include "response_head.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace nomiqon::proxy {
namespace {

namespace http = boost::beast::http;

Refusal malformed(std::string_view detail) {
    return {.code = RefusalCode::upstream_unreachable, .detail = "malformed answer: " + std::string{detail}};
}

struct StatusLine {
    int minor_version = 1;
    int status = 0;
    std::string_view reason{};
};

/// `HTTP/1.1 200 reason`; the reason may be empty, the space before it may not (RFC 9112 4).
std::optional<StatusLine> parse_status_line(std::string_view line) {
    constexpr std::size_t reason_at = 13;
    const auto version = line.substr(0, 9);
    if ((version != "HTTP/1.1 " && version != "HTTP/1.0 ") || line.size() < reason_at) return std::nullopt;
    const auto digits = line.substr(9, 3);
    if (!std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
    if (digits.front() == '0' || line[reason_at - 1] != ' ') return std::nullopt;
    return StatusLine{.minor_version = version[7] - '0',
                      .status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'),
                      .reason = line.substr(reason_at)};
}

/// The second reader; see request_head.cpp.
bool beast_agrees(std::string_view head, const StatusLine& line, std::size_t fields) {
    http::response_parser<http::empty_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(std::min<std::size_t>(head.size() + 1, UINT32_MAX)));
    parser.body_limit(boost::none);
    parser.skip(true);
    boost::beast::error_code error;
    parser.put(boost::asio::buffer(head), error);
    if ((error && error != http::error::need_more) || !parser.is_header_done()) return false;
    const auto& read = parser.get();
    return static_cast<std::size_t>(std::distance(read.begin(), read.end())) == fields &&
           read.result_int() == static_cast<unsigned>(line.status);
}

bool has_no_body(int status, bool to_head) {
    return to_head || status < 200 || status == 204 || status == 304;
}

BodyFraming body_of(const ResponseHead& head, bool to_head) {
    if (has_no_body(head.status, to_head)) return {};
    if (head.chunked) return {.kind = BodyKind::chunked};
    if (head.content_length) return {.kind = BodyKind::length, .length = *head.content_length};
    return {.kind = BodyKind::until_close};
}

bool connection_lasts(const ResponseHead& head) {
    if (list_has(head.headers, "Connection", "close") || head.body.kind == BodyKind::until_close)
        return false;
    if (head.minor_version == 0 && !list_has(head.headers, "Connection", "keep-alive")) return false;
    // RFC 9112 6.1 and 6.2 forbid framing here; a server that doesn't know that may send a body all the same.
    const bool bodiless = head.status < 200 || head.status == 204;
    return !bodiless || (!head.chunked && head.content_length.value_or(0) == 0);
}

std::expected<ResponseHead, Refusal> parse_head(std::string_view bytes, bool to_head) {
    const auto lines = split_head(bytes);
    const auto line = parse_status_line(lines.start_line);
    if (!line) return std::unexpected(malformed("status line"));
    auto fields = parse_field_lines(lines);
    if (!fields) return std::unexpected(malformed(fields.error()));
    const auto framing = read_framing(*fields, line->minor_version);
    if (!framing) return std::unexpected(malformed(framing.error()));
    if (!beast_agrees(bytes, *line, fields->size())) {
        return std::unexpected(malformed("head is ambiguous to a second reader"));
    }
    ResponseHead head{.minor_version = line->minor_version,
                      .status = line->status,
                      .reason = std::string{line->reason},
                      .headers = std::move(*fields),
                      .content_length = framing->content_length,
                      .chunked = framing->chunked};
    head.body = body_of(head, to_head);
    head.keep_alive = connection_lasts(head);
    return head;
}

}  // namespace

std::expected<std::optional<ResponseHead>, Refusal> ResponseHeadReader::read(std::string_view received) {
    const auto end = scanner_.scan(received, false);
    if (!end) return std::unexpected(malformed(end.error().detail));
    if (!*end) return std::nullopt;
    auto head = parse_head(received.substr(0, **end), to_head_);
    if (!head) return std::unexpected(std::move(head.error()));
    head->consumed = **end;
    return std::move(*head);
}

}  // namespace nomiqon::proxy
