#include "credentials.h"

#include <optional>
#include <string_view>
#include <utility>

#include "nomiqon/core/encoding.h"

namespace nomiqon::proxy {
namespace {

// A CAID and the longest token are about 2,100 characters, 2,900 in base64; more need not be decoded.
constexpr std::size_t max_basic_length = 4096;

Refusal invalid(std::string_view detail) {
    return {.code = RefusalCode::spend_token_invalid, .detail = std::string{detail}};
}

struct UserAndToken {
    std::string user, token;
};

std::expected<UserAndToken, Refusal> read_basic(std::string_view encoded) {
    if (encoded.size() > max_basic_length) return std::unexpected(invalid("Basic credentials are too long"));
    const auto decoded = base64_decode(encoded);
    if (!decoded) return std::unexpected(invalid("Basic credentials are no base64"));
    const auto colon = decoded->find(':');  // the first: a user name has none (RFC 7617 2)
    if (colon == std::string::npos) return std::unexpected(invalid("Basic credentials without a colon"));
    UserAndToken pair{.user = decoded->substr(0, colon), .token = decoded->substr(colon + 1)};
    // Without a password there is no token, which is missing rather than wrong. With one, the user must be
    // its kid.
    if (pair.user.empty() && !pair.token.empty()) {
        return std::unexpected(invalid("Basic credentials without a user"));
    }
    return pair;
}

std::expected<UserAndToken, Refusal> read_proxy_authorization(std::string_view value) {
    if (value.empty()) return UserAndToken{};
    const auto space = value.find(' ');
    const auto scheme = value.substr(0, space);
    const auto rest = space == std::string_view::npos ? std::string_view{} : trim_ows(value.substr(space));
    if (iequals(scheme, "Bearer")) return UserAndToken{.user = {}, .token = std::string{rest}};
    if (iequals(scheme, "Basic")) {
        if (rest.empty()) return UserAndToken{};
        return read_basic(rest);
    }
    return std::unexpected(invalid("unknown scheme of Proxy-Authorization"));
}

}  // namespace

std::expected<Credentials, Refusal> read_credentials(const HeaderFields& headers, Hop hop) {
    for (const std::string_view name :
         {"Proxy-Authorization", "X-Nomiqon-Spend-Token", "X-Nomiqon-Agent-Id"}) {
        if (hop == Hop::inside && iequals(name, "Proxy-Authorization")) continue;
        if (count_fields(headers, name) > 1) {
            return std::unexpected(
                Refusal{.code = RefusalCode::bad_request, .detail = "more than one " + std::string{name}});
        }
    }
    Credentials credentials;
    if (const auto* agent = find_field(headers, "X-Nomiqon-Agent-Id")) {
        if (agent->value.empty()) return std::unexpected(invalid("an empty X-Nomiqon-Agent-Id"));
        credentials.claimed_agent = agent->value;
    }
    const auto* own = find_field(headers, "X-Nomiqon-Spend-Token");
    if (own != nullptr && !own->value.empty()) {
        // The user name of Basic speaks of the other token: it is no claim about this one.
        credentials.token = own->value;
        return credentials;
    }
    if (hop == Hop::inside) return credentials;
    if (const auto* proxy = find_field(headers, "Proxy-Authorization")) {
        auto pair = read_proxy_authorization(proxy->value);
        if (!pair) return std::unexpected(std::move(pair.error()));
        credentials.claimed_caid = std::move(pair->user);
        credentials.token = std::move(pair->token);
    }
    return credentials;
}

std::expected<Credentials, Refusal> inner_credentials(const Credentials& of_connect, Credentials own,
                                                      bool from_connect) {
    if (!of_connect.claimed_agent.empty()) {
        if (!own.claimed_agent.empty() && own.claimed_agent != of_connect.claimed_agent) {
            return std::unexpected(invalid("X-Nomiqon-Agent-Id other than the connection's"));
        }
        own.claimed_agent = of_connect.claimed_agent;
    }
    if (from_connect) {
        own.token = of_connect.token;
        own.claimed_caid = of_connect.claimed_caid;
    }
    return own;
}

}  // namespace nomiqon::proxy
