#include "query_credential.h"

#include <algorithm>
#include <array>

#include "head_lines.h"

namespace nomiqon::proxy {
namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// A parameter's name as a provider reads it: form decoding (WHATWG URL, 5.1).
std::string decoded(std::string_view name) {
    std::string result;
    for (std::size_t i = 0; i < name.size(); ++i) {
        const int high = name[i] == '%' && i + 2 < name.size() ? hex_digit(name[i + 1]) : -1;
        const int low = high >= 0 ? hex_digit(name[i + 2]) : -1;
        if (low >= 0) {
            result += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            result += name[i] == '+' ? ' ' : name[i];
        }
    }
    return result;
}

std::string encoded(std::string_view value) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string result;
    for (const char c : value) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           std::string_view("-._~").contains(c);
        if (plain) {
            result += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            result.append(1, '%').append(1, digits[byte >> 4U]).append(1, digits[byte & 15U]);
        }
    }
    return result;
}

bool is_agents_credential(std::string_view parameter, const RouteCredential& credential) {
    constexpr std::array<std::string_view, 4> usual{"key", "api_key", "apikey", "access_token"};
    const std::string name = decoded(parameter.substr(0, parameter.find('=')));
    return iequals(name, credential.query) ||
           std::ranges::any_of(usual, [&](std::string_view known) { return iequals(known, name); });
}

}  // namespace

std::string target_with_credential(std::string_view path_and_query, const RouteCredential& credential,
                                   std::string_view agent_id) {
    const auto mark = path_and_query.find('?');
    std::string result(path_and_query.substr(0, mark));
    char separator = '?';
    const auto append = [&](std::string_view parameter) {
        result.append(1, separator).append(parameter);
        separator = '&';
    };
    std::string_view rest =
        mark == std::string_view::npos ? std::string_view{} : path_and_query.substr(mark + 1);
    const bool had_query = mark != std::string_view::npos && !rest.empty();
    while (had_query) {
        const auto end = rest.find('&');
        if (const auto parameter = rest.substr(0, end); !is_agents_credential(parameter, credential)) {
            append(parameter);
        }
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
    }
    if (!credential.query.empty()) {
        append(encoded(credential.query) + "=" + encoded(credential.value_for(agent_id).reveal()));
    }
    return result;
}

}  // namespace nomiqon::proxy
