#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nomiqon/core/time.h"
#include "nomiqon/core/usdc.h"

namespace nomiqon {

/// Every way in which the gateway says no. The table in refusal.cpp gives each its code, status and message;
/// nothing else builds an error text.
enum class RefusalCode : std::uint8_t {
    bad_request,
    request_too_large,  // a body: 413
    header_too_large,   // shown as request_too_large, 431
    spend_token_missing,
    spend_token_invalid,
    spend_token_expired,
    spend_token_mismatch,
    spend_token_replayed,
    spend_token_exhausted,
    spend_token_reserved,
    agent_terminated,
    agent_paused,
    identity_revoked,
    agent_frozen,
    policy_inactive,
    policy_domain_blocked,
    policy_method_blocked,
    policy_model_blocked,
    price_unknown,
    request_limit_exceeded,
    rate_limit_exceeded,
    policy_cap_exceeded,
    policy_cap_reserved,
    insufficient_balance,
    balance_reserved,
    approval_denied,
    approval_timeout,
    address_blocked,
    sni_mismatch,
    upstream_unreachable,
    upstream_timeout,
    ledger_unavailable,
    overloaded,
};
inline constexpr int refusal_code_count = static_cast<int>(RefusalCode::overloaded) + 1;

struct RefusalInfo {
    RefusalCode code;
    std::string_view name;     ///< on the wire: `policy_cap_exceeded`
    int status;                ///< HTTP status on the proxy hop; `status_inside_intercept` turns 407 into 401
    bool retry_helps;          ///< x-should-retry
    std::string_view message;  ///< what to do next, for the agent's developer
};

[[nodiscard]] const RefusalInfo& info(RefusalCode code);
[[nodiscard]] std::optional<RefusalCode> refusal_from_name(std::string_view name);

/// Which cap refused, and how it stands. Told only to the agent whose money it is.
struct CapState {
    std::string cap;  ///< `daily`, `total`, `balance`, `token`, `request`
    Usdc limit;
    Usdc spent;
    Usdc reserved;
    std::optional<Time> resets_at{};
    friend bool operator==(const CapState&, const CapState&) = default;
};

/// A no, with what only the log may know.
struct Refusal {
    RefusalCode code;
    std::string detail{};  ///< for the log, never for the caller; no secrets
    std::optional<CapState> cap{};
    std::string agent{};  ///< the agent's id, where the token proved it
};

}  // namespace nomiqon
