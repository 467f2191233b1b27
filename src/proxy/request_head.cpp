#include "request_head.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "nomiqon/metering/meter.h"

namespace nomiqon::proxy {
namespace {

namespace http = boost::beast::http;

Refusal bad_request(std::string_view detail) {
    return {.code = RefusalCode::bad_request, .detail = std::string{detail}};
}

/// The longest that is registered has 17. It is written down with every spend.
constexpr std::size_t max_method_length = 32;

bool is_visible_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; });
}

struct RequestLine {
    std::string_view method, target;
    int minor_version = 1;
};

std::expected<RequestLine, std::string_view> parse_request_line(std::string_view line) {
    const auto first = line.find(' ');
    const auto last = line.rfind(' ');
    if (first == std::string_view::npos || first == last)
        return std::unexpected("request line of too few parts");
    RequestLine parts{.method = line.substr(0, first), .target = line.substr(first + 1, last - first - 1)};
    const auto version = line.substr(last + 1);
    if (version != "HTTP/1.1" && version != "HTTP/1.0") return std::unexpected("no version of HTTP/1");
    parts.minor_version = version.back() - '0';
    if (!is_token(parts.method)) return std::unexpected("method is no token");
    if (parts.method.size() > max_method_length) return std::unexpected("method is too long");
    if (parts.target.empty() || !is_visible_ascii(parts.target)) {
        return std::unexpected("target is empty or not of visible ASCII");
    }
    return parts;
}

/// A second reading by Boost.Beast: what the two don't agree on is refused. Ours came first because
/// Beast 1.81 unfolds obs-fold and takes repeated equal Content-Length and foreign transfer codings.
bool beast_agrees(std::string_view head, const RequestLine& line, std::size_t fields) {
    http::request_parser<http::empty_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(std::min<std::size_t>(head.size() + 1, UINT32_MAX)));
    parser.body_limit(boost::none);
    boost::beast::error_code error;
    parser.put(boost::asio::buffer(head), error);
    if ((error && error != http::error::need_more) || !parser.is_header_done()) return false;
    const auto& read = parser.get();
    return static_cast<std::size_t>(std::distance(read.begin(), read.end())) == fields &&
           read.method_string() == boost::beast::string_view{line.method.data(), line.method.size()} &&
           read.target() == boost::beast::string_view{line.target.data(), line.target.size()};
}

std::expected<RequestTarget, std::string> parse_absolute(std::string_view target, std::string_view method) {
    constexpr std::string_view http_scheme = "http://";
    if (iequals(target.substr(0, 8), "https://")) {
        return std::unexpected("https in absolute form: use CONNECT");
    }
    if (!iequals(target.substr(0, http_scheme.size()), http_scheme)) {
        return std::unexpected("target is of no form that the method admits");
    }
    target.remove_prefix(http_scheme.size());
    if (target.contains('#')) return std::unexpected("fragment in the target");
    const auto authority = target.substr(0, target.find_first_of("/?"));
    // Before the host is parsed: its error text goes to the log, where a password must not.
    if (authority.contains('@')) return std::unexpected("user information in the target");
    auto endpoint = Endpoint::parse(authority, default_port(Scheme::http));
    if (!endpoint) return std::unexpected("target: " + endpoint.error());
    const auto rest = target.substr(authority.size());
    std::string path{rest};
    if (rest.empty()) {
        path = method == "OPTIONS" ? "*" : "/";  // RFC 9112 3.2.4
    } else if (rest.front() == '?') {
        path.insert(path.begin(), '/');  // RFC 9112 3.2.1
    }
    return RequestTarget{
        .form = TargetForm::absolute, .endpoint = std::move(*endpoint), .path_and_query = std::move(path)};
}

std::expected<RequestTarget, std::string> parse_target(const RequestLine& line) {
    if (line.method == "CONNECT") {
        if (line.target.contains('@')) return std::unexpected("user information in the target");
        auto endpoint = Endpoint::parse(line.target);
        if (!endpoint) return std::unexpected("CONNECT: " + endpoint.error());
        return RequestTarget{.form = TargetForm::authority, .endpoint = std::move(*endpoint)};
    }
    if (line.target.starts_with('/')) {
        if (line.target.contains('#')) return std::unexpected("fragment in the target");
        return RequestTarget{.form = TargetForm::origin, .path_and_query = std::string{line.target}};
    }
    if (line.target == "*" && line.method == "OPTIONS") {
        return RequestTarget{.form = TargetForm::asterisk, .path_and_query = "*"};
    }
    return parse_absolute(line.target, line.method);
}

std::expected<std::optional<HostField>, std::string> parse_host(const HeaderFields& headers) {
    const HeaderField* const field = find_field(headers, "Host");
    if (field == nullptr) return std::nullopt;
    if (count_fields(headers, "Host") > 1) return std::unexpected("more than one Host");
    const std::string_view value = field->value;
    if (!is_visible_ascii(value) || value.contains('@')) return std::unexpected("Host is no host");
    const auto bracket = value.rfind(']');
    const bool has_port =
        value.find(':', bracket == std::string_view::npos ? 0 : bracket) != std::string_view::npos;
    if (has_port) {
        auto endpoint = Endpoint::parse(value);
        if (!endpoint) return std::unexpected("Host: " + endpoint.error());
        return HostField{.host = std::move(endpoint->host), .port = endpoint->port};
    }
    auto host = HostName::parse(value);
    if (!host) return std::unexpected("Host: " + host.error());
    return HostField{.host = std::move(*host)};
}

/// `implied_port`: what a Host without port stands for; none: any port.
bool names(const HostField& field, const Endpoint& endpoint, std::optional<std::uint16_t> implied_port) {
    if (field.host != endpoint.host) return false;
    const auto port = field.port ? field.port : implied_port;
    return !port || *port == endpoint.port;
}

/// RFC 9112 3.2.2 lets a proxy overwrite a Host that differs from the target; one that differs is an attempt
/// to be judged by one name and served by the other.
std::optional<std::string_view> check_host(const RequestHead& head) {
    if (!head.host) {
        const bool needed = head.minor_version == 1 && !head.is_connect();
        return needed ? std::optional<std::string_view>{"no Host"} : std::nullopt;
    }
    if (!head.target.endpoint) return std::nullopt;
    const auto implied = head.is_connect() ? std::nullopt : std::optional{default_port(Scheme::http)};
    if (!names(*head.host, *head.target.endpoint, implied)) return "Host contradicts the target";
    return std::nullopt;
}

bool wishes_keep_alive(const RequestHead& head) {
    const auto says = [&](std::string_view option) {
        return list_has(head.headers, "Connection", option) ||
               list_has(head.headers, "Proxy-Connection", option);
    };
    return !says("close") && (head.minor_version == 1 || says("keep-alive"));
}

std::optional<std::string_view> read_expectation(RequestHead& head) {
    const HeaderField* const expect = find_field(head.headers, "Expect");
    if (expect == nullptr || head.minor_version == 0) return std::nullopt;  // RFC 9110 10.1.1
    if (count_fields(head.headers, "Expect") > 1 || !iequals(expect->value, "100-continue")) {
        return "an expectation other than 100-continue";
    }
    head.expect_continue = true;
    return std::nullopt;
}

/// CONNECT has no content (RFC 9110 9.3.6): bytes announced as such would be a tunnel's first bytes to
/// another reader.
std::optional<std::string_view> read_body_fields(RequestHead& head) {
    const auto framing = read_framing(head.headers, head.minor_version);
    if (!framing) return framing.error();
    head.content_length = framing->content_length;
    head.chunked = framing->chunked;
    if (head.is_connect() && (head.chunked || head.content_length.value_or(0) > 0))
        return "CONNECT with content";
    return std::nullopt;
}

/// The policy would judge another request than the one that is served.
std::optional<std::string_view> check_overrides(const RequestHead& head) {
    const bool overridden = std::ranges::any_of(
        head.headers, [](const HeaderField& field) { return metering::overrides_request(field.name); });
    return overridden ? std::optional<std::string_view>{"a header field overrides the method or the path"}
                      : std::nullopt;
}

std::expected<RequestHead, Refusal> parse_head(std::string_view bytes) {
    const auto lines = split_head(bytes);
    const auto line = parse_request_line(lines.start_line);
    if (!line) return std::unexpected(bad_request(line.error()));
    auto fields = parse_field_lines(lines);
    if (!fields) return std::unexpected(bad_request(fields.error()));
    auto target = parse_target(*line);
    if (!target) return std::unexpected(bad_request(target.error()));
    auto host = parse_host(*fields);
    if (!host) return std::unexpected(bad_request(host.error()));

    RequestHead head{.method = std::string{line->method},
                     .minor_version = line->minor_version,
                     .target = std::move(*target),
                     .headers = std::move(*fields),
                     .host = std::move(*host)};
    for (const auto problem :
         {check_host(head), read_body_fields(head), read_expectation(head), check_overrides(head)}) {
        if (problem) return std::unexpected(bad_request(*problem));
    }
    if (!beast_agrees(bytes, *line, head.headers.size())) {
        return std::unexpected(bad_request("head is ambiguous to a second reader"));
    }
    head.keep_alive = wishes_keep_alive(head);
    head.wants_upgrade = find_field(head.headers, "Upgrade") != nullptr;
    return head;
}

}  // namespace

std::expected<std::optional<RequestHead>, Refusal> RequestHeadReader::read(std::string_view received) {
    const auto end = scanner_.scan(received, true);
    if (!end) {
        if (end.error().problem == HeadScanner::Problem::malformed) {
            return std::unexpected(bad_request(end.error().detail));
        }
        return std::unexpected(
            Refusal{.code = RefusalCode::header_too_large, .detail = std::string{end.error().detail}});
    }
    if (!*end) return std::nullopt;
    auto head = parse_head(received.substr(scanner_.start(), **end - scanner_.start()));
    if (!head) return std::unexpected(std::move(head.error()));
    head->consumed = **end;
    return std::move(*head);
}

std::optional<Refusal> check_inner_target(const RequestHead& head, const Endpoint& connected, Scheme scheme) {
    if (head.is_connect()) return bad_request("CONNECT inside a connection that has a target");
    if (head.target.endpoint && *head.target.endpoint != connected) {
        return bad_request("target other than the connection's");
    }
    if (head.host && !names(*head.host, connected, default_port(scheme))) {
        return bad_request("Host other than the connection's");
    }
    return std::nullopt;
}

}  // namespace nomiqon::proxy
