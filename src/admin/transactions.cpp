// What happened to the money: transactions, refusals among them, and the double entries below them.

#include <algorithm>
#include <array>

#include "handlers.h"
#include "input.h"
#include "nomiqon/core/ids.h"
#include "pagination.h"

namespace nomiqon::admin {
namespace {

constexpr std::array<std::string_view, 5> statuses{"approved", "settling", "settled", "voided", "rejected"};

Result<json> read_filters(const Query& query) {
    json filters = json::object();
    const auto agent = read_id<AgentId>(query, "agentId");
    if (!agent) return std::unexpected(agent.error());
    if (*agent) filters["agent"] = **agent;
    if (const auto status = query.find("status"); status != query.end()) {
        if (std::ranges::find(statuses, status->second) == statuses.end()) {
            return std::unexpected(
                validation_error("must be approved, settling, settled, voided or rejected", "/status"));
        }
        filters["status"] = status->second;
    }
    for (const std::string name : {"recipient", "ref"}) {
        if (const auto found = query.find(name); found != query.end()) filters[name] = found->second;
    }
    if (auto range = read_range(query, filters); !range) return std::unexpected(range.error());
    return filters;
}

}  // namespace

Awaitable<Outcome> list_transactions(const Context& context, const ApiRequest& request) {
    auto filters = read_filters(request.query);
    if (!filters) co_return std::unexpected(filters.error());
    auto answer = co_await list(context, request, "list_transactions", *std::move(filters), "transactions");
    co_return answer;
}

Awaitable<Outcome> get_transaction(const Context& context, const ApiRequest& request) {
    auto found = co_await read(context, "get_transaction", {{"transaction", request.path_ids.at(0)}});
    if (!found) co_return std::unexpected(found.error());
    co_return Answer{.data = *std::move(found)};
}

Awaitable<Outcome> get_transaction_stats(const Context& context, const ApiRequest& request) {
    auto filters = read_filters(request.query);
    if (!filters) co_return std::unexpected(filters.error());
    auto stats = co_await read(context, "transaction_stats", *std::move(filters));
    if (!stats) co_return std::unexpected(stats.error());
    co_return Answer{.data = *std::move(stats)};
}

Awaitable<Outcome> list_transfers(const Context& context, const ApiRequest& request) {
    json filters = json::object();
    const auto agent = read_id<AgentId>(request.query, "agentId");
    if (!agent) co_return std::unexpected(agent.error());
    if (*agent) filters["agent"] = **agent;
    const auto transaction = read_id<TransactionId>(request.query, "transactionId");
    if (!transaction) co_return std::unexpected(transaction.error());
    if (*transaction) filters["transaction"] = **transaction;
    if (const auto day = request.query.find("day"); day != request.query.end()) {
        if (!parse_day(day->second) || day->second < "1970") {
            co_return std::unexpected(validation_error("must be a day: 2026-05-24", "/day"));
        }
        filters["day"] = day->second;
    }
    if (const auto account = request.query.find("account"); account != request.query.end()) {
        filters["account"] = account->second;
    }
    auto answer = co_await list(context, request, "list_transfers", std::move(filters), "transfers");
    co_return answer;
}

}  // namespace nomiqon::admin
