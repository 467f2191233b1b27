#pragma once

#include <spdlog/logger.h>
#include <cstdint>
#include <memory>
#include <string>

#include "nomiqon/core/config.h"
#include "nomiqon/core/time.h"
#include "nomiqon/ledger/ledger.h"

namespace nomiqon::ledger {

/// Counters for the metrics page; sums since the start.
struct LedgerStats {
    std::uint64_t batches = 0, reserved = 0, refused = 0, ended = 0, corrected = 0;
    std::uint64_t unavailable = 0, overloaded = 0;
    std::uint64_t refusals_dropped = 0, expired = 0;
    std::size_t waiting = 0, endings_waiting = 0, in_doubt = 0;
};

/// The ledger on PostgreSQL, and the administrative functions beside it.
///
/// Requests are queued by their agent onto `database.connections` threads, each with a connection of its own;
/// a thread takes all that waits (up to `database.batch`, agents taking turns; it never waits for more to
/// come) into one transaction. Another thread keeps the lease, writes refusals, expires what gone gateways
/// left, and looks up what is in doubt; one listens for money that came back on other gateways; two more
/// serve the administrative functions, so that a report delays no request.
///
/// Until `connect` was called, and whenever the database is away, everything answers `unavailable`; the
/// threads reconnect by themselves.
class PostgresLedger final : public Ledger, public AdminStore {
  public:
    struct Options {
        unsigned connections = 2;
        std::size_t queue = 4096;
        std::size_t batch = 128;
        Duration timeout{3000};  ///< for one answer, waiting in the queue included
        Duration admin_timeout{30'000};
        Duration lease{60'000};
        std::size_t refusals = 10'000;
        std::string version;
    };
    PostgresLedger(Options options, std::shared_ptr<spdlog::logger> log);
    ~PostgresLedger() override;

    /// Where the database is, from now on: a libpq connection string, and the role to take (`SET ROLE`) if
    /// any.
    void connect(std::string conninfo, std::string set_role);

    /// Hands in all endings that wait, at most for `limit`; then gives the lease back and ends the threads.
    /// What could not be handed in is left to the lease's expiry. Idempotent.
    void stop(Duration limit);

    /// Keeps a price book under its version in the database, as soon as that answers. Thread-safe.
    void keep_price_book(std::string version, std::string document);
    [[nodiscard]] bool is_available() const;  ///< whether the last contact with the database went well
    [[nodiscard]] LedgerStats stats() const;

    boost::asio::awaitable<std::expected<std::optional<AgentSnapshot>, LedgerError>> find_agent(
        Caid caid) override;
    boost::asio::awaitable<std::expected<bool, LedgerError>> is_token_used(AgentId agent, Caid caid,
                                                                           std::int64_t exp,
                                                                           std::string jti) override;
    boost::asio::awaitable<std::expected<Usdc, LedgerError>> affordable(AffordableQuery query) override;
    boost::asio::awaitable<std::expected<ReserveAnswer, LedgerError>> reserve(
        ReserveCommand command) override;
    void end(EndCommand command) override;
    void record_refusal(RefusalRecord record) override;
    boost::asio::awaitable<std::expected<nlohmann::json, AdminError>> call(std::string function,
                                                                           nlohmann::json arguments) override;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nomiqon::ledger
