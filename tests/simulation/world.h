#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "nomiqon/core/time.h"
#include "random.h"

namespace nomiqon::simulation {

using Micros = std::chrono::microseconds;

/// Time and chance of one run. Time jumps from event to event; nothing waits. One thread.
class World {
  public:
    World(std::uint64_t seed, Time start) : random(seed), start_(start), now_(start) {}

    [[nodiscard]] Time now() const { return now_; }
    /// The clock of deadlines, which no skew touches.
    [[nodiscard]] std::chrono::steady_clock::time_point steady() const {
        return std::chrono::steady_clock::time_point{std::chrono::hours{1} + (now_ - start_)};
    }

    void after(Micros delay, std::function<void()> event) {
        events_.emplace(std::pair{now_ + std::max(delay, Micros{0}), ++scheduled_}, std::move(event));
    }

    /// The next event; false: there is none.
    bool step() {
        if (events_.empty()) return false;
        const auto event = events_.extract(events_.begin());
        now_ = event.key().first;
        event.mapped()();
        return true;
    }
    void run_until(Time end) {
        while (!events_.empty() && events_.begin()->first.first <= end)
            step();
        now_ = end;
    }

    /// A delay that is mostly about `usual` and now and then ten times as long.
    Micros about(Micros usual) {
        const std::int64_t micros = usual.count();
        return Micros{random.one_in(40) ? random.between(micros, 10 * micros)
                                        : random.between(micros / 2, 2 * micros)};
    }

    Random random;

  private:
    const Time start_;
    Time now_;
    std::uint64_t scheduled_ = 0;
    std::map<std::pair<Time, std::uint64_t>, std::function<void()>>
        events_;  // in the order of scheduling within a time
};

}  // namespace nomiqon::simulation
