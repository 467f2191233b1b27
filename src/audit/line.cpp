#include "nomiqon/audit/line.h"

#include <algorithm>
#include <array>
#include <utility>

#include "array_reader.h"

namespace nomiqon::audit {
namespace {

constexpr std::array<std::pair<std::string_view, Kind>, 7> kinds{{{"fund", Kind::fund},
                                                                  {"return", Kind::give_back},
                                                                  {"adjust", Kind::adjust},
                                                                  {"reserve", Kind::reserve},
                                                                  {"settle", Kind::settle},
                                                                  {"release", Kind::release},
                                                                  {"correct", Kind::correct}}};

/// A line under way: what is wrong with its values, where its form is good.
class LineReader {
  public:
    explicit LineReader(std::string_view text) : array_(text) {}

    std::expected<Line, std::string> read() {
        Line line{.movement = movement(), .details = Plain{}};
        if (array_.ok() && problem_.empty()) read_details(line);
        if (array_.ok() && !problem_.empty()) return std::unexpected(std::string{problem_});
        if (!array_.ok() || !array_.at_end())
            return std::unexpected("it has not the members of its kind, in the form that the ledger writes");
        return line;
    }

  private:
    void read_details(Line& line) {
        switch (line.movement.kind) {
            case Kind::fund:
            case Kind::give_back:
            case Kind::adjust:
                return;
            case Kind::reserve:
                line.details = reservation();
                return;
            case Kind::settle:
            case Kind::release:
                if (!array_.at_end()) line.details = ending();
                return;
            case Kind::correct:
                line.details = correction();
                return;
        }
    }

    Movement movement() {
        Movement m;
        m.kind = kind();
        m.seq = array_.integer();
        m.agent = array_.text();
        m.day = day();
        m.at = Time{std::chrono::microseconds{array_.integer()}};
        m.debit = array_.text();
        m.credit = array_.text();
        m.amount = amount();
        m.transaction = array_.text_or_null();
        m.reference = array_.text_or_null();
        return m;
    }

    Reservation reservation() {
        Reservation r;
        r.request = array_.text();
        r.gateway = array_.text();
        r.caid = array_.text();
        r.policy_version = array_.integer();
        r.bound = amount();
        r.overrun_limit = amount();
        r.daily_cap = amount_or_null();
        r.total_cap = amount_or_null();
        r.token_max = amount_or_null();
        r.scheme = array_.text();
        r.host = array_.text();
        r.port = array_.integer();
        r.method = array_.text();
        r.model = array_.text_or_null();
        r.ref = array_.text_or_null();
        r.token_id = array_.text();
        r.token_exp = array_.integer();
        r.token_session = array_.boolean();
        r.token = array_.text();
        return r;
    }

    EndingLine ending() {
        EndingLine e;
        const auto word = array_.text();
        e.settled = word == "settled";
        if (!e.settled && word != "released") problem("it ends neither settled nor released");
        e.cost = amount();
        e.unknown = array_.boolean();
        e.overrun = array_.boolean();
        e.reason = array_.text_or_null();
        e.model = array_.text_or_null();
        e.basis = array_.text_or_null();
        e.reservation_day = day();
        return e;
    }

    Correction correction() {
        Correction c;
        c.cost = amount();
        c.reason = array_.text_or_null();
        c.model = array_.text_or_null();
        c.basis = array_.text_or_null();
        c.reservation_day = day();
        return c;
    }

    Kind kind() {
        const auto word = array_.text();
        const auto* const found = std::ranges::find(kinds, word, &std::pair<std::string_view, Kind>::first);
        if (found != kinds.end()) return found->second;
        problem("its kind is unknown");
        return Kind::fund;
    }

    Day day() {
        const auto parsed = parse_day(array_.text());
        if (!parsed) problem("a day is none");
        return parsed.value_or(Day{});
    }

    Usdc amount() { return checked(array_.integer()); }
    std::optional<Usdc> amount_or_null() {
        const auto nanos = array_.integer_or_null();
        if (!nanos) return std::nullopt;
        return checked(*nanos);
    }
    Usdc checked(std::int64_t nanos) {
        if (nanos < 0) problem("an amount is below zero");
        return Usdc::from_nanos(nanos);
    }

    /// The first of them; what follows from it is not told.
    void problem(std::string_view text) {
        if (problem_.empty()) problem_ = text;
    }

    ArrayReader array_;
    std::string_view problem_;
};

}  // namespace

std::string_view to_string(Kind kind) {
    return std::ranges::find(kinds, kind, &std::pair<std::string_view, Kind>::second)->first;
}

std::string provider(std::string_view host) {
    return "provider:" + std::string{host};
}

std::expected<Line, std::string> parse_line(std::string_view text) {
    return LineReader{text}.read();
}

}  // namespace nomiqon::audit
