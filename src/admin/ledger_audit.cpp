// What an audit reads of the ledger, and finance's adjustments.

#include <charconv>

#include "handlers.h"
#include "input.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/core/usdc.h"
#include "pagination.h"

namespace nomiqon::admin {
namespace {

// A line is at most about 5 kB (a token has 2,048 characters), so that a page of lines stays a few megabytes.
constexpr std::int64_t most_lines = 1000;
constexpr std::size_t longest_reason = 500;  // bytes

/// A number from 0 on; `fallback` where the parameter is absent.
Result<std::int64_t> read_number(const Query& query, std::string_view name, std::int64_t fallback) {
    const auto found = query.find(name);
    if (found == query.end()) return fallback;
    const auto& text = found->second;
    std::int64_t value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec != std::errc{} || read.ptr != text.data() + text.size() || value < 0)
        return std::unexpected(validation_error("must be a number from 0 on", '/' + std::string{name}));
    return value;
}

Result<std::string> require_agent(const Query& query) {
    const auto agent = read_id<AgentId>(query, "agentId");
    if (!agent) return std::unexpected(agent.error());
    if (!*agent) return std::unexpected(validation_error("is required", "/agentId"));
    return **agent;
}

Result<std::optional<std::string>> read_day(const Query& query, std::string_view name) {
    const auto found = query.find(name);
    if (found == query.end()) return std::nullopt;
    if (!parse_day(found->second) || found->second < "1970")
        return std::unexpected(validation_error("must be a day: 2026-05-24", '/' + std::string{name}));
    return found->second;
}

/// An amount that isn't zero, with a sign where it is taken.
std::optional<std::int64_t> read_signed(std::string_view text) {
    const bool taken = text.starts_with('-');
    if (taken) text.remove_prefix(1);
    const auto amount = Usdc::parse(text);
    if (!amount || amount->is_zero()) return std::nullopt;
    return taken ? -amount->nanos() : amount->nanos();
}

}  // namespace

Awaitable<Outcome> list_ledger_heads(const Context& context, const ApiRequest& request) {
    json filters = json::object();
    const auto agent = read_id<AgentId>(request.query, "agentId");
    if (!agent) co_return std::unexpected(agent.error());
    if (*agent) filters["agent"] = **agent;
    if (const auto counts = request.query.find("counts"); counts != request.query.end()) {
        if (counts->second != "true" && counts->second != "false")
            co_return std::unexpected(validation_error("must be true or false", "/counts"));
        filters["counts"] = counts->second == "true";
    }
    auto answer = co_await list(context, request, "ledger_heads", std::move(filters), "heads");
    co_return answer;
}

Awaitable<Outcome> list_ledger_lines(const Context& context, const ApiRequest& request) {
    const auto agent = require_agent(request.query);
    if (!agent) co_return std::unexpected(agent.error());
    const auto after = read_number(request.query, "afterSeq", 0);
    if (!after) co_return std::unexpected(after.error());
    const auto until = read_number(request.query, "untilSeq", INT64_MAX);
    if (!until) co_return std::unexpected(until.error());
    const auto limit = read_number(request.query, "limit", most_lines);
    if (!limit || *limit < 1 || *limit > most_lines)
        co_return std::unexpected(validation_error("must be a number from 1 to 1000", "/limit"));
    auto found = co_await read(context, "ledger_lines",
                               {{"agent", *agent}, {"after", *after}, {"until", *until}, {"limit", *limit}});
    if (!found) co_return std::unexpected(found.error());
    json lines = std::move(found->at("items"));
    const bool more = lines.size() > static_cast<std::size_t>(*limit);
    if (more) lines.erase(lines.size() - 1);
    co_return Answer{.data = std::move(lines), .meta = {{"hasMore", more}}};
}

Awaitable<Outcome> get_ledger_opening(const Context& context, const ApiRequest& request) {
    const auto agent = require_agent(request.query);
    if (!agent) co_return std::unexpected(agent.error());
    const auto from = read_day(request.query, "from");
    if (!from) co_return std::unexpected(from.error());
    if (!*from) co_return std::unexpected(validation_error("is required", "/from"));
    const auto to = read_day(request.query, "to");
    if (!to) co_return std::unexpected(to.error());
    if (*to && **to < **from) co_return std::unexpected(validation_error("must not be before `from`", "/to"));
    json arguments{{"agent", *agent}, {"from", **from}};
    if (*to) arguments["to"] = **to;
    auto opening = co_await read(context, "ledger_opening", std::move(arguments));
    if (!opening) co_return std::unexpected(opening.error());
    co_return Answer{.data = *std::move(opening)};
}

Awaitable<Outcome> get_price_book(const Context& context, const ApiRequest& request) {
    const auto version = request.query.find("version");
    if (version == request.query.end())
        co_return std::unexpected(validation_error("is required", "/version"));
    auto book = co_await read(context, "price_book", {{"version", version->second}});
    if (!book) co_return std::unexpected(book.error());
    co_return Answer{.data = *std::move(book)};
}

Awaitable<Outcome> adjust_agent(const Context& context, const ApiRequest& request) {
    const auto text = require_text(request.body, "amount", {});
    if (!text) co_return std::unexpected(text.error());
    const auto amount = read_signed(*text);
    if (!amount) {
        co_return std::unexpected(validation_error(
            "must be an amount of USDC that is not zero: \"1.25\" into the wallet, \"-1.25\" out of it",
            "/amount"));
    }
    const auto reason = require_text(request.body, "reason", {.max = longest_reason});
    if (!reason) co_return std::unexpected(reason.error());
    if (reason->size() > longest_reason)
        co_return std::unexpected(validation_error("must be at most 500 bytes long", "/reason"));
    auto answer =
        co_await write(context, request, "adjust",
                       {{"agent", request.path_ids.at(0)}, {"amount", *amount}, {"reason", *reason}});
    co_return answer;
}

}  // namespace nomiqon::admin
