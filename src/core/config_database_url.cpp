// The form of PostgreSQL's connection strings (its manual: libpq, "Connection Strings"), checked without
// libpq: core links no database, and libpq's own error messages may repeat parts of a password.

#include <algorithm>

#include "config_value.h"
#include "nomiqon/core/host.h"

namespace nomiqon::config_detail {
namespace {

constexpr std::string_view shape =
    "must be postgresql://user:password@host:port/database or key=value pairs such as \"host=/run/postgresql "
    "dbname=nomiqon\"";

bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool well_encoded(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c <= 0x20 || c == 0x7F) return false;
        if (c != '%') continue;
        if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
    }
    return true;
}

bool is_key(std::string_view name) {
    return !name.empty() &&
           std::ranges::all_of(name, [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}

/// `host`, `host:port`, `[v6]:port`, or nothing.
std::optional<std::string> host_problem(std::string_view host) {
    if (host.starts_with('[')) {
        const auto close = host.find(']');
        if (close == std::string_view::npos) return "the bracket of its IPv6 address isn't closed";
        host.remove_prefix(close + 1);
        if (!host.empty() && !host.starts_with(':')) return "only a port may follow its IPv6 address";
    }
    const auto colon = host.find(':');
    if (colon == std::string_view::npos || colon + 1 == host.size()) return std::nullopt;
    if (!parse_port(host.substr(colon + 1))) {
        return "its port must be from 1 to 65535; `/`, `@`, `:` and `%` of a password are written %2F, %40, "
               "%3A, %25";
    }
    return std::nullopt;
}

std::optional<std::string> uri_problem(std::string_view rest) {
    if (!well_encoded(rest)) return "must hold no spaces, and `%` only before two hexadecimal digits";
    const auto question = rest.find('?');
    std::string_view parameters = question == std::string_view::npos ? "" : rest.substr(question + 1);
    rest = rest.substr(0, question);

    std::string_view authority = rest.substr(0, rest.find('/'));
    if (const auto at = authority.find('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);
    for (bool more = true; more;) {
        const auto comma = authority.find(',');
        if (auto problem = host_problem(authority.substr(0, comma))) return problem;
        more = comma != std::string_view::npos;
        if (more) authority.remove_prefix(comma + 1);
    }
    while (!parameters.empty()) {
        const auto ampersand = parameters.find('&');
        const auto parameter = parameters.substr(0, ampersand);
        const auto equals = parameter.find('=');
        if (equals == std::string_view::npos || !is_key(parameter.substr(0, equals))) {
            return "what follows its `?` must be key=value pairs with `&` between them";
        }
        parameters = ampersand == std::string_view::npos ? "" : parameters.substr(ampersand + 1);
    }
    return std::nullopt;
}

std::optional<std::string> pairs_problem(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    bool any = false;
    std::size_t i = text.find_first_not_of(blanks);
    while (i != std::string_view::npos) {
        const auto equals = text.find('=', i);
        if (equals == std::string_view::npos) return std::string(shape);
        auto key = text.substr(i, equals - i);
        key = key.substr(0, key.find_last_not_of(blanks) + 1);
        if (!is_key(key))
            return "has a value with blanks that isn't in single quotes, or a name that isn't one";
        i = text.find_first_not_of(blanks, equals + 1);
        const bool is_quoted = i != std::string_view::npos && text[i] == '\'';
        if (is_quoted) ++i;
        for (; i < text.size(); ++i) {
            if (text[i] == '\\') {
                ++i;
            } else if (is_quoted ? text[i] == '\'' : blanks.contains(text[i])) {
                break;
            }
        }
        if (is_quoted && i >= text.size()) return "has a quoted value that isn't closed";
        any = true;
        i = i >= text.size() ? std::string_view::npos : text.find_first_not_of(blanks, i + 1);
    }
    return any ? std::nullopt : std::optional(std::string(shape));
}

}  // namespace

std::optional<std::string> database_url_problem(std::string_view url) {
    for (const std::string_view scheme : {"postgresql://", "postgres://"}) {
        if (url.starts_with(scheme)) return uri_problem(url.substr(scheme.size()));
    }
    // `mysql://…?x=y` has a `=` too.
    if (url.substr(0, url.find('=')).contains("://")) return std::string(shape);
    return pairs_problem(url);
}

}  // namespace nomiqon::config_detail
