#pragma once

#include <condition_variable>
#include <deque>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

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

/// One thread with one connection that serves the requests and endings of its share of the agents.
class Worker {
  public:
    using Answer = std::expected<ReserveAnswer, LedgerError>;
    struct Request {
        ReserveCommand command;
        std::shared_ptr<Pending<Answer>> pending;
    };
    /// A read runs with an open connection, or with none when the database is away.
    using Read = std::function<void(pqxx::connection*)>;

    Worker(State& state, std::string name);
    ~Worker();

    [[nodiscard]] bool submit(Request request);  ///< false: the queue is full
    [[nodiscard]] bool submit(Read read);
    void submit(EndCommand command);

    /// Ends the thread once no ending waits, or at `deadline`.
    void stop(std::chrono::steady_clock::time_point deadline);
    void watch(Duration limit);  ///< called by the watchdog: interrupts a call that has lasted longer
    [[nodiscard]] std::size_t waiting() const;
    [[nodiscard]] std::size_t endings_waiting() const;

  private:
    struct Batch {
        std::vector<Read> reads;
        std::vector<EndCommand> endings;
        std::vector<Request> requests;
    };
    void run();
    [[nodiscard]] bool take(Batch& batch);  ///< waits for work; false: the thread is to end
    void run_reads(std::vector<Read>& reads);
    void run_batch(Batch batch);
    void attempt(Batch& batch);  ///< one transaction; throws what pqxx throws
    void deliver(const Batch& batch, const pqxx::result& rows);
    void one_by_one(Batch batch);
    void give_up(Batch batch, const DatabaseError& error, bool was_sent);
    void refuse(std::vector<Request>& requests);
    void forget_abandoned(std::vector<Request>& requests) const;

    State& state_;
    Session session_;
    BusySince busy_;
    mutable std::mutex mutex_;
    std::condition_variable work_;
    std::deque<Request> requests_;
    std::deque<EndCommand> endings_;
    std::deque<Read> reads_;
    bool stopping_ = false;
    std::chrono::steady_clock::time_point stop_at_{};
    std::chrono::steady_clock::time_point retry_at_{};  // the database was away: not before
    std::jthread thread_;
};

}  // namespace nomiqon::ledger
