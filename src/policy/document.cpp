// Reads the document of spec "Policy" (docs: the admin API). Every member is known, refused by name because
// this version does not enforce it yet, or unknown: a control that is written down but not in force is worse
// than none.

#include "document.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "entry_reader.h"
#include "nomiqon/core/strict_json.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon::policy {
namespace {

using nlohmann::json;
using Result = std::optional<PolicyProblem>;  ///< nothing: it is well

constexpr std::array<std::string_view, 3> unbuilt_members{"windowCap", "rateLimit", "requireBinding"};
constexpr std::array<std::string_view, 6> gateway_members{"id",        "version", "createdAt",
                                                          "createdBy", "reason",  "_computed"};

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
    return std::ranges::find(names, name) != names.end();
}

Result read_amount(const json& value, const std::string& pointer, std::optional<Usdc>& amount) {
    if (value.is_number()) {
        return PolicyProblem{pointer,
                             "must be a string, since a JSON number can't hold every amount: \"5.00\""};
    }
    if (!value.is_string()) return PolicyProblem{pointer, "must be an amount of USDC in a string: \"5.00\""};
    amount = Usdc::parse(value.get_ref<const std::string&>());
    if (amount) return std::nullopt;
    return PolicyProblem{
        pointer,
        "must be a decimal amount of USDC, not negative, with at most 9 decimals and at most "
        "9223372036.854775807: \"5.00\""};
}

Result read_time(const json& value, const std::string& pointer, std::optional<Time>& time) {
    if (value.is_string()) time = parse_time(value.get_ref<const std::string&>());
    if (time) return std::nullopt;
    return PolicyProblem{pointer, "must be a time by RFC 3339: \"2026-05-24T12:00:00Z\""};
}

Result read_allowlist(const json& value, const std::string& pointer, Rules& rules) {
    auto list = read_host_list(value, pointer, ListKind::allow);
    if (!list) return std::move(list.error());
    rules.allowlist = *std::move(list);
    return std::nullopt;
}

Result read_blocklist(const json& value, const std::string& pointer, Rules& rules) {
    auto list = read_host_list(value, pointer, ListKind::block);
    if (!list) return std::move(list.error());
    rules.blocklist = *std::move(list);
    return std::nullopt;
}

Result read_active_hours(const json& value, const std::string&, Rules& rules) {
    auto active = ActiveHours::parse(value);
    if (!active) return std::move(active.error());
    rules.active_hours = *active;
    return std::nullopt;
}

Result read_frozen(const json& value, const std::string& pointer, Rules& rules) {
    if (!value.is_boolean()) return PolicyProblem{pointer, "must be true or false"};
    rules.frozen = value.get<bool>();
    return std::nullopt;
}

struct Member {
    std::string_view name;
    Result (*read)(const json&, const std::string& pointer, Rules&);
};

constexpr std::array members{
    Member{"dailyCap",
           [](const json& v, const std::string& p, Rules& r) { return read_amount(v, p, r.daily_cap); }},
    Member{"totalCap",
           [](const json& v, const std::string& p, Rules& r) { return read_amount(v, p, r.total_cap); }},
    Member{"maxPerRequest", [](const json& v, const std::string& p,
                               Rules& r) { return read_amount(v, p, r.max_per_request); }},
    Member{"allowlist", read_allowlist},
    Member{"blocklist", read_blocklist},
    Member{"activeFrom",
           [](const json& v, const std::string& p, Rules& r) { return read_time(v, p, r.active_from); }},
    Member{"activeUntil",
           [](const json& v, const std::string& p, Rules& r) { return read_time(v, p, r.active_until); }},
    Member{"activeHours", read_active_hours},
    Member{"frozen", read_frozen},
};

PolicyProblem refused_member(const std::string& name) {
    const auto pointer = '/' + json_pointer_token(name);
    if (is_one_of(name, unbuilt_members)) {
        return {pointer, in_backticks(name) + " is not enforced by this version yet"};
    }
    if (is_one_of(name, gateway_members)) {
        return {pointer, in_backticks(name) + " is set by the gateway and can't be given"};
    }
    std::vector<std::string_view> names(unbuilt_members.begin(), unbuilt_members.end());
    for (const auto& member : members)
        names.push_back(member.name);
    const auto nearest = nearest_name(name, names);
    return {pointer,
            "unknown member " + in_backticks(name) + (nearest ? "; did you mean `" + *nearest + "`?" : "")};
}

Result check_together(const Rules& rules, const ParseOptions& options) {
    if (options.require_allowlist && !rules.allowlist) {
        return PolicyProblem{"/allowlist",
                             "is required by this gateway's configuration (policy.requireAllowlist)"};
    }
    if (rules.active_from && rules.active_until && *rules.active_from >= *rules.active_until) {
        return PolicyProblem{"/activeUntil", "must be later than `activeFrom`"};
    }
    return std::nullopt;
}

}  // namespace

std::expected<Rules, PolicyProblem> read_document(const json& document, const ParseOptions& options) {
    if (!document.is_object()) return std::unexpected(PolicyProblem{"", "a policy is an object"});
    Rules rules;
    for (const auto& [name, value] : document.items()) {
        const auto member = std::ranges::find(members, std::string_view(name), &Member::name);
        // An SDK writes what its caller left out as null.
        const bool absent = value.is_null() && (member != members.end() || is_one_of(name, unbuilt_members));
        if (absent) continue;
        if (member == members.end()) return std::unexpected(refused_member(name));
        if (auto problem = member->read(value, '/' + name, rules))
            return std::unexpected(*std::move(problem));
    }
    if (auto problem = check_together(rules, options)) return std::unexpected(*std::move(problem));
    return rules;
}

}  // namespace nomiqon::policy
