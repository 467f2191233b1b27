// GET /v1/reports/spend: what was settled, by whatever finance asks for, as JSON or CSV.

#include <algorithm>
#include <array>
#include <ranges>

#include "csv.h"
#include "handlers.h"
#include "input.h"

namespace nomiqon::admin {
namespace {

constexpr int most_rows = 10'000;
constexpr std::size_t most_groups = 8;
constexpr std::array<std::string_view, 5> plain_groups{"agent", "day", "host", "model", "ref"};

bool is_group(std::string_view name) {
    if (!name.starts_with("metadata.")) return std::ranges::find(plain_groups, name) != plain_groups.end();
    // The query's own names obey the same rule; `metadata.` alone is none.
    const auto key = name.substr(9);
    return !key.empty() && key.size() <= 64 && std::ranges::all_of(key, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '_';
    });
}

/// `agent,day`; `crew` and `team` are short for the metadata that most have.
Result<std::vector<std::string>> read_groups(const Query& query) {
    const auto found = query.find("group_by");
    const std::string text = found == query.end() ? "agent" : found->second;
    std::vector<std::string> groups;
    for (const auto part : std::views::split(text, ',')) {
        std::string name(part.begin(), part.end());
        if (name == "crew" || name == "team") name.insert(0, "metadata.");
        if (!is_group(name)) {
            return std::unexpected(validation_error(
                "must be of agent, day, host, model, ref, crew, team, metadata.<key>, with commas between",
                "/group_by"));
        }
        if (std::ranges::find(groups, name) != groups.end()) {
            return std::unexpected(validation_error("names a group twice", "/group_by"));
        }
        groups.push_back(std::move(name));
    }
    // Splitting an empty text gives no part at all, not an empty one.
    if (groups.empty() || groups.size() > most_groups)
        return std::unexpected(validation_error("must name 1 to 8 groups", "/group_by"));
    return groups;
}

/// `metadata.crew` and `metadata.team` are called as they are asked for.
std::string shown(const std::string& group) {
    return group == "metadata.crew" || group == "metadata.team" ? group.substr(9) : group;
}

}  // namespace

Awaitable<Outcome> report_spend(const Context& context, const ApiRequest& request) {
    const auto groups = read_groups(request.query);
    if (!groups) co_return std::unexpected(groups.error());
    const auto format =
        request.query.contains("format") ? request.query.find("format")->second : std::string{"json"};
    if (format != "json" && format != "csv") {
        co_return std::unexpected(validation_error("must be json or csv", "/format"));
    }
    json arguments{{"group_by", *groups}, {"limit", most_rows}};
    if (auto range = read_range(request.query, arguments); !range) co_return std::unexpected(range.error());
    auto rows = co_await read(context, "report_spend", std::move(arguments));
    if (!rows) co_return std::unexpected(rows.error());

    std::vector<std::string> columns;
    for (const auto& group : *groups) {
        if (group == "agent") columns.emplace_back("agentId");
        columns.push_back(shown(group));
        if (shown(group) == group) continue;
        for (auto& row : *rows) {
            row[shown(group)] = row[group];
            row.erase(group);
        }
    }
    columns.emplace_back("amount");
    columns.emplace_back("requests");
    Answer answer;
    if (format == "csv") {
        answer.raw = HttpResponse{.content_type = "text/csv; charset=utf-8",
                                  .headers = {{"Content-Disposition", "attachment; filename=\"spend.csv\""}},
                                  .body = to_csv(*rows, columns)};
    } else {
        answer.data = *std::move(rows);
    }
    co_return answer;
}

}  // namespace nomiqon::admin
