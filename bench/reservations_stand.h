#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "nomiqon/core/caid.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/ledger/embedded_postgres.h"
#include "nomiqon/ledger/postgres_ledger.h"
#include "reservations_machine.h"
#include "reservations_report.h"

namespace nomiqon::bench {

struct Agent {
    AgentId id = AgentId::generate();
    Caid caid;
};

/// What clients ask of the ledger for a while.
struct Load {
    std::size_t clients = 64;  ///< of each gateway, each with one request at a time
    std::size_t agents = 1;
    std::size_t gateways = 1;
    bool settle = false;  ///< each reservation at once, before the client's next
    double seconds = 1;
};

/// One migrated database with funded agents, and the gateways on it: each a PostgresLedger of its own, as in
/// a process of its own.
class Book {
  public:
    Book(const std::string& owner_url, const std::string& runtime_url, std::size_t agents,
         std::size_t gateways, Cpu cpu);

    [[nodiscard]] Sample measure(const Load& load);
    /// TRUNCATEs what the gateways write, and funds all agents anew. Their connections stay.
    void empty();
    /// Gives the first agent that many reservations of today, each settled: rows that real ones were the
    /// model of.
    void fill(std::int64_t reservations);

  private:
    std::string owner_url_;
    Cpu cpu_;
    std::vector<Agent> agents_;
    std::vector<std::unique_ptr<ledger::PostgresLedger>> gateways_;
};

/// A private PostgreSQL for the run: everything is synced to disk as in production; a Unix socket only.
/// Nothing of it is left behind.
class Stand {
  public:
    Stand();
    Stand(const Stand&) = delete;
    Stand& operator=(const Stand&) = delete;
    ~Stand();

    [[nodiscard]] Cpu cpu() const { return Cpu{postgres_->pid()}; }
    [[nodiscard]] std::string owner_url() const { return postgres_->owner_url(); }
    [[nodiscard]] Book& make_book(const std::string& database, std::size_t agents, std::size_t gateways);
    /// So that every measurement begins as far from the next checkpoint as the others.
    void checkpoint() const;
    [[nodiscard]] std::string describe() const;  ///< version and durability, as the server tells them

  private:
    std::filesystem::path directory_;
    std::unique_ptr<EmbeddedPostgres> postgres_;
    std::vector<std::unique_ptr<Book>> books_;
};

}  // namespace nomiqon::bench
