#pragma once

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "nomiqon/core/caid.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/core/refusal.h"
#include "nomiqon/core/time.h"
#include "nomiqon/core/usdc.h"

namespace nomiqon::ledger {

/// Why the ledger could not answer. Both mean: refuse (503). Nothing was decided, or, for a lost answer,
/// nothing is told: what may have been reserved expires with the gateway's lease or is looked up.
enum class LedgerError : std::uint8_t { unavailable, overloaded };

/// What the gateway may remember of an agent between two requests. A hint only: every reservation is
/// rechecked against the database's own row, which answers `StalePolicy` when the hint is old.
struct AgentSnapshot {
    AgentId agent;
    std::int32_t policy_version = 0;
    std::string policy_document;  ///< JSON, as the policy module reads it
};

/// A request that asks for money.
struct ReserveCommand {
    TransactionId transaction;
    RequestId request;
    AgentId agent;
    Caid caid;
    std::int32_t policy_version = 0;  ///< under which `decision` was made
    std::optional<RefusalCode>
        decision;  ///< what policy or price said no to; the ledger adds what comes before it
    Usdc amount;   ///< the upper bound of what it can cost
    /// Of a route with `reserve: "typical"`: what such a request has cost so far. This much is held instead
    /// of the bound, as far as the sum of bound − held over the agent's open requests stays within
    /// `overrun_limit`; the rest of the bound is held too.
    std::optional<Usdc> typical{};
    Usdc overrun_limit{};
    /// How long it may wait, in the order of arrival, for money that only open reservations hold.
    std::chrono::steady_clock::time_point wait_until{};
    std::string token;  ///< the signed token, kept as the agent's proof of the spend
    std::string jti;
    std::int64_t token_exp = 0;  ///< Unix seconds
    bool session = false;
    std::optional<Usdc> token_max;
    std::string ref;
    std::string scheme;  ///< http, https
    std::string host;
    std::uint16_t port = 0;
    std::string method;
    std::string model;
};

struct Reserved {
    TransactionId transaction;
    AgentId agent;
    Day day;
    Usdc amount;  ///< what is held: the bound, or less of a typical one
};

/// Refused by the database's own state, or the gateway's decision confirmed.
struct ReserveRefused {
    RefusalCode code;
    std::optional<CapState> cap;
};

/// The gateway decided under an old version: decide again with this one.
struct StalePolicy {
    AgentSnapshot current;
};

using ReserveAnswer = std::variant<Reserved, ReserveRefused, StalePolicy>;

enum class Ending : std::uint8_t { settled, released };

/// How a reservation ends. Exactly one of them takes effect, whoever tries and however often.
struct EndCommand {
    TransactionId transaction;
    AgentId agent;
    Day day;
    Ending ending = Ending::settled;
    Usdc amount;           ///< what it cost; 0 for a release
    bool unknown = false;  ///< settled in full because nobody knows better
    std::string reason;    ///< of a release, a refusal's name (`upstream_unreachable`, `sni_mismatch`, …)
    std::string model;     ///< what the answer named
    std::string basis{};   ///< how `amount` was computed (metering::Charge::basis); empty: a flat price
};

/// Whose money `affordable` looks at, and the token that would pay.
struct AffordableQuery {
    AgentId agent;
    Caid caid;
    std::string jti;
    std::int64_t token_exp = 0;  ///< Unix seconds
    std::optional<Usdc> token_max{};
};

/// A refusal as finance sees it: a transaction of status `rejected`.
struct RefusalRecord {
    TransactionId transaction;
    AgentId agent;
    Caid caid;
    RefusalCode code;
    Usdc amount;  ///< what was asked for, as far as it was known
    std::int32_t policy_version = 0;
    std::string jti, ref, host, method, model;
    Time at;
};

/// The money, as the service sees it. Coroutines resume on their own executor; safe from any thread.
class Ledger {
  public:
    virtual ~Ledger() = default;

    /// The agent that a CAID belongs to, active or not; `nullopt` when nobody registered it.
    virtual boost::asio::awaitable<std::expected<std::optional<AgentSnapshot>, LedgerError>> find_agent(
        Caid caid) = 0;

    /// Whether a token's id was burnt or, for a session, used up. Reads only.
    virtual boost::asio::awaitable<std::expected<bool, LedgerError>> is_token_used(AgentId agent, Caid caid,
                                                                                   std::int64_t exp,
                                                                                   std::string jti) = 0;

    /// Checks in one transaction: token id, status, identity, freeze, policy version, the gateway's decision,
    /// token's `max`, `maxPerRequest`, total, day, wallet; and reserves. See migrations/0002_reserve.sql for
    /// the order. What would fit if open reservations came back waits for that, up to `wait_until`.
    virtual boost::asio::awaitable<std::expected<ReserveAnswer, LedgerError>> reserve(
        ReserveCommand command) = 0;

    /// What the agent could reserve at this moment: the least of wallet, caps, `maxPerRequest` and what is
    /// left of the token. Never below 0. Reads only, and promises nothing.
    virtual boost::asio::awaitable<std::expected<Usdc, LedgerError>> affordable(AffordableQuery query) = 0;

    /// Ends a reservation. Returns at once: the command is kept and retried until the database has it, or the
    /// gateway's drain ends; what is lost with the process expires and is settled in full.
    virtual void end(EndCommand command) = 0;

    /// Queues a refusal to be written in a batch within a second. Bounded: past the bound it is counted only.
    virtual void record_refusal(RefusalRecord record) = 0;
};

/// An error that an administrative function raised, in the API's terms (spec/api.md "Conventions").
struct AdminError {
    std::string code;  ///< not_found, conflict, precondition_failed, validation_error, forbidden,
                       ///< internal_error; or unavailable
    std::string message;
    std::string param;  ///< a JSON pointer, or empty
};

/// The administrative functions of the database: `nomiqon.admin_<function>(arguments jsonb) returns jsonb`.
class AdminStore {
  public:
    virtual ~AdminStore() = default;
    /// One transaction. Thread-safe; resumes on the caller's executor.
    virtual boost::asio::awaitable<std::expected<nlohmann::json, AdminError>> call(
        std::string function, nlohmann::json arguments) = 0;
};

}  // namespace nomiqon::ledger
