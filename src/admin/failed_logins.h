#pragma once

#include <algorithm>
#include <chrono>

namespace nomiqon::admin {

/// Slows down whoever tries keys: a token bucket of failures, one for the process. It only ever changes the
/// answer to a key that is no good, so that nobody can lock the owner of a good one out. One thread.
class FailedLogins {
  public:
    using Now = std::chrono::steady_clock::time_point;

    /// Whether one more failure may be answered as such; else it is `rate_limit_exceeded`.
    [[nodiscard]] bool admit(Now now) {
        const double seconds = std::chrono::duration<double>(now - last_).count();
        tokens_ = std::min(burst, tokens_ + std::max(0.0, seconds) * per_second);
        last_ = now;
        if (tokens_ < 1) return false;
        tokens_ -= 1;
        return true;
    }

  private:
    static constexpr double burst = 30;
    static constexpr double per_second = 3;
    double tokens_ = burst;
    Now last_{};
};

}  // namespace nomiqon::admin
