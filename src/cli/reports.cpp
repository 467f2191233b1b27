#include <algorithm>

#include "agent_lookup.h"
#include "commands.h"
#include "inputs.h"
#include "minting.h"

namespace nomiqon::cli {
namespace {

/// The API's filters; the agent's name becomes its id.
Outcome<Query> query_of(ApiClient& api, const TransactionFilters& filters) {
    for (const auto& checked : {check_time(filters.from, "--from"), check_time(filters.to, "--to")})
        if (!checked) return std::unexpected(checked.error());
    Query query;
    if (!filters.agent.empty()) {
        auto id = find_agent_id(api, filters.agent);
        if (!id) return std::unexpected(id.error());
        query.emplace_back("agentId", std::move(*id));
    }
    const auto add = [&query](const char* name, const std::string& value) {
        if (!value.empty()) query.emplace_back(name, value);
    };
    add("status", filters.status);
    add("recipient", filters.recipient);
    add("ref", filters.ref);
    add("from", filters.from);
    add("to", filters.to);
    return query;
}

Table transaction_table(const Json& rows) {
    Table table{.columns = {{"ID"},
                            {"CREATED"},
                            {"AGENT"},
                            {"STATUS"},
                            {"AMOUNT", true},
                            {"RECIPIENT"},
                            {"METHOD"},
                            {"MODEL"},
                            {"REF"}},
                .rows = {}};
    for (const auto& row : rows) {
        std::string status = text_at(row, {"status"});
        if (const auto code = text_at(row, {"rejectCode"}); !code.empty()) status += ": " + code;
        if (at(row, {"unknown"}) == true) status += ", unknown";
        if (at(row, {"overrun"}) == true) status += ", overrun";
        table.rows.push_back({text_at(row, {"id"}), short_time(text_at(row, {"createdAt"})),
                              text_at(row, {"agentId"}), std::move(status), text_at(row, {"amount"}),
                              text_at(row, {"recipient"}), text_at(row, {"method"}), text_at(row, {"model"}),
                              text_at(row, {"ref"})});
    }
    return table;
}

Fields fields_of(const Json& object) {
    Fields fields;
    if (!object.is_object()) return fields;
    for (const auto& [name, value] : object.items())
        fields.emplace_back(name, short_time(text_at(object, {name})));
    return fields;
}

void print_spend(Context& context, const Json& spend) {
    if (context.out.json()) return context.out.data(spend);
    context.out.fields({{"day", text_at(spend, {"day"})},
                        {"status", text_at(spend, {"status"})},
                        {"cap", text_at(spend, {"cap"})},
                        {"spent", text_at(spend, {"spent"})},
                        {"reserved", text_at(spend, {"reserved"})},
                        {"left", text_at(spend, {"left"})},
                        {"resets", short_time(text_at(spend, {"resets"}))},
                        {"wallet balance", text_at(spend, {"wallet", "balance"})},
                        {"wallet reserved", text_at(spend, {"wallet", "reserved"})},
                        {"wallet available", text_at(spend, {"wallet", "available"})}});
}

/// The columns of a report, in the order in which they were asked for.
std::vector<std::string> groups_of(std::string_view group_by) {
    std::vector<std::string> groups;
    while (!group_by.empty()) {
        const auto name = group_by.substr(0, group_by.find(','));
        group_by.remove_prefix(std::min(name.size() + 1, group_by.size()));
        groups.emplace_back(name);
        if (name == "agent") groups.emplace_back("agentId");
    }
    return groups;
}

}  // namespace

Outcome<void> list_transactions(Context& context, const ListTransactions& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto query = query_of(**api, options.filters);
    if (!query) return std::unexpected(query.error());
    const auto list = (*api)->list("/v1/transactions", *query, options.list);
    if (!list) return std::unexpected(list.error());
    if (context.out.json()) {
        context.out.data(list->rows);
    } else {
        context.out.table(transaction_table(list->rows), "no transaction");
    }
    note_more(context, *list);
    return {};
}

Outcome<void> show_transaction(Context& context, const ShowTransaction& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto transaction = (*api)->get("/v1/transactions/" + percent_encode(options.id));
    if (!transaction) return std::unexpected(transaction.error());
    if (context.out.json()) {
        context.out.data(*transaction);
    } else {
        context.out.fields(fields_of(*transaction));
    }
    return {};
}

Outcome<void> transaction_stats(Context& context, const TransactionFilters& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto query = query_of(**api, options);
    if (!query) return std::unexpected(query.error());
    const auto stats = (*api)->get("/v1/transactions/stats", *query);
    if (!stats) return std::unexpected(stats.error());
    if (context.out.json()) {
        context.out.data(*stats);
        return {};
    }
    context.out.fields({{"total spent", text_at(*stats, {"totalSpent"})},
                        {"transactions", text_at(*stats, {"transactionCount"})},
                        {"rejected", text_at(*stats, {"rejectedCount"})}});
    Table table{.columns = {{"RECIPIENT"}, {"USDC", true}}, .rows = {}};
    for (const auto& recipient : at(*stats, {"topRecipients"}))
        table.rows.push_back({text_at(recipient, {"hostname"}), text_at(recipient, {"totalUsdc"})});
    if (!table.rows.empty()) context.out.table(table, {});
    return {};
}

Outcome<void> list_transfers(Context& context, const ListTransfers& options) {
    if (auto checked = check_time(options.day, "--day"); !checked) return checked;
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    Query query;
    if (!options.agent.empty()) {
        auto id = find_agent_id(**api, options.agent);
        if (!id) return std::unexpected(id.error());
        query.emplace_back("agentId", std::move(*id));
    }
    if (!options.day.empty()) query.emplace_back("day", options.day);
    if (!options.account.empty()) query.emplace_back("account", options.account);
    if (!options.transaction.empty()) query.emplace_back("transactionId", options.transaction);
    const auto list = (*api)->list("/v1/ledger/transfers", query, options.list);
    if (!list) return std::unexpected(list.error());
    if (context.out.json()) {
        context.out.data(list->rows);
    } else {
        Table table{.columns = {{"CREATED"},
                                {"AGENT"},
                                {"KIND"},
                                {"DEBIT"},
                                {"CREDIT"},
                                {"AMOUNT", true},
                                {"TRANSACTION"},
                                {"REFERENCE"}},
                    .rows = {}};
        for (const auto& row : list->rows) {
            table.rows.push_back({short_time(text_at(row, {"createdAt"})), text_at(row, {"agentId"}),
                                  text_at(row, {"kind"}), text_at(row, {"debit"}), text_at(row, {"credit"}),
                                  text_at(row, {"amount"}), text_at(row, {"transactionId"}),
                                  text_at(row, {"reference"})});
        }
        context.out.table(table, "no transfer");
    }
    note_more(context, *list);
    return {};
}

Outcome<void> report_spend(Context& context, const ReportSpend& options) {
    for (const auto& checked : {check_time(options.from, "--from"), check_time(options.to, "--to")})
        if (!checked) return checked;
    if (options.csv && context.out.json()) return usage_error("--csv and --json exclude each other");
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    Query query{{"group_by", options.group_by}};
    if (!options.from.empty()) query.emplace_back("from", options.from);
    if (!options.to.empty()) query.emplace_back("to", options.to);
    query.emplace_back("format", options.csv ? "csv" : "json");
    if (options.csv) {
        const auto csv = (*api)->get_text("/v1/reports/spend", query);
        if (!csv) return std::unexpected(csv.error());
        context.out.raw(*csv);
        return {};
    }
    const auto report = (*api)->get("/v1/reports/spend", query);
    if (!report) return std::unexpected(report.error());
    if (context.out.json()) {
        context.out.data(*report);
        return {};
    }
    if (!report->is_array()) return failed("the gateway's report is no list");
    context.out.table(table_of(*report, groups_of(options.group_by)), "nothing was spent in this time");
    return {};
}

Outcome<void> agent_spend(Context& context, const NamedAgent& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto id = find_agent_id(**api, options.agent);
    if (!id) return std::unexpected(id.error());
    const auto spend = (*api)->get(agent_path(*id) + "/spend");
    if (!spend) return std::unexpected(spend.error());
    print_spend(context, *spend);
    return {};
}

Outcome<void> show_me(Context& context, const Me& options) {
    // Not consumed by the question, and bound to nothing else than this agent.
    MintToken question;
    question.agent = options.agent;
    question.audience = options.audience;
    auto minted = mint(context, question);
    if (!minted) return std::unexpected(minted.error());
    auto api = context.api_as_agent(std::move(minted->text));
    if (!api) return std::unexpected(api.error());
    const auto me = api->get("/v1/me");
    if (!me) return std::unexpected(me.error());
    print_spend(context, *me);
    return {};
}

}  // namespace nomiqon::cli
