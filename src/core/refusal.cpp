#include "nomiqon/core/refusal.h"

#include <algorithm>
#include <array>

namespace nomiqon {
namespace {

using enum RefusalCode;

// A retry helps where waiting alone can mend it: money or connections that come back, a provider, a database.
// It does not where the same request would meet the same answer, which is so for every token that the client
// sends again.
constexpr auto refusals = std::to_array<RefusalInfo>({
    {bad_request, "bad_request", 400, false,
     "The request is malformed or can be read in two ways; correct it before sending it again."},
    {request_too_large, "request_too_large", 413, false,
     "The request's body is larger than the gateway takes; send less, or ask the operator to raise the "
     "limit."},
    {header_too_large, "request_too_large", 431, false,
     "The request's header fields are larger than the gateway takes; send fewer or shorter ones."},
    {spend_token_missing, "spend_token_missing", 407, false,
     "Send a spend token: X-Nomiqon-Spend-Token or Proxy-Authorization: Bearer <token>, or the "
     "proxy URL http://<CAID>:<token>@gateway."},
    {spend_token_invalid, "spend_token_invalid", 407, false,
     "The spend token is malformed, badly signed, or of an unknown identity; mint a new one with a "
     "registered key."},
    {spend_token_expired, "spend_token_expired", 407, false,
     "The spend token has expired; mint a new one and check the clock of the machine that mints."},
    {spend_token_mismatch, "spend_token_mismatch", 407, false,
     "The spend token is bound to another method or URL; mint one whose htm and htu are this request's."},
    {spend_token_replayed, "spend_token_replayed", 407, false,
     "This single-use spend token was used before; mint a new one for each request, or a session token."},
    {spend_token_exhausted, "spend_token_exhausted", 402, false,
     "The spend token's max can't pay for this request; mint one with a higher max, or ask for less."},
    {spend_token_reserved, "spend_token_reserved", 429, true,
     "The rest of the spend token's max is held by open requests; retry when they have ended."},
    {agent_terminated, "agent_terminated", 410, false,
     "This agent was terminated for good; create another one to go on spending."},
    {agent_paused, "agent_paused", 403, false, "This agent is paused; ask its operator to resume it."},
    {identity_revoked, "identity_revoked", 403, false,
     "This identity was revoked for good; register a new key for the agent and sign with that."},
    {agent_frozen, "agent_frozen", 403, false,
     "This agent's spending is frozen; ask its operator to lift the freeze."},
    {policy_inactive, "policy_inactive", 403, false,
     "The agent's policy is outside its active times; come back within them, or have the policy changed."},
    {policy_domain_blocked, "policy_domain_blocked", 403, false,
     "The agent's policy does not permit this host; use a permitted one, or have it added to the allowlist."},
    {policy_method_blocked, "policy_method_blocked", 403, false,
     "The agent's policy does not permit this method or path on this host; use a permitted one."},
    {policy_model_blocked, "policy_model_blocked", 403, false,
     "The agent's policy does not permit this model; use a permitted one, or have it added to the policy."},
    {price_unknown, "price_unknown", 422, false,
     "The gateway can't bound what this request costs; use a priced model and call, or have a price "
     "configured."},
    {request_limit_exceeded, "request_limit_exceeded", 402, false,
     "This request may cost more than the policy allows for one; lower its output limit, or have the limit "
     "raised."},
    {rate_limit_exceeded, "rate_limit_exceeded", 429, true,
     "The agent sends more requests than its policy allows; wait as long as Retry-After says."},
    {policy_cap_exceeded, "policy_cap_exceeded", 402, false,
     "The agent's cap is spent; wait until it resets, or have the cap raised."},
    {policy_cap_reserved, "policy_cap_reserved", 429, true,
     "The rest of the agent's cap is held by open requests; retry when they have ended."},
    {insufficient_balance, "insufficient_balance", 402, false,
     "The agent's wallet can't pay for this request; have it funded, or ask for less."},
    {balance_reserved, "balance_reserved", 429, true,
     "The rest of the wallet's balance is held by open requests; retry when they have ended."},
    {approval_denied, "approval_denied", 403, false,
     "An operator denied this spend; ask them before trying again."},
    {approval_timeout, "approval_timeout", 403, false,
     "Nobody approved this spend in time; ask the operator, then send the request again."},
    {address_blocked, "address_blocked", 403, false,
     "The host's address is private or reserved; have its network named in upstream.allowPrivate if it is "
     "meant."},
    {sni_mismatch, "sni_mismatch", 403, false,
     "The tunnel did not start with a TLS ClientHello for the host of its CONNECT; connect to the host you "
     "mean."},
    {upstream_unreachable, "upstream_unreachable", 502, true,
     "The host could not be reached; check its name, or try again later."},
    {upstream_timeout, "upstream_timeout", 504, true, "The host did not answer in time; try again later."},
    {ledger_unavailable, "ledger_unavailable", 503, true,
     "The gateway can't reach its ledger and lets nothing pass without it; try again shortly."},
    {overloaded, "overloaded", 503, true,
     "The gateway has more work than it takes at once; try again shortly."},
});
static_assert(refusals.size() == refusal_code_count);

consteval bool in_enum_order() {
    for (std::size_t i = 0; i < refusals.size(); ++i) {
        if (static_cast<std::size_t>(refusals[i].code) != i) return false;
    }
    return true;
}
static_assert(in_enum_order());

}  // namespace

const RefusalInfo& info(RefusalCode code) {
    return refusals[static_cast<std::size_t>(code)];
}

std::optional<RefusalCode> refusal_from_name(std::string_view name) {
    const auto* const found = std::ranges::find(refusals, name, &RefusalInfo::name);
    if (found == refusals.end()) return std::nullopt;
    return found->code;
}

}  // namespace nomiqon
