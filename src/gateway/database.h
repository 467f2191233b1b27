#pragma once

#include <spdlog/logger.h>
#include <atomic>
#include <condition_variable>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "nomiqon/core/config.h"
#include "nomiqon/ledger/embedded_postgres.h"
#include "nomiqon/ledger/postgres_ledger.h"

namespace nomiqon::gateway {

/// Brings the database up and hands it to the ledger: starts the private PostgreSQL (or takes the configured
/// one), migrates it, makes the roles, makes the first API key.
///
/// An outside PostgreSQL that can't be reached yet is waited for in the background, while the gateway already
/// refuses requests with a clear code; a database that can't be used at all (another version, no rights) is
/// an error.
class Database {
  public:
    Database(const Config& config, ledger::PostgresLedger& ledger, std::shared_ptr<spdlog::logger> log);
    ~Database();

    /// `failed` is called from the background thread when a database that came up late turns out to be
    /// unusable.
    [[nodiscard]] std::expected<void, std::string> bring_up(std::function<void(std::string)> failed);
    [[nodiscard]] bool is_up() const { return up_; }
    void stop();  ///< the private PostgreSQL, last of all

  private:
    [[nodiscard]] bool is_reachable() const;
    [[nodiscard]] std::expected<void, std::string> prepare();
    /// False: it went away meanwhile, and is to be waited for.
    [[nodiscard]] std::expected<bool, std::string> prepare_unless_it_dies();
    void wait_for_it(const std::stop_token& stop, const std::function<void(std::string)>& failed);

    const Config& config_;
    ledger::PostgresLedger& ledger_;
    std::shared_ptr<spdlog::logger> log_;
    std::unique_ptr<EmbeddedPostgres> embedded_;
    std::atomic<bool> up_{false};
    std::mutex mutex_;
    std::condition_variable_any wake_;
    std::jthread waiter_;
};

}  // namespace nomiqon::gateway
