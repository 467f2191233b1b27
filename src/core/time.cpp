// RFC 3339 dates and times, and the durations of the configuration. Written by hand: the standard library at
// hand has no std::chrono::parse, and strptime(3) depends on the locale and takes more than the RFC.

#include "nomiqon/core/time.h"

#include <array>
#include <cstdio>
#include <utility>

namespace nomiqon {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::minutes;
using std::chrono::seconds;

/// Longest duration: a century. Far from where adding it to a time would leave 64 bits of microseconds.
constexpr std::int64_t max_duration_ms = std::int64_t{100} * 366 * 86'400 * 1000;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// What is left to read of a text.
class Reader {
  public:
    explicit Reader(std::string_view text) : rest_(text) {}

    [[nodiscard]] bool at_end() const { return rest_.empty(); }

    bool take(char expected) {
        if (rest_.empty() || rest_.front() != expected) return false;
        rest_.remove_prefix(1);
        return true;
    }

    /// Exactly `count` digits, of which the value lies in [low, high].
    std::optional<int> number(int count, int low, int high) {
        if (rest_.size() < static_cast<std::size_t>(count)) return std::nullopt;
        int value = 0;
        for (int i = 0; i < count; ++i) {
            const char c = rest_[static_cast<std::size_t>(i)];
            if (!is_digit(c)) return std::nullopt;
            value = value * 10 + (c - '0');
        }
        rest_.remove_prefix(static_cast<std::size_t>(count));
        if (value < low || value > high) return std::nullopt;
        return value;
    }

    /// 1–9 digits behind a point, cut (not rounded) to microseconds.
    std::optional<microseconds> fraction() {
        std::int64_t value = 0;
        int count = 0;
        for (; !rest_.empty() && is_digit(rest_.front()); rest_.remove_prefix(1)) {
            if (++count > 9) return std::nullopt;
            if (count <= 6) value = value * 10 + (rest_.front() - '0');
        }
        if (count == 0) return std::nullopt;
        for (; count < 6; ++count)
            value *= 10;
        return microseconds{value};
    }

  private:
    std::string_view rest_;
};

std::optional<Day> read_day(Reader& reader) {
    const auto year = reader.number(4, 1, 9999);
    if (!year || !reader.take('-')) return std::nullopt;
    const auto month = reader.number(2, 1, 12);
    if (!month || !reader.take('-')) return std::nullopt;
    const auto day = reader.number(2, 1, 31);
    if (!day) return std::nullopt;
    const std::chrono::year_month_day date{std::chrono::year{*year},
                                           std::chrono::month{static_cast<unsigned>(*month)},
                                           std::chrono::day{static_cast<unsigned>(*day)}};
    if (!date.ok()) return std::nullopt;
    return Day{date};
}

/// `Z` or `±hh:mm`, as what must be subtracted to come to UTC.
std::optional<minutes> read_offset(Reader& reader) {
    if (reader.take('Z') || reader.take('z')) return minutes{0};
    const bool east = reader.take('+');
    if (!east && !reader.take('-')) return std::nullopt;
    const auto hour = reader.number(2, 0, 23);
    if (!hour || !reader.take(':')) return std::nullopt;
    const auto minute = reader.number(2, 0, 59);
    if (!minute) return std::nullopt;
    const minutes offset = hours{*hour} + minutes{*minute};
    return east ? offset : -offset;
}

}  // namespace

std::string format_day(Day day) {
    const std::chrono::year_month_day date{day};
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%04d-%02u-%02u", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
    return text.data();
}

std::optional<Day> parse_day(std::string_view text) {
    Reader reader{text};
    const auto day = read_day(reader);
    if (!day || !reader.at_end()) return std::nullopt;
    return day;
}

std::string format_time(Time time) {
    const Day day = day_of(time);
    const std::chrono::hh_mm_ss clock{std::chrono::floor<std::chrono::milliseconds>(time - day)};
    std::array<char, 24> text{};
    std::snprintf(text.data(), text.size(), "T%02d:%02d:%02d.%03dZ", static_cast<int>(clock.hours().count()),
                  static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
                  static_cast<int>(clock.subseconds().count()));
    return format_day(day) + text.data();
}

std::optional<Time> parse_time(std::string_view text) {
    Reader reader{text};
    const auto day = read_day(reader);
    if (!day || (!reader.take('T') && !reader.take('t'))) return std::nullopt;
    const auto hour = reader.number(2, 0, 23);
    if (!hour || !reader.take(':')) return std::nullopt;
    const auto minute = reader.number(2, 0, 59);
    if (!minute || !reader.take(':')) return std::nullopt;
    const auto second = reader.number(2, 0, 59);  // a leap second has no place in Unix time
    if (!second) return std::nullopt;
    microseconds fraction{0};
    if (reader.take('.')) {
        const auto read = reader.fraction();
        if (!read) return std::nullopt;
        fraction = *read;
    }
    const auto offset = read_offset(reader);
    if (!offset || !reader.at_end()) return std::nullopt;

    const Time time = Time{*day} + hours{*hour} + minutes{*minute} + seconds{*second} + fraction - *offset;
    // An offset may carry the first and the last day over the edge of what RFC 3339 can write.
    const int year = static_cast<int>(std::chrono::year_month_day{day_of(time)}.year());
    if (year < 1 || year > 9999) return std::nullopt;
    return time;
}

std::optional<Duration> parse_duration(std::string_view text) {
    static constexpr std::array<std::pair<std::string_view, std::int64_t>, 4> units{
        {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}}};
    std::size_t digits = 0;
    std::int64_t value = 0;
    for (; digits < text.size() && is_digit(text[digits]); ++digits) {
        value = value * 10 + (text[digits] - '0');
        if (value > max_duration_ms) return std::nullopt;
    }
    if (digits == 0) return std::nullopt;
    for (const auto& [name, milliseconds] : units) {
        if (text.substr(digits) != name) continue;
        if (value > max_duration_ms / milliseconds) return std::nullopt;
        return Duration{value * milliseconds};
    }
    return std::nullopt;
}

}  // namespace nomiqon
