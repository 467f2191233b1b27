#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "nomiqon/core/host.h"
#include "nomiqon/core/refusal.h"
#include "nomiqon/core/time.h"
#include "nomiqon/core/usdc.h"

namespace nomiqon::policy {

struct PolicyProblem {
    std::string pointer;  ///< JSON pointer into the policy: `/allowlist/3`
    std::string message;
};

struct ParseOptions {
    bool require_allowlist = false;  ///< the configuration's `policy.requireAllowlist`
};

/// What a policy has to say about a request before any money is looked at.
struct Request {
    Scheme scheme = Scheme::https;
    HostName host;
    std::uint16_t port = 443;
    std::string_view method;
    std::string_view path{};   ///< without query; empty for a tunnel
    std::string_view model{};  ///< of a metered request; empty: none, or not known yet
    /// An empty model is no longer one that isn't known yet: money would be spent without one being named, so
    /// that an entry with `models` doesn't permit it.
    bool model_due = false;
};

/// One version of an agent's policy, ready to decide. Immutable; shared between threads.
///
/// The document is the API's (spec/api.md "Policy") without what the gateway itself adds (id, version,
/// createdAt, createdBy, reason, _computed): `dailyCap`, `totalCap`, `maxPerRequest` (decimal strings),
/// `allowlist`, `blocklist` (hosts, `*.example.com`, `*`, each with an optional `:port`; without one: 443,
/// and 80 for plain requests; or an object of such a `host` with `methods`, `paths`, `models`), `activeFrom`,
/// `activeUntil` (RFC 3339), `activeHours` {timezone (IANA), from, to ("HH:MM", `to` may be before `from`:
/// past midnight)}, `frozen`.
class Policy {
  public:
    /// Checks a whole document. Unknown members, and members of the published policy that this version does
    /// not enforce yet (`windowCap`, `rateLimit`, `requireBinding`), are refused by name: nothing is ever
    /// ignored.
    static std::expected<std::shared_ptr<const Policy>, PolicyProblem> parse(
        const nlohmann::json& document, const ParseOptions& options = {});
    Policy();
    ~Policy();
    Policy(const Policy&) = delete;
    Policy& operator=(const Policy&) = delete;

    [[nodiscard]] std::optional<Usdc> daily_cap() const;
    [[nodiscard]] std::optional<Usdc> total_cap() const;
    [[nodiscard]] std::optional<Usdc> max_per_request() const;
    [[nodiscard]] bool frozen() const;

    /// The first of: frozen, outside its times (`policy_inactive`), blocklist, allowlist. Lists refuse by
    /// `policy_domain_blocked` (the host, its port, the path), `policy_method_blocked` or
    /// `policy_model_blocked`: whatever stopped the request in the entry in which it came furthest, in the
    /// order host, method, path, model. What an entry with conditions can't see (all of them in a tunnel, a
    /// path that could be read in two ways) the allowlist doesn't permit and the blocklist refuses.
    ///
    /// May be asked twice: before the body is read, without a model, and once it is known; the first answer
    /// only says what is refused whatever the body says. A pure function of its arguments; cost does not grow
    /// with the length of the lists (hash look-ups of the host and of its parent domains).
    [[nodiscard]] std::optional<RefusalCode> decide(const Request& request, Time now) const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// `current` with `partial` merged in, as PATCH does: a member that is there replaces, `null` removes. The
/// result is not yet checked: `Policy::parse` does. Amounts stay as they were written.
[[nodiscard]] nlohmann::json merge(const nlohmann::json& current, const nlohmann::json& partial);

}  // namespace nomiqon::policy
