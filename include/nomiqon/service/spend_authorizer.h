#pragma once

#include <boost/asio/awaitable.hpp>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nomiqon/core/config.h"
#include "nomiqon/core/host.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/core/refusal.h"
#include "nomiqon/core/time.h"
#include "nomiqon/ledger/ledger.h"
#include "nomiqon/metering/routes.h"
#include "nomiqon/token/spend_token.h"

namespace nomiqon::service {

/// How a request goes out, which decides what its price is.
enum class Way : std::uint8_t { plain, tunnel };

/// What a call inside an intercepted connection can cost at most.
struct CallPrice {
    Usdc bound;
    std::string model{};                      ///< as the request names it; empty: none
    std::vector<std::string> other_models{};  ///< that may serve it instead: the policy must permit each
    bool metered = false;                     ///< its answer decides; else it is owed in full, or nothing is
    bool uses_no_model = false;               ///< a meter knows it as one of the provider's free calls
};

/// How a call ended, for the ledger: what the answer named, and how its cost was computed.
struct Settled {
    std::string model{};
    std::string basis{};  ///< metering::Charge::basis
};

/// A request in the terms of money: no sockets, no bytes.
struct SpendRequest {
    RequestId id;
    Way way = Way::plain;
    Scheme scheme = Scheme::https;
    HostName host;
    std::uint16_t port = 443;
    std::string method;
    std::string path;           ///< without query; empty for a tunnel
    std::string token;          ///< as presented, with or without `spt_`; empty: none
    std::string claimed_caid;   ///< user name of Basic credentials; must be the token's kid. Empty: none
    std::string claimed_agent;  ///< X-Nomiqon-Agent-Id; must be the agent of the CAID. Empty: none
    /// The token stood on the CONNECT around this request, and `check_token` gave it: `htm` CONNECT admits
    /// the request, and the signature isn't checked again. Goes before `token`; null: there is none.
    std::shared_ptr<const token::SpendToken> of_connect{};
};

class SpendAuthorizer;
class TypicalCosts;

/// Money that is held for one request. Must be ended once, by `settle` or `release`; one that is dropped
/// otherwise is settled in full as unknown, so that no path through the proxy can forget it. "In full" is the
/// bound, of a typical hold too: who cuts his answers short mustn't pay less for it. Movable, owned by one
/// coroutine.
class Reservation {
  public:
    Reservation(Reservation&& other) noexcept;
    Reservation& operator=(Reservation&& other) noexcept;
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;
    ~Reservation();

    [[nodiscard]] const AgentId& agent() const { return held_.agent; }
    [[nodiscard]] const TransactionId& transaction() const { return held_.transaction; }
    /// What is held: the bound, or less of a typical one.
    [[nodiscard]] Usdc amount() const { return held_.amount; }
    /// What is owed in full.
    [[nodiscard]] Usdc bound() const { return bound_; }

    void settle(Usdc amount, Settled how = {});  ///< what it really cost, be it more than what is held
    void settle_in_full(Settled how = {});  ///< a flat price, which is owed as soon as the request went out
    void settle_as_unknown(Settled how = {});  ///< in full: it went out and nobody knows what became of it
    void release(RefusalCode why);             ///< provably nothing was sent

  private:
    friend class SpendAuthorizer;
    /// Where a metered cost is remembered, for the holds of later requests.
    struct Lesson {
        std::shared_ptr<TypicalCosts> costs;  // null: nothing is to be learned
        std::string kind;
    };
    Reservation(ledger::Ledger& ledger, ledger::Reserved held, Usdc bound, Lesson lesson)
        : ledger_(&ledger), held_(std::move(held)), bound_(bound), lesson_(std::move(lesson)) {}
    void end(ledger::Ending ending, Usdc amount, bool unknown, std::string reason, Settled how);

    ledger::Ledger* ledger_;  // null once ended or moved from
    ledger::Reserved held_;
    Usdc bound_;
    Lesson lesson_;
};

/// A request whose token and policy are in order. What it may cost is still to be read from its body, which
/// nobody reads for a request that isn't admitted.
class Admission {
  public:
    Admission(Admission&&) noexcept;
    Admission& operator=(Admission&&) noexcept;
    ~Admission();
    [[nodiscard]] const AgentId& agent() const;

  private:
    friend class SpendAuthorizer;
    struct Parts;
    explicit Admission(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

/// Decides whether a request may spend. The one place where token, policy, price and ledger meet.
/// Thread-safe; lives as long as the gateway.
class SpendAuthorizer {
  public:
    struct Options {
        std::string audience = "nomiqon";
        Duration wait{500};  ///< for money that is only held
        std::size_t cached_agents = 10'000;
        std::size_t typical_kinds = 10'000;  ///< of agent, host and model, whose costs are remembered
        bool require_allowlist = false;
    };
    SpendAuthorizer(ledger::Ledger& ledger, const Clock& clock,
                    std::shared_ptr<const metering::RouteTable> routes, Options options);
    ~SpendAuthorizer();

    /// token → policy → price → reserve, in the order of spec/api.md "Policy". Refusals of an agent that the
    /// token proved are also recorded in the ledger.
    boost::asio::awaitable<std::expected<Reservation, Refusal>> authorize(SpendRequest request);

    /// The first half of `authorize`: token → policy. A refusal is recorded, and burns the token's id, as
    /// there.
    boost::asio::awaitable<std::expected<Admission, Refusal>> admit(SpendRequest request);
    /// The second half: price → reserve. `price` may be a refusal of its own (`price_unknown`), which is
    /// recorded like any other.
    boost::asio::awaitable<std::expected<Reservation, Refusal>> reserve(
        Admission admission, std::expected<CallPrice, RefusalCode> price);
    /// What the agent of `admission` could still spend with its token at this moment: a hint, no reservation.
    boost::asio::awaitable<std::expected<Usdc, Refusal>> affordable(const Admission& admission);

    /// Checks a token that stands on the CONNECT to a host whose requests will be read one by one (CONNECT to
    /// port 80, interception): form, signature, life, the origin it is bound to, registration,
    /// whether it was used. Consumes nothing. What it gives is each inner request's `of_connect`.
    boost::asio::awaitable<std::expected<std::shared_ptr<const token::SpendToken>, Refusal>> check_token(
        SpendRequest request);

    /// Replaces the routes and prices, as SIGHUP does. Requests under way keep the table that they began
    /// with.
    void set_routes(std::shared_ptr<const metering::RouteTable> routes);
    [[nodiscard]] std::shared_ptr<const metering::RouteTable> routes() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nomiqon::service
