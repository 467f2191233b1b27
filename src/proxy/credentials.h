#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "head_lines.h"
#include "nomiqon/core/refusal.h"

// The ways in which a spend token travels (docs: "How it travels" of the spend token):
//   Proxy-Authorization: Bearer <token>
//   Proxy-Authorization: Basic base64(<CAID>:<token>)
//   X-Nomiqon-Spend-Token: <token>, which goes before the other two
//   X-Nomiqon-Agent-Id: <agent>, a claim that the service compares

namespace nomiqon::proxy {

/// What a request presents. All of it is the attacker's word, and `token` is a secret: never logged.
struct Credentials {
    std::string token{};  ///< with or without `spt_`; empty: none, or an empty one (`spend_token_missing`)
    std::string claimed_caid{};   ///< the user name of Basic; empty: none
    std::string claimed_agent{};  ///< empty: none
};

/// Where the request stands: to the proxy itself, or inside a connection that a CONNECT opened, where
/// Proxy-Authorization is nothing to this gateway.
enum class Hop : std::uint8_t { proxy, inside };

/// Refusals: `bad_request` when a field of these comes more than once; `spend_token_invalid` for another
/// scheme, for Basic credentials that can't be read, and for an empty claim of an agent. That there is no
/// token is no refusal here: whether one is needed is the caller's to say.
[[nodiscard]] std::expected<Credentials, Refusal> read_credentials(const HeaderFields& headers, Hop hop);

/// What a request inside presents together with its CONNECT: whose token counts, and the claims of both.
/// Refusal: `spend_token_invalid` when they claim different agents.
[[nodiscard]] std::expected<Credentials, Refusal> inner_credentials(const Credentials& of_connect,
                                                                    Credentials own, bool from_connect);

}  // namespace nomiqon::proxy
