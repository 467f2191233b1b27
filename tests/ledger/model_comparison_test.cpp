// The reference model (tests/simulation/model_ledger.h) and the SQL functions, held against each other: the
// same random steps, and every answer and every row must be equal. NOMIQON_COMPARISON_SEED runs one sequence
// again.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "nomiqon/ledger/migrations.h"
#include "simulation/sql_ledger.h"
#include "support/postgres_fixture.h"

namespace nomiqon::simulation {
namespace {

using ledger::ReserveAnswer;
using ledger::Reserved;
using ledger::ReserveRefused;
using ledger::StalePolicy;

constexpr Time start{std::chrono::seconds{1'805'000'000}};  // 2027-03-14 04:53:20
constexpr int all_steps = 120'000;
constexpr int rows_every = 400;  // calls; wallets are compared after each

int setting(const char* name, int otherwise) {
    const char* value = std::getenv(name);
    return value == nullptr ? otherwise : std::atoi(value);
}

std::string words(const ReserveAnswer& answer) {
    if (const auto* held = std::get_if<Reserved>(&answer)) {
        return fmt::format("reserved {} {} {}", held->transaction.str(), format_day(held->day),
                           held->amount.nanos());
    }
    if (const auto* stale = std::get_if<StalePolicy>(&answer)) {
        return fmt::format("stale {} {}", stale->current.policy_version,
                           nlohmann::json::parse(stale->current.policy_document).dump());
    }
    const auto& refused = std::get<ReserveRefused>(answer);
    const std::string code{info(refused.code).name};
    if (!refused.cap) return code;
    const CapState& cap = *refused.cap;
    return fmt::format("{} {} {} {} {} {}", code, cap.cap, cap.limit.nanos(), cap.spent.nanos(),
                       cap.reserved.nanos(), cap.resets_at ? format_time(*cap.resets_at) : "");
}

// What the two said of one sequence.
class Comparison {
  public:
    Comparison(const std::string& owner_url, std::uint64_t seed)
        : random_(seed, start), sql_(owner_url, start) {}

    /// Until `steps` requests, endings and administrative changes were compared, or the first difference.
    void run(int steps) {
        try {
            for (int calls = 1; steps_ < steps && difference_.empty(); ++calls) {
                std::visit([this](const auto& step) { apply(step); }, random_.next(model_));
                compare("wallet", wallets_of(model_), sql_.wallets());
                if (calls % rows_every == 0) compare_rows();
            }
            compare_rows();
            compare("reservation", reservations_of(model_), sql_.reservations());
            compare("ending", endings_of(model_), sql_.endings());
            compare("transfer", transfers_of(model_), sql_.transfers());
        } catch (const std::exception& error) {
            differ("the database's error", "none", error.what());
        }
    }

    /// Empty: there is none.
    [[nodiscard]] const std::string& difference() const { return difference_; }
    [[nodiscard]] int steps() const { return steps_; }
    /// How often each answer was given.
    [[nodiscard]] const std::map<std::string, int>& answers() const { return answers_; }

  private:
    void differ(std::string_view what, std::string_view model, std::string_view sql) {
        if (difference_.empty())
            difference_ = fmt::format("step {}, {}:\n  model {}\n  SQL   {}", steps_, what, model, sql);
    }

    void compare(std::string_view what, const SqlLedger::Rows& model, const SqlLedger::Rows& sql) {
        for (const auto& [name, row] : model) {
            const auto other = sql.find(name);
            const std::string said = other == sql.end() ? "(no row)" : other->second;
            if (said != row) return differ(fmt::format("{} {}", what, name), row, said);
        }
        for (const auto& [name, row] : sql) {
            if (!model.contains(name)) return differ(fmt::format("{} {}", what, name), "(no row)", row);
        }
    }

    void compare_rows() {
        compare("day", days_of(model_), sql_.days());
        compare("token", tokens_of(model_), sql_.tokens());
    }

    void compare(std::string_view what, const std::string& model, const std::string& sql) {
        ++answers_[model.substr(0, model.find(' '))];
        if (model != sql) differ(what, model, sql);
    }

    void apply(const Work& work) {
        const auto model = model_.work(work, random_.now());
        const auto sql = sql_.work(work);
        if (model.has_value() != sql.has_value()) {
            return differ("the lease", model ? "holds" : "has lapsed", sql ? "holds" : "has lapsed");
        }
        steps_ += static_cast<int>(work.endings.size() + work.requests.size());
        if (!model) return;
        for (std::size_t i = 0; i < work.endings.size(); ++i) {
            compare("ending " + work.endings[i].transaction.str(), std::string{name_of(model->endings[i])},
                    std::string{name_of(sql->endings[i])});
        }
        for (std::size_t i = 0; i < work.requests.size(); ++i) {
            compare(fmt::format("request {} of {}", i, work.requests[i].transaction.str()),
                    words(model->requests[i]), words(sql->requests[i]));
        }
    }

    void apply(const Advance& step) { sql_.set_time(step.to); }
    void apply(const RenewLease& step) {
        const bool model = model_.renew_lease(step.gateway, random_.now() + step.lease);
        compare("lease", model ? "renewed" : "gone",
                sql_.renew_lease(step.gateway, step.lease) ? "renewed" : "gone");
    }
    void apply(const Expire&) {
        const int model = model_.expire(random_.now());
        if (const int sql = sql_.expire(); sql != model)
            differ("expired", std::to_string(model), std::to_string(sql));
        answers_["expired"] += model;
    }
    void apply(const ForgetTokens&) {
        model_.forget_tokens(random_.now());
        sql_.forget_tokens();
    }

    void apply(const CreateAgent& step) {
        model_.create_agent(step.agent, step.caid, step.policy);
        administer({}, "create_agent",
                   {{"agent", step.agent},
                    {"name", step.agent},
                    {"caid", step.caid},
                    {"policy_id", "pol_1"},
                    {"document", nlohmann::json::parse(document_of(step.policy))},
                    {"metadata", nlohmann::json::object()},
                    {"owner", "o"},
                    {"address", "a"},
                    {"mint", "m"}});
    }
    void apply(const AddCaid& step) {
        administer(model_.add_caid(step.agent, step.caid), "add_caid",
                   {{"agent", step.agent}, {"caid", step.caid}});
    }
    void apply(const RevokeCaid& step) {
        administer(model_.revoke_caid(step.agent, step.caid), "revoke_caid",
                   {{"agent", step.agent}, {"caid", step.caid}});
    }
    void apply(const SetPolicy& step) {
        const nlohmann::json document = nlohmann::json::parse(document_of(step.policy));
        nlohmann::json partial{{"dailyCap", nullptr}, {"totalCap", nullptr}, {"maxPerRequest", nullptr}};
        partial.update(document);
        administer(model_.set_policy(step.agent, step.policy), "update_agent",
                   {{"agent", step.agent}, {"partial", partial}});
    }
    void apply(const SetPaused& step) {
        administer(model_.set_paused(step.agent, step.paused), "set_agent_status",
                   {{"agent", step.agent}, {"to", step.paused ? "paused" : "active"}});
    }
    void apply(const Terminate& step) {
        administer(model_.terminate(step.agent, random_.now()), "set_agent_status",
                   {{"agent", step.agent}, {"to", "terminated"}});
    }
    void apply(const Fund& step) {
        administer(model_.fund(step.agent, step.amount, step.reference, random_.now()), "fund_agent",
                   {{"agent", step.agent}, {"amount", step.amount}, {"reference", step.reference}});
    }
    void apply(const Adjust& step) {
        administer(model_.adjust(step.agent, step.amount, step.reason, random_.now()), "adjust",
                   {{"agent", step.agent}, {"amount", step.amount}, {"reason", step.reason}});
    }

    void administer(const Done& model, const std::string& function, nlohmann::json arguments) {
        ++steps_;
        arguments["by"] = "test";
        const Done sql = sql_.admin(function, arguments.dump());
        const auto name = [](const Done& done) {
            if (done) return "done";
            switch (done.error()) {
                case Refused::not_found:
                    return "not_found";
                case Refused::conflict:
                    return "conflict";
                case Refused::invalid:
                    return "invalid";
            }
            return "";
        };
        if (model != sql) differ(function + " " + arguments.dump(), name(model), name(sql));
    }

    RandomSteps random_;
    ModelLedger model_;
    SqlLedger sql_;
    int steps_ = 0;
    std::string difference_;
    std::map<std::string, int> answers_;
};

// A fault in the functions' text.
struct Planted {
    std::string_view name;
    std::vector<std::pair<std::string_view, std::string_view>> changes;
};

class ModelComparisonTest : public test::DatabaseTest, public ::testing::WithParamInterface<Planted> {
  protected:
    void migrate_with(std::span<const Migration> migrations) {
        const auto report = migrate(owner_url(), migrations, Duration{5000});
        ASSERT_TRUE(report) << report.error();
    }
};

// A sequence that never meets a rule says nothing of it.
constexpr std::array answers_to_meet{"reserved",
                                     "stale",
                                     "spend_token_invalid",
                                     "spend_token_expired",
                                     "spend_token_replayed",
                                     "agent_terminated",
                                     "agent_paused",
                                     "identity_revoked",
                                     "agent_frozen",
                                     "policy_domain_blocked",
                                     "spend_token_exhausted",
                                     "request_limit_exceeded",
                                     "policy_cap_exceeded",
                                     "insufficient_balance",
                                     "spend_token_reserved",
                                     "policy_cap_reserved",
                                     "balance_reserved",
                                     "ended",
                                     "already_ended",
                                     "not_found",
                                     "corrected",
                                     "expired"};

TEST_F(ModelComparisonTest, TheSqlFunctionsAnswerAndStoreWhatTheModelDoes) {
    migrate_with(embedded_migrations());
    const auto seed = static_cast<std::uint64_t>(setting("NOMIQON_COMPARISON_SEED", 20'261'124));
    Comparison comparison{owner_url(), seed};
    comparison.run(std::min(all_steps, setting("NOMIQON_SIMULATION_OPERATIONS", all_steps)));
    EXPECT_EQ(comparison.difference(), "") << "run it again with NOMIQON_COMPARISON_SEED=" << seed;
    if (comparison.steps() < all_steps) return;
    for (const char* answer : answers_to_meet) {
        const auto found = comparison.answers().find(answer);
        EXPECT_GE(found == comparison.answers().end() ? 0 : found->second, 10) << answer;
    }
}

TEST_P(ModelComparisonTest, AFaultInTheSqlFunctionsIsSeen) {
    std::vector<Migration> migrations{embedded_migrations().begin(), embedded_migrations().end()};
    const auto work = std::ranges::find(migrations, 2, &Migration::number);
    ASSERT_NE(work, migrations.end());
    std::string sql{work->sql};
    for (const auto& [sound, broken] : GetParam().changes) {
        const std::size_t at = sql.find(sound);
        ASSERT_NE(at, std::string::npos)
            << "migrations/0002 has changed, the fault has to be planted anew: " << sound;
        ASSERT_EQ(sql.find(sound, at + 1), std::string::npos) << "more than once: " << sound;
        sql.replace(at, sound.size(), broken);
    }
    work->sql = sql;
    migrate_with(migrations);
    Comparison comparison{owner_url(), 1};
    comparison.run(40'000);
    EXPECT_NE(comparison.difference(), "");
    RecordProperty("difference", comparison.difference());
}

INSTANTIATE_TEST_SUITE_P(
    Planted, ModelComparisonTest,
    ::testing::Values(
        Planted{"SettlementIsNotIdempotent",
                {{"if q.booked is null then", "if q.booked_reason is distinct from 'expired' then"},
                 {"where u.seq is not null;", "where u.seq is not null on conflict do nothing;"}}},
        Planted{"NonceIsNotBurntOnA402",
                {{"from u where not u.session)", "from u where u.held is not null and not u.session)"}}},
        Planted{"WalletIsNotChecked",
                {{"least(a.balance, a.total_cap - a.spent)",
                  "least(1000000000000000000, a.total_cap - a.spent)"}}},
        Planted{"EndingCountsOnItsOwnDay", {{"if v_ending_day = v_today then", "if true then"}}},
        Planted{"ChainIsNotAdvanced",
                {{"chain_hash = u.hash, waiting_until", "chain_hash = w.chain_hash, waiting_until"}}}),
    [](const auto& planted) { return std::string{planted.param.name}; });

}  // namespace
}  // namespace nomiqon::simulation
