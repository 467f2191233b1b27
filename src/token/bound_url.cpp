#include "bound_url.h"

#include <algorithm>
#include <string>

#include "nomiqon/core/ip_address.h"

namespace nomiqon::token {
namespace {

char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower(std::string_view text) {
    std::string result(text.size(), '\0');
    std::ranges::transform(text, result.begin(), to_lower);
    return result;
}

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (to_lower(c) >= 'a' && to_lower(c) <= 'z');
}

/// Of a registered name (RFC 3986 section 3.2.2). `@` is none: what stands before one is a user.
bool is_host_character(char c) {
    constexpr std::string_view others = "-._~!$&'()*+,;=%";
    return is_alphanumeric(c) || others.contains(c);
}

bool is_path_character(char c) {
    return c > ' ' && c < '\x7f' && c != '?' && c != '#';
}

bool is_host(std::string_view host) {
    if (!host.starts_with('[')) return !host.empty() && std::ranges::all_of(host, is_host_character);
    if (!host.ends_with(']')) return false;
    const auto address = IpAddress::parse(host.substr(1, host.size() - 2));
    return address && !address->is_v4();
}

std::optional<Scheme> take_scheme(std::string_view& text) {
    for (const Scheme scheme : {Scheme::https, Scheme::http}) {
        const std::string start = std::string{to_string(scheme)} + "://";
        if (lower(text.substr(0, start.size())) != start) continue;
        text.remove_prefix(start.size());
        return scheme;
    }
    return std::nullopt;
}

}  // namespace

std::optional<BoundUrl> parse_bound_url(std::string_view text) {
    const auto scheme = take_scheme(text);
    if (!scheme) return std::nullopt;
    const std::string_view authority = text.substr(0, text.find('/'));
    const std::string_view path = text.substr(authority.size());
    if (!std::ranges::all_of(path, is_path_character)) return std::nullopt;

    // The last colon, unless it is inside of brackets.
    const auto colon = authority.ends_with(']') ? std::string_view::npos : authority.rfind(':');
    const std::string_view host = authority.substr(0, colon);
    std::optional<std::uint16_t> port = default_port(*scheme);
    if (colon != std::string_view::npos) port = parse_port(authority.substr(colon + 1));
    if (!port || !is_host(host)) return std::nullopt;
    return BoundUrl{.scheme = *scheme,
                    .host = lower(host),
                    .port = *port,
                    .path = path == "/" ? std::string{} : std::string{path}};
}

}  // namespace nomiqon::token
