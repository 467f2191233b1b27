#include <fmt/format.h>

#include "api_world.h"
#include "nomiqon/audit/auditor.h"

namespace nomiqon::admin {
namespace {

constexpr std::int64_t usdc = 1'000'000'000;

struct Ask {
    std::int64_t bound = usdc;
    std::optional<std::int64_t> typical{}, token_max{};
    std::int64_t overrun_limit = 0;
    std::string jti{};
    bool session = false;
};

/// Agents whose money moved by the gateway's own function.
class LedgerAuditTest : public ApiTest {
  protected:
    void SetUp() override {
        ApiTest::SetUp();
        agent_ = post("/v1/agents", {{"name", "a"},
                                     {"caid", {{"publicKey", key.caid().base58()}}},
                                     {"policy", {{"dailyCap", "50"}}}})
                     .data.at("id");
        ASSERT_EQ(post(path("fund"), {{"amount", "20"}, {"reference", "é \"1\"\\"}}).status, 200);
        shift_clock("0 days");
    }

    [[nodiscard]] std::string path(const std::string& call) const {
        return "/v1/agents/" + agent_ + '/' + call;
    }

    /// The database's clock, from which everything is decided.
    void shift_clock(const std::string& by) {
        value(
            "create or replace function nomiqon.internal_now() returns timestamptz language plpgsql volatile "
            "as "
            "$$ begin return clock_timestamp() + interval '" +
            by + "'; end $$");
        value("select nomiqon.renew_lease('gw_1', 'h', 'v', '1 hour')");
        now_ = std::stoll(value("select extract(epoch from nomiqon.internal_now())::bigint"));
    }

    std::string reserve(Ask ask = {}) {
        const auto id = TransactionId::generate().str();
        const auto number = [](std::optional<std::int64_t> n) { return n ? json(*n) : json(nullptr); };
        if (ask.jti.empty()) ask.jti = "jti_" + new_ulid();
        const auto token =
            key.mint({.iat = now_,
                      .exp = now_ + 200,
                      .jti = ask.jti,
                      .use = ask.session ? token::TokenUse::session : token::TokenUse::once,
                      .max = ask.token_max ? std::optional{Usdc::from_nanos(*ask.token_max)} : std::nullopt,
                      .ref = "run é"});
        const auto outcome = work("reserve_command", {{"agent", 1},
                                                      {"transaction", id},
                                                      {"request", "req_1"},
                                                      {"caid", key.caid().str()},
                                                      {"version", 1},
                                                      {"bound", ask.bound},
                                                      {"typical", number(ask.typical)},
                                                      {"overrun_limit", ask.overrun_limit},
                                                      {"wait_ms", 0},
                                                      {"token", token},
                                                      {"jti", ask.jti},
                                                      {"exp", now_ + 200},
                                                      {"session", ask.session},
                                                      {"token_max", number(ask.token_max)},
                                                      {"ref", "run é"},
                                                      {"scheme", "https"},
                                                      {"host", "api.llm.example"},
                                                      {"port", 443},
                                                      {"method", "POST"},
                                                      {"model", "gpt-4o"}});
        EXPECT_EQ(outcome, "reserved");
        return id;
    }
    std::string end(const std::string& transaction, const std::string& ending, std::int64_t amount,
                    const std::string& reason = {}, bool unknown = false) {
        return work("end_command", {{"agent", 1},
                                    {"transaction", transaction},
                                    {"ending", ending},
                                    {"cost", amount},
                                    {"unknown", unknown},
                                    {"reason", reason.empty() ? json(nullptr) : json(reason)},
                                    {"model", "gpt-4o-mini"}});
    }
    /// A batch of one, as a gateway sends it.
    std::string work(const std::string& type, const json& command) {
        const auto commands =
            "array[jsonb_populate_record(null::nomiqon." + type + ", $json$" + command.dump() + "$json$)]";
        const bool ends = type == "end_command";
        return value("select outcome from nomiqon.work('gw_1', array['" + agent_ + "'], " +
                     (ends ? commands : "'{}'") + ", " + (ends ? "'{}'" : commands) + ")");
    }

    /// One of everything.
    void live_a_day() {
        EXPECT_EQ(end(reserve(), "settled", usdc / 4), "ended");
        EXPECT_EQ(end(reserve(), "settled", usdc), "ended");
        EXPECT_EQ(end(reserve(), "settled", usdc * 3 / 2), "ended");
        EXPECT_EQ(end(reserve(), "released", 0, "upstream_unreachable"), "ended");
        EXPECT_EQ(end(reserve({.bound = 0}), "settled", 0), "ended");
        const auto cheap = reserve();
        const auto dear = reserve();
        for (const auto& lost : {cheap, dear})
            EXPECT_EQ(end(lost, "settled", 0, "expired", true), "ended");
        EXPECT_EQ(end(cheap, "released", 0), "corrected");
        EXPECT_EQ(end(dear, "settled", 2 * usdc), "corrected");
        EXPECT_EQ(end(dear, "settled", usdc), "already_ended");
        const auto jti = "jti_" + new_ulid();
        const Ask session{.token_max = 3 * usdc, .jti = jti, .session = true};
        EXPECT_EQ(end(reserve(session), "settled", usdc / 2), "ended");
        reserve(session);
        reserve({.bound = 2 * usdc, .typical = usdc / 2, .overrun_limit = 9 * usdc});
        expired_ = reserve();
        EXPECT_EQ(end(expired_, "settled", 0, "expired", true), "ended");
        EXPECT_EQ(post(path("adjust"), {{"amount", "0.5"}, {"reason", "double charge"}}).status, 200);
        EXPECT_EQ(post(path("adjust"), {{"amount", "-0.25"}, {"reason", "too much"}}).status, 200);
    }

    json head(bool counts = true) {
        const auto answered = get("/v1/ledger/heads?agentId=" + agent_ + (counts ? "&counts=true" : ""));
        EXPECT_EQ(answered.status, 200) << answered.response.body;
        return answered.data.at(0);
    }
    static audit::StoredRows rows_of(const json& head) {
        audit::StoredRows rows;
        rows.head = {.seq = head.at("seq"),
                     .hash = audit::hash_from_hex(head.at("hash").get<std::string>()).value()};
        rows.balances = {.balance = Usdc::from_nanos(head.at("balance")),
                         .reserved = Usdc::from_nanos(head.at("reserved")),
                         .spent = Usdc::from_nanos(head.at("spent")),
                         .exposed = Usdc::from_nanos(head.at("exposed"))};
        for (const auto& day : head.at("days")) {
            rows.days[parse_day(day.at("day").get<std::string>()).value()] = {
                .spent = Usdc::from_nanos(day.at("spent")), .reserved = Usdc::from_nanos(day.at("reserved"))};
        }
        if (head.contains("rows")) {
            const auto& counts = head.at("rows");
            rows.counts = audit::RowCounts{counts.at("transfers"), counts.at("reservations"),
                                           counts.at("endings"), counts.at("corrections")};
        }
        return rows;
    }

    /// What an audit from the opening on says, as `invariant at seq`, or `clean`.
    std::string audited(const audit::Opening& opening = {}) {
        audit::Auditor auditor{agent_, {.caids = std::vector{key.caid().str()}}, opening};
        const auto told = [](const audit::Finding& finding) {
            return fmt::format("{} at {}: {}", audit::info(finding.invariant).name, finding.seq,
                               finding.what);
        };
        const auto row = head(opening.head.seq == 0);
        for (bool more = true; more;) {
            const auto page = get(fmt::format("/v1/ledger/lines?agentId={}&afterSeq={}&untilSeq={}&limit=7",
                                              agent_, auditor.head().seq, row.at("seq").get<std::int64_t>()));
            EXPECT_EQ(page.status, 200) << page.response.body;
            for (const auto& line : page.data) {
                const auto hash = audit::hash_from_hex(line.at("hash").get<std::string>());
                if (const auto finding = auditor.add(line.at("line").get<std::string>(), hash.value()))
                    return told(*finding);
            }
            more = page.meta.at("hasMore");
        }
        if (const auto finding = auditor.finish()) return told(*finding);
        if (const auto finding = audit::compare(auditor, rows_of(row))) return told(*finding);
        return "clean";
    }
    /// As the owner of the database could, with the triggers out of the way.
    void tamper(const std::string& statement) {
        value("set session_replication_role = replica; " + statement);
    }

    token::SigningKey key = token::SigningKey::generate();
    std::string agent_, expired_;
    std::int64_t now_ = 0;
};

TEST_F(LedgerAuditTest, WhatTheLedgerWroteIsClean) {
    live_a_day();
    EXPECT_EQ(audited(), "clean");
    EXPECT_EQ(head(false).contains("rows"), false);
}

TEST_F(LedgerAuditTest, AnAuditBeginsAtAnyDay) {
    live_a_day();
    shift_clock("1 day");
    EXPECT_EQ(end(expired_, "settled", usdc / 8), "corrected");
    live_a_day();
    EXPECT_EQ(audited(), "clean");

    const auto today = value("select (nomiqon.internal_now() at time zone 'UTC')::date");
    const auto answered = get("/v1/ledger/opening?agentId=" + agent_ + "&from=" + today + "&to=" + today);
    ASSERT_EQ(answered.status, 200) << answered.response.body;
    const auto opening = audit::parse_opening(answered.data);
    ASSERT_TRUE(opening) << opening.error();
    EXPECT_GT(opening->head.seq, 10);
    EXPECT_EQ(opening->open.size(), 2U);
    EXPECT_EQ(opening->expired.size(), 1U);
    EXPECT_EQ(answered.data.at("until"), head().at("seq"));
    EXPECT_EQ(audited(*opening), "clean");

    const auto yesterday =
        get("/v1/ledger/opening?agentId=" + agent_ + "&from=2026-01-01&to=2026-01-02").data;
    EXPECT_EQ(yesterday.at("seq"), 0);
    EXPECT_EQ(yesterday.at("until"), 0);
    EXPECT_EQ(yesterday.at("hash"), std::string(64, '0'));
    const auto later = get("/v1/ledger/opening?agentId=" + agent_ + "&from=2099-01-01").data;
    EXPECT_EQ(later.at("seq"), head().at("seq"));
    EXPECT_EQ(later.at("balance"), head().at("balance"));
    EXPECT_EQ(later.at("exposed"), head().at("exposed"));
}

TEST_F(LedgerAuditTest, WhateverIsChangedBelowIsFound) {
    live_a_day();
    ASSERT_EQ(audited(), "clean");
    const std::vector<std::pair<std::string, std::string>> changes{
        {"update nomiqon.transfers set amount = amount + 1 where seq = 4", "chain at 4"},
        {"update nomiqon.transfers set created_at = created_at + interval '1 microsecond' where seq = 6",
         "chain at 6"},
        {"update nomiqon.transfers set hash = sha256('x') where seq = 5", "chain at 5"},
        {"delete from nomiqon.transfers where seq = 7", "sequence at 8"},
        {"update nomiqon.reservations set host = 'other.example' where transaction_id = (select "
         "transaction_id from "
         "nomiqon.transfers where seq = 2)",
         "chain at 2"},
        {"update nomiqon.reservations set token = token || 'x' where transaction_id = (select transaction_id "
         "from "
         "nomiqon.transfers where seq = 2)",
         "chain at 2"},
        {"update nomiqon.endings set amount = amount - 1 where transaction_id = (select transaction_id from "
         "nomiqon.transfers where seq = 3)",
         "chain at 3"},
        {"delete from nomiqon.endings where transaction_id = (select transaction_id from nomiqon.transfers "
         "where seq = 3)",
         "chain at 3"},
        {"update nomiqon.corrections set amount = amount + 1", "chain at "},
        {"update nomiqon.wallets set balance = balance + 1", "stored at "},
        {"update nomiqon.wallets set exposed = exposed + 1", "stored at "},
        {"update nomiqon.agent_days set spent = spent - 1", "stored at "},
        {"insert into nomiqon.endings select agent_id, day, 'txn_x', ending, amount, unknown, overrun, "
         "reason, model, basis, "
         "ended_at from nomiqon.endings limit 1",
         "stored at "},
        {"insert into nomiqon.caids (agent_id, caid) values ('x', 'y')", "clean"}};
    // A database of this test's own, put back after each change.
    for (const auto& table : {"transfers", "reservations", "endings", "corrections", "wallets", "agent_days"})
        value(fmt::format("create table public.{0} as select * from nomiqon.{0}", table));
    for (const auto& [statement, found] : changes) {
        tamper(statement);
        EXPECT_TRUE(audited().starts_with(found)) << statement << "\n" << audited();
        for (const auto& table :
             {"transfers", "reservations", "endings", "corrections", "wallets", "agent_days"})
            tamper(fmt::format("delete from nomiqon.{0}; insert into nomiqon.{0} select * from public.{0}",
                               table));
    }
    EXPECT_EQ(audited(), "clean");
}

TEST_F(LedgerAuditTest, HeadsComeInPagesById) {
    for (const auto* const name : {"b", "c"})
        make_agent(name);
    auto page = get("/v1/ledger/heads?limit=2");
    ASSERT_EQ(page.data.size(), 2U);
    EXPECT_LT(page.data[0]["id"], page.data[1]["id"]);
    EXPECT_EQ(page.data[1]["seq"], 0);
    EXPECT_EQ(page.data[1]["hash"], std::string(64, '0'));
    EXPECT_TRUE(page.meta["hasMore"]);
    page = get("/v1/ledger/heads?limit=2&after=" + page.meta["nextCursor"].get<std::string>());
    EXPECT_EQ(page.data.size(), 1U);
    EXPECT_FALSE(page.meta["hasMore"]);
}

TEST_F(LedgerAuditTest, ParametersAreChecked) {
    EXPECT_EQ(get("/v1/ledger/lines").param(), "/agentId");
    EXPECT_EQ(get("/v1/ledger/lines?agentId=a").param(), "/agentId");
    for (const std::string name : {"afterSeq=-1", "untilSeq=x", "limit=0", "limit=1001", "limit=9e9"}) {
        EXPECT_EQ(get("/v1/ledger/lines?agentId=" + agent_ + '&' + name).param(),
                  '/' + name.substr(0, name.find('=')));
    }
    EXPECT_EQ(get("/v1/ledger/opening?agentId=" + agent_).param(), "/from");
    EXPECT_EQ(get("/v1/ledger/opening?agentId=" + agent_ + "&from=2026-02-30").param(), "/from");
    EXPECT_EQ(get("/v1/ledger/opening?agentId=" + agent_ + "&from=2026-02-20&to=2026-02-19").param(), "/to");
    EXPECT_EQ(get("/v1/ledger/opening?agentId=ag_01hzzzzzzzzzzzzzzzzzzzzzzz&from=2026-02-20").status, 404);
    EXPECT_EQ(get("/v1/ledger/heads?counts=yes").param(), "/counts");
    EXPECT_EQ(get("/v1/ledger/lines?agentId=ag_01hzzzzzzzzzzzzzzzzzzzzzzz").data, json::array());
    const auto reader = add_key("read");
    EXPECT_EQ(send(reader, "GET", "/v1/ledger/heads").status, 200);
    EXPECT_EQ(send(reader, "POST", path("adjust"), R"({"amount": "1", "reason": "r"})").status, 403);
}

TEST_F(LedgerAuditTest, FinanceAdjustsTheBalanceAlone) {
    EXPECT_EQ(end(reserve(), "settled", usdc), "ended");
    reserve();
    EXPECT_EQ(send(add_key("operator"), "POST", path("adjust"), R"({"amount": "1", "reason": "r"})").status,
              403);
    const auto op = add_key("full");
    const auto refund =
        send(op, "POST", path("adjust"), R"({"amount": "1.25", "reason": "provider's refund"})",
             {{"idempotency-key", "k"}});
    ASSERT_EQ(refund.status, 200) << refund.response.body;
    EXPECT_EQ(refund.data["wallet"]["balance"], "20.250000");
    EXPECT_EQ(refund.data["policy"]["_computed"]["spentToday"], "1.000000") << "a refund gives no cap back";
    EXPECT_EQ(send(op, "POST", path("adjust"), R"({"amount": "1.25", "reason": "provider's refund"})",
                   {{"idempotency-key", "k"}})
                  .data["wallet"]["balance"],
              "20.250000");
    const auto transfer = get("/v1/ledger/transfers?limit=1").data.at(0);
    EXPECT_EQ(transfer["kind"], "adjust");
    EXPECT_EQ(transfer["debit"], "treasury");
    EXPECT_EQ(transfer["reference"], "provider's refund");

    EXPECT_EQ(post(path("adjust"), {{"amount", "-19.26"}, {"reason", "r"}}).code(), "conflict")
        << "1 is held";
    EXPECT_EQ(post(path("adjust"), {{"amount", "-19.25"}, {"reason", "r"}}).data["wallet"]["available"],
              "0.000000");
    EXPECT_EQ(audited(), "clean");

    for (const std::string amount : {"0", "-0", "--1", "+1", "1e3", "-", "", "1.0000000001", "99999999999"})
        EXPECT_EQ(post(path("adjust"), {{"amount", amount}, {"reason", "r"}}).param(), "/amount") << amount;
    EXPECT_EQ(post(path("adjust"), {{"amount", "9223372036.8"}, {"reason", "r"}}).param(), "/amount");
    for (const std::string& reason :
         {std::string{}, std::string{"a\nb"}, std::string(501, 'x'), "é" + std::string(499, 'x')})
        EXPECT_EQ(post(path("adjust"), {{"amount", "1"}, {"reason", reason}}).param(), "/reason");
    EXPECT_EQ(post(path("adjust"), {{"amount", "1"}}).param(), "/reason");
    EXPECT_EQ(remove("/v1/agents/" + agent_).status, 200);
    EXPECT_EQ(post(path("adjust"), {{"amount", "1"}, {"reason", "r"}}).code(), "conflict");
}

}  // namespace
}  // namespace nomiqon::admin
