#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "state.h"
#include "worker.h"

namespace nomiqon::ledger {

/// The thread for what no request waits for: keeps the lease, writes refusals within a second, expires what
/// gone gateways left, looks up what is in doubt, forgets old token ids, and notices when the database is
/// away or back.
class Maintenance {
  public:
    /// `hand_in` takes the releases of what was in doubt.
    Maintenance(State& state, std::function<void(EndCommand)> hand_in);
    ~Maintenance();
    void watch(Duration limit);
    /// Writes the refusals that wait and gives the lease back, then ends the thread.
    void stop();

  private:
    void run();
    void tick(pqxx::connection& connection);
    void write_price_book(pqxx::connection& connection);
    void write_refusals(pqxx::connection& connection);
    void resolve_doubts(pqxx::connection& connection);
    void expire(pqxx::connection& connection);

    State& state_;
    std::function<void(EndCommand)> hand_in_;
    Session session_;
    BusySince busy_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    Steady::time_point renew_at_{}, expire_at_{}, forget_at_{}, ping_at_{};
    std::jthread thread_;
};

}  // namespace nomiqon::ledger
