#include "times.h"

#include <array>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "nomiqon/core/strict_json.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon::policy {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr std::array<std::string_view, 3> members{"timezone", "from", "to"};

std::unexpected<PolicyProblem> problem(std::string_view member, std::string message) {
    return std::unexpected(PolicyProblem{"/activeHours" + std::string(member), std::move(message)});
}

/// The zone, read once to be sure that its file is whole. The library throws for everything that it can't do.
std::expected<const date::time_zone*, std::string> locate(const std::string& name) {
    try {
        (void)date::get_tzdb();
    } catch (const std::exception&) {
        return std::unexpected("this gateway has no time zone data; install the package tzdata beside it");
    }
    try {
        const auto* zone = date::locate_zone(name);
        (void)zone->to_local(Time{});
        return zone;
    } catch (const std::exception&) {
        return std::unexpected(in_backticks(name) +
                               " is no time zone of the IANA data base, such as \"Europe/Berlin\"");
    }
}

/// "HH:MM", two digits each, up to 24:00.
std::optional<minutes> parse_clock(const nlohmann::json& value) {
    if (!value.is_string()) return std::nullopt;
    const auto& text = value.get_ref<const std::string&>();
    if (text.size() != 5 || text[2] != ':') return std::nullopt;
    for (const auto i : {0, 1, 3, 4}) {
        if (text[static_cast<std::size_t>(i)] < '0' || text[static_cast<std::size_t>(i)] > '9')
            return std::nullopt;
    }
    const int hour = (text[0] - '0') * 10 + (text[1] - '0');
    const int minute = (text[3] - '0') * 10 + (text[4] - '0');
    const auto time = hours(hour) + minutes(minute);
    if (minute > 59 || time > hours(24)) return std::nullopt;
    return time;
}

}  // namespace

std::expected<ActiveHours, PolicyProblem> ActiveHours::parse(const nlohmann::json& value) {
    if (!value.is_object()) return problem("", R"(must be {"timezone": …, "from": "HH:MM", "to": "HH:MM"})");
    for (const auto& [name, unused] : value.items()) {
        bool known = false;
        for (const auto member : members)
            known = known || member == name;
        if (known) continue;
        const auto nearest = nearest_name(name, members);
        return problem(
            '/' + json_pointer_token(name),
            "unknown member " + in_backticks(name) + (nearest ? "; did you mean `" + *nearest + "`?" : ""));
    }
    for (const auto member : members) {
        if (!value.contains(member)) return problem("", "needs `" + std::string(member) + '`');
    }
    const auto& timezone = value.at("timezone");
    if (!timezone.is_string()) return problem("/timezone", "must be a string such as \"Europe/Berlin\"");
    const auto zone = locate(timezone.get_ref<const std::string&>());
    if (!zone) return problem("/timezone", zone.error());
    const auto from = parse_clock(value.at("from"));
    if (!from || *from == hours(24)) return problem("/from", "must be \"HH:MM\" from \"00:00\" to \"23:59\"");
    const auto to = parse_clock(value.at("to"));
    if (!to) return problem("/to", "must be \"HH:MM\" from \"00:00\" to \"24:00\"");
    if (*from == *to) {
        return problem("/to", "is the same as `from`; for the whole day write \"00:00\" to \"24:00\"");
    }
    return ActiveHours{.zone = *zone, .from = *from, .to = *to};
}

bool ActiveHours::contain(Time now) const {
    const auto local = zone->to_local(now);
    const auto clock = local - std::chrono::floor<std::chrono::days>(local);
    return from < to ? clock >= from && clock < to : clock >= from || clock < to;
}

}  // namespace nomiqon::policy
