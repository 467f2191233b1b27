#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "state.h"
#include "worker.h"

namespace nomiqon::ledger {

/// A thread that runs the administrative functions, one at a time, in a transaction each.
class AdminWorker {
  public:
    using Answer = std::expected<nlohmann::json, AdminError>;
    struct Call {
        std::string function;
        nlohmann::json arguments;
        std::shared_ptr<Pending<Answer>> pending;
    };
    /// The queue that the workers of one ledger share.
    class Queue {
      public:
        [[nodiscard]] bool push(Call call);       ///< false: full, or stopping
        [[nodiscard]] std::optional<Call> pop();  ///< waits; nothing when stopped
        void stop();

      private:
        std::mutex mutex_;
        std::condition_variable work_;
        std::deque<Call> calls_;
        bool stopping_ = false;
    };

    AdminWorker(State& state, Queue& queue);
    void watch(Duration limit);
    /// After the queue was stopped: waits for the call under way, at most for `grace`, then interrupts it.
    void stop(Duration grace);

  private:
    void run();
    [[nodiscard]] Answer answer(const Call& call);

    State& state_;
    Queue& queue_;
    Session session_;
    BusySince busy_;
    std::atomic<bool> ended_{false};
    std::jthread thread_;
};

}  // namespace nomiqon::ledger
