#pragma once

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

/// Refusals: `bad_request` when a field of these comes more than once; `spend_token_invalid` for another
/// scheme or for Basic credentials that can't be read. That there is no token is no refusal here: whether one
/// is needed is the caller's to say.
[[nodiscard]] std::expected<Credentials, Refusal> read_credentials(const HeaderFields& headers);

}  // namespace nomiqon::proxy
