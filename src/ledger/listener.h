#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "state.h"

namespace nomiqon::ledger {

/// A thread that hears from PostgreSQL when another gateway has ended a reservation of an agent for whose
/// held money some request waits. A notification that is lost costs nothing but time: whoever waits tries
/// once more when its wait ends.
class Listener {
  public:
    Listener(State& state, std::function<void(const std::string&)> freed);
    ~Listener();
    void stop();

  private:
    void run();
    void listen();  ///< until it is to stop; throws what pqxx throws

    State& state_;
    const std::function<void(const std::string&)> freed_;
    Session session_;
    std::atomic<bool> stopping_{false};
    std::jthread thread_;
};

}  // namespace nomiqon::ledger
