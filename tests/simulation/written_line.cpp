#include "written_line.h"

#include <nlohmann/json.hpp>

namespace nomiqon::simulation {
namespace {

using nlohmann::json;

json text_or_null(const std::string& text) {
    return text.empty() ? json(nullptr) : json(text);
}

json number_or_null(const Cap& number) {
    return number ? json(*number) : json(nullptr);
}

void add(json& line, std::initializer_list<json> members) {
    for (const json& member : members)
        line.push_back(member);
}

}  // namespace

std::string written_line(const std::string& agent, const Account& account, const TransferRow& row,
                         bool first) {
    json line = json::array();
    add(line,
        {row.kind, row.seq, agent, format_day(row.day), row.created_at.time_since_epoch().count(), row.debit,
         row.credit, row.amount, text_or_null(row.transaction), text_or_null(row.reference)});
    const auto held = account.reservations.find(row.transaction);
    const auto ending = account.endings.find(row.transaction);
    const auto correction = account.corrections.find(row.transaction);
    if (row.kind == "reserve" && held != account.reservations.end()) {
        const ReservationRow& r = held->second;
        add(line, {r.request, r.gateway, r.caid, r.policy_version, r.bound, r.overrun_limit,
                   number_or_null(r.daily_cap), number_or_null(r.total_cap), number_or_null(r.token_max),
                   r.scheme, r.host, r.port, r.method, text_or_null(r.model), text_or_null(r.ref), r.token_id,
                   r.token_exp, r.token_session, r.token});
    } else if (row.kind == "correct" && correction != account.corrections.end()) {
        add(line, {correction->second.amount, text_or_null(correction->second.reason),
                   text_or_null(correction->second.model), text_or_null(correction->second.basis),
                   format_day(held->second.day)});
    } else if ((row.kind == "settle" || row.kind == "release") && first && ending != account.endings.end()) {
        const EndingRow& e = ending->second;
        add(line, {e.settled ? "settled" : "released", e.amount, e.unknown, e.overrun, text_or_null(e.reason),
                   text_or_null(e.model), text_or_null(e.basis), format_day(held->second.day)});
    }
    std::string text = "[";
    for (const json& member : line)
        text += (text.size() == 1 ? "" : ", ") + member.dump();
    return text + "]";
}

}  // namespace nomiqon::simulation
