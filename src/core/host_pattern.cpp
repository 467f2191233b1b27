#include "nomiqon/core/host_pattern.h"

#include <algorithm>
#include <utility>

namespace nomiqon {
namespace {

struct HostAndPort {
    std::string_view host;
    std::optional<std::uint16_t> port;
};

std::expected<HostAndPort, std::string> split_port(std::string_view text) {
    std::size_t colon = std::string_view::npos;
    if (text.starts_with('[')) {
        const auto close = text.find(']');
        if (close == std::string_view::npos)
            return std::unexpected("the bracket of the IPv6 address isn't closed");
        if (close + 1 == text.size()) return HostAndPort{text, std::nullopt};
        if (text[close + 1] != ':') return std::unexpected("only a port may follow the IPv6 address");
        colon = close + 1;
    } else {
        colon = text.find(':');
        if (colon == std::string_view::npos) return HostAndPort{text, std::nullopt};
        if (text.find(':', colon + 1) != std::string_view::npos) {
            return std::unexpected("an IPv6 address stands in brackets, and a URL is no host");
        }
    }
    const auto port = parse_port(text.substr(colon + 1));
    if (!port) return std::unexpected("the port must be a number from 1 to 65535");
    return HostAndPort{text.substr(0, colon), port};
}

std::expected<HostPattern, std::string> parse_suffix(std::string_view suffix, std::size_t min_labels) {
    auto name = HostName::parse(suffix);
    if (!name) return std::unexpected(std::move(name.error()));
    if (name->is_ip_literal()) return std::unexpected("a wildcard can't stand before an address");
    const auto labels = static_cast<std::size_t>(std::ranges::count(name->str(), '.')) + 1;
    if (labels < min_labels) {
        return std::unexpected("at least " + std::to_string(min_labels) + " labels must follow `*.`");
    }
    return HostPattern{.kind = HostPattern::Kind::below, .host = name->str()};
}

std::expected<HostPattern, std::string> parse_host(std::string_view host, std::size_t min_suffix_labels) {
    if (host == "*") return HostPattern{};
    if (host.starts_with("*.")) return parse_suffix(host.substr(2), min_suffix_labels);
    if (host.contains('*'))
        return std::unexpected("`*` stands alone or as the whole first label: `*.example.com`");
    auto name = HostName::parse(host);
    if (!name) return std::unexpected(std::move(name.error()));
    return HostPattern{
        .kind = HostPattern::Kind::exact, .host = name->str(), .ip_literal = name->is_ip_literal()};
}

}  // namespace

std::expected<HostPattern, std::string> HostPattern::parse(std::string_view text,
                                                           std::size_t min_suffix_labels) {
    const auto parts = split_port(text);
    if (!parts) return std::unexpected(parts.error());
    auto pattern = parse_host(parts->host, min_suffix_labels);
    if (pattern) pattern->port = parts->port;
    return pattern;
}

bool HostPattern::matches_host(const HostName& name) const {
    switch (kind) {
        case Kind::exact:
            return name.str() == host;
        case Kind::below:
            return !name.is_ip_literal() && is_below(name.str(), host);
        case Kind::any:
            return true;
    }
    std::unreachable();
}

bool HostPattern::includes(const HostPattern& other) const {
    if (port && port != other.port) return false;
    switch (kind) {
        case Kind::exact:
            return other.kind == Kind::exact && other.host == host;
        case Kind::below:
            if (other.kind == Kind::below) return other.host == host || is_below(other.host, host);
            return other.kind == Kind::exact && !other.ip_literal && is_below(other.host, host);
        case Kind::any:
            return true;
    }
    std::unreachable();
}

std::string HostPattern::host_text() const {
    switch (kind) {
        case Kind::exact:
            return host;
        case Kind::below:
            return "*." + host;
        case Kind::any:
            return "*";
    }
    std::unreachable();
}

std::string HostPattern::to_string() const {
    return port ? host_text() + ':' + std::to_string(*port) : host_text();
}

}  // namespace nomiqon
