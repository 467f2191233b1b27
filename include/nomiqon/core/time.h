#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nomiqon {

/// Wall-clock time in UTC, to the microsecond (PostgreSQL's resolution).
using Time = std::chrono::sys_time<std::chrono::microseconds>;
/// A calendar day in UTC: the unit of caps and of the ledger.
using Day = std::chrono::sys_days;
/// Lengths of time of the configuration.
using Duration = std::chrono::milliseconds;

[[nodiscard]] inline Day day_of(Time time) {
    return std::chrono::floor<std::chrono::days>(time);
}
[[nodiscard]] inline std::int64_t unix_seconds(Time time) {
    return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

[[nodiscard]] std::string format_day(Day day);                        // 2026-05-24
[[nodiscard]] std::optional<Day> parse_day(std::string_view text);    // exactly YYYY-MM-DD, a real date
[[nodiscard]] std::string format_time(Time time);                     // 2026-05-24T12:00:00.000Z
[[nodiscard]] std::optional<Time> parse_time(std::string_view text);  // RFC 3339, with Z or an offset
/// "500ms", "60s", "5m", "1h"; not below 0, at most a century.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text);

/// The time that decisions see. One real clock in `main`, a simulated one in tests. Thread-safe.
class Clock {
  public:
    virtual ~Clock() = default;
    [[nodiscard]] virtual Time now() const = 0;
};

class SystemClock final : public Clock {
  public:
    [[nodiscard]] Time now() const override {
        return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
    }
};

}  // namespace nomiqon
