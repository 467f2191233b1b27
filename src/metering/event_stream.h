#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "json_skim.h"

// Server-sent events (WHATWG HTML, section 9.2.6): lines that end in CR LF, LF or CR; `field: value`; an
// empty line ends an event. The bytes go on to the client exactly as they came, an event at a time, so that
// one can be left out.

namespace nomiqon::metering {

struct StreamEvent {
    std::string_view name;  ///< of its last `event` line; empty: none
    std::string_view data;  ///< its `data` lines joined; where they were many, reduced as JsonSkim does
    bool lossy = false;     ///< more was dropped in the reduction than may be (JsonSkim::lossy)
    bool broken = false;    ///< data that is too long to be kept and no JSON: `data` is empty
};

struct EventLimits {
    std::size_t held_bytes =
        256ULL * 1024;  ///< of one event; of a longer one the bytes go on before it is whole
    SkimLimits skim{};  ///< for the data of a longer one
};

/// Splits a stream of events, whatever pieces it comes in.
class EventStream {
  public:
    /// Called for each event with data, once it is whole; says whether it goes to the client. (A longer one
    /// than `held_bytes` has gone already.)
    using Handler = std::function<bool(const StreamEvent&)>;

    explicit EventStream(EventLimits limits) : limits_(limits) {}

    /// Appends to `out` what may go on.
    void read(std::string_view bytes, std::string& out, const Handler& handle);
    /// The stream came to its end: an event that lacks its empty line is handled like the others, as some
    /// clients do.
    void finish(std::string& out, const Handler& handle);
    /// Forgets what is held of an event that isn't whole.
    void drop_held() { held_.clear(); }

    /// Whether the bytes that went on end within an event.
    [[nodiscard]] bool within_event() const { return passing_; }

  private:
    void take(std::string_view part);
    void take_value(std::string_view part);
    void end_of_line(std::string& out, const Handler& handle);
    void end_of_event(std::string& out, const Handler& handle);
    void hold(std::string_view bytes, std::string& out);

    enum class Line : std::uint8_t { field, value_begins, value };
    enum class Field : std::uint8_t { other, data, event };

    EventLimits limits_;
    std::string held_{};    ///< the event under way, byte for byte, as far as it didn't go on
    bool passing_ = false;  ///< the event under way is longer than what is held
    bool shown_ = true;     ///< the last event went on
    bool after_cr_ = false;
    bool started_ = false;  ///< past the place of a byte order mark
    std::size_t mark_ = 0;  ///< bytes of one that were seen

    Line line_ = Line::field;
    Field field_ = Field::other;
    std::string field_name_{};
    bool line_empty_ = true;

    std::string name_{};
    std::string data_{};
    std::optional<JsonSkim> skim_{};
    bool has_data_ = false;
    bool in_data_ = false;  ///< a `data` line came in this event: the next one is behind a line feed
};

}  // namespace nomiqon::metering
