#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fstream>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

#include "agent_lookup.h"
#include "commands.h"
#include "inputs.h"
#include "ledger_audit.h"
#include "ledger_progress.h"
#include "nomiqon/audit/evidence.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon::cli {
namespace {

constexpr std::size_t most_jobs = 16;  // unless more are asked for
constexpr std::chrono::milliseconds redraw{250};

/// Found something: all was said on standard output.
std::unexpected<Failure> found_something() {
    return std::unexpected(Failure{.message = {}});
}

Outcome<void> check_day(const std::string& text, const std::string& option) {
    if (text.empty() || parse_day(text)) return {};
    return usage_error(option + " must be a day such as 2026-05-24, not " + in_backticks(text));
}

/// The `heads` of an earlier `--json`.
Outcome<std::map<std::string, audit::Head>> read_heads(const std::string& file) {
    std::map<std::string, audit::Head> heads;
    if (file.empty()) return heads;
    const auto text = read_text(file);
    if (!text) return std::unexpected(text.error());
    const auto document = parse_json(*text, "the file " + in_backticks(file));
    if (!document) return std::unexpected(document.error());
    const Json& list = at(*document, {"heads"});
    if (!list.is_array())
        return failed(in_backticks(file) + " has no heads", "nomiqon ledger verify --json makes it");
    for (const auto& row : list) {
        const auto hash = audit::hash_from_hex(text_at(row, {"hash"}));
        const Json& seq = at(row, {"seq"});
        if (!hash || !seq.is_number_integer()) return failed("a head in " + in_backticks(file) + " is none");
        heads[text_at(row, {"agent"})] = {.seq = seq.get<std::int64_t>(), .hash = *hash};
    }
    return heads;
}

/// Which agents, and how many lines they have by now.
struct Plan {
    std::vector<std::string> agents;
    std::int64_t lines = 0;
};

Outcome<Plan> make_plan(ApiClient& api, const std::string& agent) {
    Query query;
    if (!agent.empty()) {
        auto id = find_agent_id(api, agent);
        if (!id) return std::unexpected(id.error());
        query.emplace_back("agentId", std::move(*id));
    }
    const auto heads = api.list("/v1/ledger/heads", query, {.all = true});
    if (!heads) return std::unexpected(heads.error());
    Plan plan;
    for (const auto& head : heads->rows) {
        plan.agents.push_back(text_at(head, {"id"}));
        const Json& seq = at(head, {"seq"});
        if (seq.is_number_integer()) plan.lines += seq.get<std::int64_t>();
    }
    if (!agent.empty() && plan.agents.empty()) return failed("there is no agent " + in_backticks(agent));
    return plan;
}

/// Agents on several threads, each with a connection of its own. What goes wrong on one ends all.
class Workers {
  public:
    Workers(const Context& context, const Plan& plan, const AuditScope& scope)
        : context_(context), plan_(plan), scope_(scope) {}

    Outcome<std::vector<AgentAudit>> run(std::size_t jobs) {
        ProgressBar bar{plan_.lines};
        std::vector<std::jthread> threads;
        running_ = std::min(jobs, plan_.agents.size());
        for (std::size_t i = 0; i < running_; ++i)
            threads.emplace_back([this] { work(); });
        {
            std::unique_lock lock{mutex_};
            while (!ended_.wait_for(lock, redraw, [this] { return finished_ == threads_expected(); }))
                bar.draw(progress_);
        }
        threads.clear();
        if (failure_) return std::unexpected(*std::move(failure_));
        std::ranges::sort(results_, {}, &AgentAudit::agent);
        return std::move(results_);
    }

  private:
    [[nodiscard]] std::size_t threads_expected() const { return running_; }

    void work() {
        auto api = context_.new_api();
        if (!api) {
            fail(std::move(api.error()));
        } else {
            for (auto i = next_++; i < plan_.agents.size() && !stopped_; i = next_++) {
                auto audited =
                    audit_agent(*api, plan_.agents[i], scope_, progress_, [this] { return !stopped_; });
                if (!audited) {
                    fail(std::move(audited.error()));
                    break;
                }
                const std::scoped_lock lock{mutex_};
                results_.push_back(std::move(*audited));
            }
        }
        const std::scoped_lock lock{mutex_};
        ++finished_;
        ended_.notify_all();
    }

    void fail(Failure failure) {
        const std::scoped_lock lock{mutex_};
        stopped_ = true;
        if (!failure_) failure_ = std::move(failure);
    }

    const Context& context_;
    const Plan& plan_;
    const AuditScope& scope_;
    std::atomic<std::size_t> next_{0};
    std::atomic<std::int64_t> progress_{0};
    std::atomic<bool> stopped_{false};
    std::mutex mutex_;
    std::condition_variable ended_;
    std::size_t running_ = 0, finished_ = 0;
    std::vector<AgentAudit> results_;
    std::optional<Failure> failure_;
};

/// An agent whose head was kept, and of whom the ledger knows nothing any more.
void add_missing(std::vector<AgentAudit>& audits, const AuditScope& scope) {
    for (const auto& [agent, head] : scope.kept) {
        if (std::ranges::find(audits, agent, &AgentAudit::agent) != audits.end()) continue;
        audits.push_back(
            {.agent = agent,
             .name = {},
             .finding = audit::Finding{.invariant = audit::Invariant::chain,
                                       .agent = agent,
                                       .seq = 1,
                                       .what = "the agent is gone, and had " + std::to_string(head.seq) +
                                               " lines when its head was kept"}});
    }
}

Outcome<void> report(Context& context, const std::vector<AgentAudit>& audits, bool signatures) {
    Json findings = Json::array();
    Json heads = Json::array();
    std::int64_t lines = 0;
    for (const auto& one : audits) {
        lines += one.lines;
        heads.push_back(
            {{"agent", one.agent}, {"seq", one.head.seq}, {"hash", audit::to_hex(one.head.hash)}});
        if (!one.finding) continue;
        findings.push_back(finding_json(*one.finding));
        if (!context.out.json()) context.out.line(finding_text(*one.finding, one.name));
    }
    const bool clean = findings.empty();
    if (context.out.json()) {
        context.out.data({{"clean", clean},
                          {"agents", audits.size()},
                          {"lines", lines},
                          {"signatures", signatures},
                          {"findings", std::move(findings)},
                          {"heads", std::move(heads)}});
    } else if (clean) {
        context.out.line("clean: " + grouped(static_cast<std::int64_t>(audits.size())) + " agents, " +
                         grouped(lines) + " lines" + (signatures ? "" : ", signatures not checked"));
    } else {
        context.out.line("wrong: " + std::to_string(findings.size()) + " of " +
                         std::to_string(audits.size()) + " agents; the first wrong line of each is above");
    }
    if (!clean) return found_something();
    return {};
}

Outcome<void> verify_file(Context& context, const VerifyLedger& options) {
    const auto& file = options.file;
    const bool signatures = !options.no_signatures;
    audit::Auditor::Options checks{.tokens = signatures};
    if (!options.caids.empty()) checks.caids = options.caids;
    std::ifstream stream;
    if (file != "-") {
        stream.open(file, std::ios::binary);
        if (!stream) return failed("can't read the file " + in_backticks(file));
    }
    const auto evidence = audit::check_evidence(file == "-" ? std::cin : stream, std::move(checks));
    if (!evidence) {
        const auto& problem = evidence.error();
        if (context.out.json()) {
            Json findings = Json::array();
            findings.push_back(problem.finding ? finding_json(*problem.finding)
                                               : Json{{"invariant", "form"}, {"what", problem.message}});
            findings.front()["fileLine"] = problem.file_line;
            context.out.data(
                {{"clean", false}, {"signatures", signatures}, {"findings", std::move(findings)}});
        } else {
            context.out.line("wrong: line " + std::to_string(problem.file_line) + " of the file: " +
                             (problem.finding ? finding_text(*problem.finding, {}) : problem.message));
        }
        return found_something();
    }
    const auto day = format_day(evidence->day);
    if (context.out.json()) {
        context.out.data({{"clean", true},
                          {"agent", evidence->agent},
                          {"day", day},
                          {"lines", evidence->lines},
                          {"signatures", signatures},
                          {"findings", Json::array()},
                          {"heads", Json::array({{{"agent", evidence->agent},
                                                  {"seq", evidence->end.seq},
                                                  {"hash", audit::to_hex(evidence->end.hash)}}})}});
    } else {
        context.out.line("clean: " + evidence->agent + ", " + day + ", " + grouped(evidence->lines) +
                         " lines up to line " + std::to_string(evidence->end.seq) + ", hash " +
                         audit::to_hex(evidence->end.hash) + (signatures ? "" : ", signatures not checked"));
    }
    return {};
}

}  // namespace

Outcome<void> verify_ledger(Context& context, const VerifyLedger& options) {
    if (!options.file.empty()) return verify_file(context, options);
    for (const auto& checked : {check_day(options.from, "--from"), check_day(options.to, "--to")})
        if (!checked) return checked;
    if (!options.from.empty() && !options.to.empty() && options.to < options.from)
        return usage_error("--to is before --from");
    auto kept = read_heads(options.heads);
    if (!kept) return std::unexpected(kept.error());
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto plan = make_plan(**api, options.agent);
    if (!plan) return std::unexpected(plan.error());
    const AuditScope scope{
        .from = options.from, .to = options.to, .tokens = !options.no_signatures, .kept = *std::move(kept)};
    const std::size_t processors = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, most_jobs);
    auto audits = Workers{context, *plan, scope}.run(options.jobs > 0 ? options.jobs : processors);
    if (!audits) return std::unexpected(audits.error());
    if (options.agent.empty()) add_missing(*audits, scope);
    return report(context, *audits, scope.tokens);
}

}  // namespace nomiqon::cli
