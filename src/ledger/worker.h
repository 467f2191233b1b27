#pragma once

#include <condition_variable>
#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <pqxx/result>
#include <thread>

#include "batcher.h"
#include "state.h"

namespace nomiqon::ledger {

/// A thread's place under the watchdog: since when it has been waiting for the database.
class BusySince {
  public:
    void begin() { since_.store(now(), std::memory_order_relaxed); }
    void end() { since_.store(0, std::memory_order_relaxed); }
    /// How long the call under way has lasted; 0 when there is none.
    [[nodiscard]] Duration elapsed() const {
        const std::int64_t since = since_.load(std::memory_order_relaxed);
        return Duration{since == 0 ? 0 : now() - since};
    }

  private:
    static std::int64_t now() {
        using namespace std::chrono;
        return duration_cast<Duration>(steady_clock::now().time_since_epoch()).count();
    }
    std::atomic<std::int64_t> since_{0};
};

/// One connection that serves the requests and endings of its share of the agents: a thread that sends one
/// batch after the other, and one that delivers answers meanwhile, so that the database doesn't wait for
/// that.
class Worker {
  public:
    /// A read runs with an open connection, or with none when the database is away.
    using Read = std::function<void(pqxx::connection*)>;

    Worker(State& state, std::string name);
    ~Worker();

    void submit(ReserveRequest request);
    [[nodiscard]] bool submit(Read read);  ///< false: the queue is full
    void submit(EndCommand command);
    void freed(const std::string& agent);  ///< money of this agent came back on another gateway

    /// Ends the thread once no ending waits, or at `deadline`.
    void stop(std::chrono::steady_clock::time_point deadline);
    void watch(Duration limit);  ///< called by the watchdog: interrupts a call that has lasted longer
    [[nodiscard]] std::size_t waiting() const;
    [[nodiscard]] std::size_t endings_waiting() const;
    [[nodiscard]] Batcher::Counters counters() const;
    [[nodiscard]] std::optional<TransactionId> oldest_open() const;

  private:
    struct Work {
        std::vector<Read> reads;
        Batch batch;
    };
    void run();
    [[nodiscard]] bool take(Work& work);  ///< waits for work; false: the thread is to end
    void run_reads(std::vector<Read>& reads);
    void run_batch(Batch batch);
    [[nodiscard]] pqxx::result attempt(const Batch& batch);  ///< one transaction; throws what pqxx throws
    void deliver(Batch batch, const pqxx::result& rows);
    void deliver_meanwhile(const std::stop_token& stop);
    void tell(Batch batch, const pqxx::result& rows);
    void give_up(Batch batch, const DatabaseError& error, bool was_sent);

    State& state_;
    Session session_;
    BusySince busy_;
    mutable std::mutex mutex_;
    std::condition_variable work_;
    Batcher batcher_;
    std::deque<Read> reads_;
    bool stopping_ = false;
    std::chrono::steady_clock::time_point stop_at_{};
    std::chrono::steady_clock::time_point retry_at_{};  // the database was away: not before

    // A committed batch whose answer is delivered while the next one is with the database.
    struct Committed {
        Batch batch;
        pqxx::result rows;
    };
    std::mutex committed_mutex_;
    std::condition_variable_any committed_changed_;
    std::optional<Committed> committed_;
    std::jthread deliverer_;
    std::jthread thread_;
};

}  // namespace nomiqon::ledger
