#include "ledger_audit.h"

#include <future>
#include <nlohmann/json.hpp>
#include <utility>

namespace nomiqon::cli {
namespace {

constexpr const char* first_day = "1970-01-01";

std::unexpected<Failure> not_understood(std::string_view what) {
    return failed("the gateway's " + std::string{what} + " can't be read; is it of another version?");
}

std::optional<std::int64_t> integer_at(const Json& object, std::string_view name) {
    const Json& value = at(object, {name});
    if (!value.is_number_integer()) return std::nullopt;
    return value.get<std::int64_t>();
}

/// The agent's stored rows, all of one moment.
struct Stored {
    std::string name;
    std::vector<std::string> caids;
    audit::StoredRows rows;
};

Outcome<Stored> get_stored(ApiClient& api, const std::string& agent, bool counts) {
    const auto page =
        api.get("/v1/ledger/heads", {{"agentId", agent}, {"counts", counts ? "true" : "false"}});
    if (!page) return std::unexpected(page.error());
    if (!page->is_array() || page->size() != 1) return failed("there is no agent " + agent);
    const Json& head = page->front();
    Stored stored{.name = text_at(head, {"name"}), .caids = {}, .rows = {}};
    bool good = true;
    const auto number = [&](const Json& object, std::string_view name) {
        const auto value = integer_at(object, name);
        good = good && value.has_value();
        return value.value_or(0);
    };
    const auto amount = [&](const Json& object, std::string_view name) {
        return Usdc::from_nanos(number(object, name));
    };
    const auto hash = audit::hash_from_hex(text_at(head, {"hash"}));
    stored.rows.head = {.seq = number(head, "seq"), .hash = hash.value_or(audit::genesis)};
    stored.rows.balances = {.balance = amount(head, "balance"),
                            .reserved = amount(head, "reserved"),
                            .spent = amount(head, "spent"),
                            .exposed = amount(head, "exposed")};
    for (const auto& row : at(head, {"days"})) {
        const auto day = parse_day(text_at(row, {"day"}));
        good = good && day.has_value();
        stored.rows.days[day.value_or(Day{})] = {.spent = amount(row, "spent"),
                                                 .reserved = amount(row, "reserved")};
    }
    for (const auto& caid : at(head, {"caids"}))
        if (caid.is_string()) stored.caids.push_back(caid.get<std::string>());
    if (counts) {
        const Json& rows = at(head, {"rows"});
        stored.rows.counts = audit::RowCounts{.transfers = number(rows, "transfers"),
                                              .reservations = number(rows, "reservations"),
                                              .endings = number(rows, "endings"),
                                              .corrections = number(rows, "corrections")};
    }
    if (!good || !hash) return not_understood("head of the chain");
    return stored;
}

/// The lines of a chain, page after page. The next page is on its way while one is audited: of an audit's
/// time, about half is the gateway's.
class Pages {
  public:
    Pages(ApiClient& api, std::string agent, std::int64_t after, std::int64_t until)
        : api_(api), agent_(std::move(agent)), until_(until) {
        ask(after);
    }

    /// Empty when there are no more, as far as the ledger has them.
    Outcome<Json> next() {
        if (!coming_.valid()) return Json::array();
        auto page = coming_.get();
        if (!page || page->empty()) return page;
        const auto last = integer_at(page->back(), "seq");
        if (!last) return not_understood("lines");
        ask(*last);
        return page;
    }

  private:
    void ask(std::int64_t after) {
        // A number that doesn't rise would go round in a circle.
        if (after >= until_ || after <= asked_) return;
        asked_ = after;
        coming_ =
            std::async(std::launch::async, [this, after] { return get_lines(api_, agent_, after, until_); });
    }

    ApiClient& api_;
    std::string agent_;
    std::int64_t until_;
    std::int64_t asked_ = -1;
    std::future<Outcome<Json>> coming_;  // last: its thread ends before what it uses
};

/// Whether the chain still holds what it held when its head was kept.
std::optional<audit::Finding> check_kept(const audit::Auditor& auditor, const audit::Head& kept) {
    const auto& head = auditor.head();
    if (head.seq != kept.seq || head.hash == kept.hash) return std::nullopt;
    return audit::Finding{
        .invariant = audit::Invariant::chain,
        .agent = auditor.agent(),
        .seq = head.seq,
        .what = "this line had another hash when its head was kept: the chain was written anew"};
}

}  // namespace

std::shared_ptr<const metering::PriceBook> PriceBooks::find(ApiClient& api, const std::string& version) {
    const std::scoped_lock lock{mutex_};
    const auto [place, is_new] = books_.try_emplace(version);
    if (is_new) {
        const auto answer = api.get("/v1/ledger/prices", {{"version", version}});
        auto book = answer ? metering::PriceBook::parse(text_at(*answer, {"document"}))
                           : std::unexpected(std::vector<metering::PriceProblem>{});
        // One that doesn't hash to its version was changed.
        if (book && (*book)->version() == version) place->second = *std::move(book);
    }
    return place->second;
}

std::optional<Usdc> PriceBooks::recompute(ApiClient& api, std::string_view basis) {
    const auto document = nlohmann::json::parse(basis, nullptr, false);
    if (!document.is_object()) return std::nullopt;
    const auto named = document.find("book");
    if (named == document.end()) return metering::recompute(basis, *metering::PriceBook::built_in());
    if (!named->is_string()) return std::nullopt;
    const auto book = find(api, named->get<std::string>());
    return book ? metering::recompute(basis, *book) : std::nullopt;
}

Outcome<OpeningAnswer> get_opening(ApiClient& api, const std::string& agent, const std::string& from,
                                   const std::string& to) {
    Query query{{"agentId", agent}, {"from", from.empty() ? first_day : from}};
    if (!to.empty()) query.emplace_back("to", to);
    auto document = api.get("/v1/ledger/opening", query);
    if (!document) return std::unexpected(document.error());
    auto opening = audit::parse_opening(nlohmann::json::parse(document->dump()));
    const auto until = integer_at(*document, "until");
    if (!opening || !until) return not_understood("opening of the audit");
    return OpeningAnswer{.opening = *std::move(opening), .until = *until, .document = *std::move(document)};
}

Outcome<Json> get_lines(ApiClient& api, const std::string& agent, std::int64_t after, std::int64_t until) {
    auto lines = api.get("/v1/ledger/lines", {{"agentId", agent},
                                              {"afterSeq", std::to_string(after)},
                                              {"untilSeq", std::to_string(until)},
                                              {"limit", std::to_string(lines_a_page)}});
    if (lines && !lines->is_array()) return not_understood("lines");
    return lines;
}

Outcome<AgentAudit> audit_agent(ApiClient& api, const std::string& agent, const AuditScope& scope,
                                std::atomic<std::int64_t>& progress, const std::function<bool()>& go_on) {
    OpeningAnswer begin;
    if (!scope.from.empty() || !scope.to.empty()) {
        auto answer = get_opening(api, agent, scope.from, scope.to);
        if (!answer) return std::unexpected(answer.error());
        begin = *std::move(answer);
    }
    const auto stored = get_stored(api, agent, begin.opening.head.seq == 0 && scope.to.empty());
    if (!stored) return std::unexpected(stored.error());
    const std::int64_t until = scope.to.empty() ? stored->rows.head.seq : begin.until;
    const auto found_kept = scope.kept.find(agent);
    const auto kept = found_kept == scope.kept.end() ? std::nullopt : std::optional{found_kept->second};

    AgentAudit result{.agent = agent, .name = stored->name};
    audit::Auditor auditor{
        agent,
        {.tokens = scope.tokens,
         .caids = stored->caids,
         .recompute = [&](std::string_view basis) { return scope.prices->recompute(api, basis); }},
        begin.opening};
    Pages pages{api, agent, auditor.head().seq, until};
    while (!result.finding && auditor.head().seq < until && go_on()) {
        const auto lines = pages.next();
        if (!lines) return std::unexpected(lines.error());
        if (lines->empty()) break;
        for (const auto& row : *lines) {
            const auto hash = audit::hash_from_hex(text_at(row, {"hash"}));
            const Json& line = at(row, {"line"});
            if (!line.is_string()) return not_understood("lines");
            // A stored hash that is none is one that doesn't fit.
            result.finding = auditor.add(line.get_ref<const std::string&>(), hash.value_or(audit::genesis));
            ++progress;
            if (!result.finding && kept) result.finding = check_kept(auditor, *kept);
            if (result.finding) break;
            ++result.lines;
        }
    }
    result.head = auditor.head();
    if (result.finding || !go_on()) return result;
    result.finding = auditor.finish();
    if (!result.finding && auditor.head().seq < until) {
        result.finding = audit::Finding{
            .invariant = audit::Invariant::sequence,
            .agent = agent,
            .seq = auditor.head().seq + 1,
            .what = "this line is missing: the chain must reach to line " + std::to_string(until)};
    }
    if (!result.finding && until == stored->rows.head.seq)
        result.finding = audit::compare(auditor, stored->rows);
    if (!result.finding && kept && scope.to.empty() && auditor.head().seq < kept->seq) {
        result.finding = audit::Finding{.invariant = audit::Invariant::chain,
                                        .agent = agent,
                                        .seq = auditor.head().seq + 1,
                                        .what = "the chain had " + std::to_string(kept->seq) +
                                                " lines when its head was kept: its end was cut off"};
    }
    return result;
}

Json finding_json(const audit::Finding& finding) {
    Json json{
        {"invariant", audit::info(finding.invariant).name}, {"agent", finding.agent}, {"seq", finding.seq}};
    json["transaction"] = finding.transaction ? Json(*finding.transaction) : Json(nullptr);
    json["what"] = finding.what;
    json["statement"] = audit::info(finding.invariant).statement;
    return json;
}

std::string finding_text(const audit::Finding& finding, const std::string& name) {
    return (name.empty() ? finding.agent : name + " (" + finding.agent + ")") + ", line " +
           std::to_string(finding.seq) + (finding.transaction ? ", " + *finding.transaction : "") + ": " +
           std::string{audit::info(finding.invariant).name} + ": " + finding.what;
}

}  // namespace nomiqon::cli
