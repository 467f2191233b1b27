#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "batcher.h"
#include "nomiqon/ledger/postgres_ledger.h"
#include "session.h"

namespace nomiqon::ledger {

/// Reservations whose answer was lost with their session. Until the server has ended that session they may
/// still be committed; after that each is released, which takes effect if it was.
struct Doubt {
    std::string session;
    std::vector<EndCommand> releases;
};

/// Refusals that wait to be written. Bounded: what doesn't fit is counted.
class RefusalQueue {
  public:
    explicit RefusalQueue(std::size_t bound) : bound_(bound) {}
    [[nodiscard]] bool push(RefusalRecord record);
    [[nodiscard]] std::vector<RefusalRecord> take(std::size_t most);
    void put_back(std::vector<RefusalRecord> records);

  private:
    const std::size_t bound_;
    std::mutex mutex_;
    std::deque<RefusalRecord> records_;
};

/// A price book that settlements name.
struct PriceBookText {
    std::string version, document;
};

/// What the threads of one PostgresLedger share.
class State {
  public:
    State(PostgresLedger::Options opts, std::shared_ptr<spdlog::logger> logger);

    const PostgresLedger::Options options;
    const std::shared_ptr<spdlog::logger> log;

    [[nodiscard]] Target target() const;
    void set_target(Target target);

    /// The id under which this gateway reserves. Changes when its lease was lost for good.
    [[nodiscard]] std::string gateway() const;
    /// Takes or renews the lease; under a new id when the old one is gone. Throws what pqxx throws.
    void renew_lease(pqxx::connection& connection);
    /// Who knows the oldest transaction that this gateway may hold. Called with each renewal, from any
    /// thread.
    void set_oldest_open(std::function<std::optional<TransactionId>()> oldest_open);

    /// Remembers how the last contact with the database went, and logs the change.
    void contact(bool well, std::string_view why = {});
    [[nodiscard]] bool available() const { return contact_.load(std::memory_order_relaxed) == Contact::well; }

    void doubt(Doubt doubt);
    [[nodiscard]] std::vector<Doubt> take_doubts();
    [[nodiscard]] std::size_t doubts() const;

    /// Written down as soon as the database answers.
    void keep_price_book(PriceBookText book);
    [[nodiscard]] std::optional<PriceBookText> take_price_book();

    RefusalQueue refusals;

    struct Counters {
        std::atomic<std::uint64_t> batches{0}, overloaded{0}, unavailable{0}, refusals_dropped{0}, expired{0};
    } counters;

  private:
    [[nodiscard]] std::string oldest_open() const;

    mutable std::mutex mutex_;  // guards what follows; nobody waits for the database while holding it
    Target target_;
    GatewayId gateway_ = GatewayId::generate();
    std::function<std::optional<TransactionId>()> oldest_open_;
    std::vector<Doubt> doubts_;
    std::optional<PriceBookText> price_book_;  // not written down yet
    std::mutex lease_mutex_;                   // one renewal at a time
    enum class Contact : std::uint8_t { none, well, lost };
    std::atomic<Contact> contact_{Contact::none};
};

}  // namespace nomiqon::ledger
