#include "api_world.h"

namespace nomiqon::admin {
namespace {

using MoneyTest = ApiTest;

TEST_F(MoneyTest, AReferenceFundsOnce) {
    const auto path = "/v1/agents/" + make_agent("a") + "/fund";
    EXPECT_EQ(post(path, {{"amount", "2.5"}, {"reference", "first"}}).data["wallet"]["balance"], "2.500000");
    EXPECT_EQ(post(path, {{"amount", "2.50"}, {"reference", "first"}}).data["wallet"]["balance"], "2.500000");
    const auto other = post(path, {{"amount", "3"}, {"reference", "first"}});
    EXPECT_EQ(other.status, 409);
    EXPECT_EQ(other.param(), "/reference");
    EXPECT_EQ(post(path, {{"amount", "0.0000001"}}).data["wallet"]["balance"], "2.5000001");
    EXPECT_EQ(
        value("select sum(case when debit = 'treasury' then -amount else amount end) from nomiqon.transfers"),
        "-2500000100")
        << "the treasury goes below zero";
    for (const std::string bad : {"0", "-1", "1e3", "1.0000000001", "x"}) {
        EXPECT_EQ(post(path, {{"amount", bad}}).param(), "/amount") << bad;
    }
    EXPECT_EQ(post(path, {{"amount", 5}}).param(), "/amount");
    EXPECT_EQ(post(path, {{"amount", "9223372036.854775807"}}).param(), "/amount")
        << "more than a wallet holds";
}

TEST_F(MoneyTest, TheWalletsStatusSaysHowItStands) {
    const auto path = "/v1/agents/" + make_agent("a", {{"dailyCap", "10"}});
    const auto status = [&] { return get(path).data["wallet"]["status"].get<std::string>(); };
    const auto id = path.substr(11);
    EXPECT_EQ(status(), "provisioned");
    post(path + "/fund", {{"amount", "2"}});
    EXPECT_EQ(status(), "funded");
    const auto held = reserve(id, 1'500'000'000, "x.com");
    EXPECT_EQ(status(), "low_balance") << "0.5 of a cap of 10";
    const auto rest = reserve(id, 500'000'000, "x.com");
    EXPECT_EQ(status(), "depleted");
    patch(path, {{"policy", {{"frozen", true}}}});
    EXPECT_EQ(status(), "frozen");
    end(id, held, "settled", 1'500'000'000);
    end(id, rest, "released", 0);
    const auto wallet = get(path).data["wallet"];
    EXPECT_EQ(wallet["balance"], "0.500000");
    EXPECT_EQ(wallet["reserved"], "0.000000");
}

TEST_F(MoneyTest, SpendIsCapLessSpentAndHeld) {
    const auto id = make_agent("a", {{"dailyCap", "4"}, {"totalCap", "100"}});
    post("/v1/agents/" + id + "/fund", {{"amount", "10"}});
    end(id, reserve(id, 1'000'000'000, "x.com"), "settled", 700'000'000);
    reserve(id, 300'000'000, "x.com");
    const auto spend = get("/v1/agents/" + id + "/spend").data;
    EXPECT_EQ(spend["cap"], "4.000000");
    EXPECT_EQ(spend["spent"], "0.700000");
    EXPECT_EQ(spend["reserved"], "0.300000");
    EXPECT_EQ(spend["left"], "3.000000");
    EXPECT_EQ(spend["wallet"],
              (json{{"balance", "9.300000"}, {"reserved", "0.300000"}, {"available", "9.000000"}}));
    EXPECT_EQ(get("/v1/agents/" + id).data["policy"]["_computed"]["remainingTotal"], "99.000000");
}

TEST_F(MoneyTest, AnAgentSeesItsOwnSpendByItsToken) {
    const auto signing = token::SigningKey::generate();
    auto body = new_agent("a", {{"dailyCap", "4"}});
    body["caid"]["publicKey"] = signing.caid().str();
    const auto id = post("/v1/agents", body).data["id"].get<std::string>();
    const auto now = unix_seconds(clock_.now());
    const auto token = signing.mint({.iat = now, .exp = now + 60, .jti = "0123456789abcdef"});
    const auto mine = send("spt_" + token, "GET", "/v1/me");
    ASSERT_EQ(mine.status, 200) << mine.response.body;
    EXPECT_EQ(mine.data["left"], "4.000000");
    EXPECT_EQ(send(token, "GET", "/v1/me").status, 200) << "not consumed";
    EXPECT_EQ(send(token, "GET", "/v1/me", "", {{"x-nomiqon-agent-id", id}}).status, 200);
    const auto claimed = send(token, "GET", "/v1/me", "", {{"x-nomiqon-agent-id", make_agent("other")}});
    EXPECT_EQ(claimed.status, 401);
    EXPECT_EQ(claimed.code(), "spend_token_invalid");

    EXPECT_EQ(send("", "GET", "/v1/me").code(), "spend_token_missing");
    EXPECT_EQ(send(key_, "GET", "/v1/me").code(), "spend_token_invalid");
    EXPECT_EQ(send(signing.mint({.iat = now - 90, .exp = now - 30}), "GET", "/v1/me").code(),
              "spend_token_expired");
    const auto stranger = token::SigningKey::generate();
    const auto unknown = send(stranger.mint({.iat = now, .exp = now + 60}), "GET", "/v1/me");
    EXPECT_EQ(unknown.status, 401);
    EXPECT_EQ(unknown.code(), "spend_token_invalid");

    value("insert into nomiqon.tokens (agent_id, caid, exp, jti, session) values ('" + id + "', '" +
          signing.caid().str() + "', " + std::to_string(now + 60) + ", '0123456789abcdef', false)");
    EXPECT_EQ(send(token, "GET", "/v1/me").code(), "spend_token_replayed");
    remove("/v1/agents/" + id + "/caids/" + signing.caid().str());
    const auto fresh = signing.mint({.iat = now, .exp = now + 60});
    EXPECT_EQ(send(fresh, "GET", "/v1/me").code(), "identity_revoked");
    EXPECT_EQ(send(token, "GET", "/v1/agents").status, 401) << "a token is no API key";
}

TEST_F(MoneyTest, TransactionsTellTheirWholeStory) {
    const auto id = make_agent("a");
    const auto open = reserve(id, 5'000'000, "x.com", "run-1");
    const auto settled = reserve(id, 5'000'000, "x.com");
    end(id, settled, "settled", 6'000'000);
    const auto voided = reserve(id, 5'000'000, "y.com");
    end(id, voided, "released", 0);
    const auto rejected = TransactionId::generate().str();
    value("insert into nomiqon.refusals select '" + id + "', current_date, '" + rejected +
          "', 'caid_x', 'policy_domain_blocked', 0, 1, 'jti', null, 'z.com', 'CONNECT', null, "
          "clock_timestamp()");

    const auto one = [&](const std::string& transaction) {
        return get("/v1/transactions/" + transaction).data;
    };
    EXPECT_EQ(one(open)["status"], "approved");
    EXPECT_EQ(one(open)["amount"], "0.005000");
    EXPECT_EQ(one(open)["ref"], "run-1");
    EXPECT_EQ(one(settled)["status"], "settled");
    EXPECT_EQ(one(settled)["amount"], "0.006000");
    EXPECT_EQ(one(settled)["reserved"], "0.005000");
    EXPECT_EQ(one(settled)["overrun"], true);
    EXPECT_NE(one(settled)["settledAt"], nullptr);
    EXPECT_EQ(one(voided)["status"], "voided");
    EXPECT_EQ(one(voided)["rejectCode"], "upstream_unreachable");
    EXPECT_EQ(one(rejected)["status"], "rejected");
    EXPECT_EQ(one(rejected)["rejectCode"], "policy_domain_blocked");
    EXPECT_EQ(get("/v1/transactions/txn_01hzzzzzzzzzzzzzzzzzzzzzzz").status, 404);

    const auto page = get("/v1/transactions?limit=3");
    ASSERT_EQ(page.data.size(), 3);
    EXPECT_EQ(page.meta["hasMore"], true);
    EXPECT_EQ(get("/v1/transactions?limit=3&after=" + page.meta["nextCursor"].get<std::string>()).data.size(),
              1);
    const auto count = [&](const std::string& filter) {
        return get("/v1/transactions?" + filter).data.size();
    };
    EXPECT_EQ(count("agentId=" + id), 4);
    EXPECT_EQ(count("status=rejected"), 1);
    EXPECT_EQ(count("recipient=x.com"), 2);
    EXPECT_EQ(count("ref=run-1"), 1);
    EXPECT_EQ(count("ref=it%27s%3B--"), 0);
    EXPECT_EQ(count("from=1999-01-01&to=1999-12-31"), 0);
    EXPECT_EQ(count("from=1999-01-01T00:00:00Z"), 4);
    EXPECT_EQ(get("/v1/transactions?from=yesterday").param(), "/from");
    EXPECT_EQ(get("/v1/transactions?from=2026-02-02&to=2026-01-01").param(), "/to");
    EXPECT_EQ(get("/v1/transactions?agentId=x").param(), "/agentId");

    const auto stats = get("/v1/transactions/stats?agentId=" + id).data;
    EXPECT_EQ(stats["totalSpent"], "0.006000");
    EXPECT_EQ(stats["transactionCount"], 3);
    EXPECT_EQ(stats["rejectedCount"], 1);
    EXPECT_EQ(stats["topRecipients"], (json::array({{{"hostname", "x.com"}, {"totalUsdc", "0.006000"}}})));
}

TEST_F(MoneyTest, TransfersAreTheDoubleEntries) {
    const auto id = make_agent("a");
    post("/v1/agents/" + id + "/fund", {{"amount", "1"}, {"reference", "r"}});
    const auto transaction = reserve(id, 5'000'000, "x.com");
    end(id, transaction, "settled", 2'000'000);
    const auto all = get("/v1/ledger/transfers?agentId=" + id);
    ASSERT_EQ(all.data.size(), 3) << all.response.body;
    EXPECT_EQ(all.data[2]["debit"], "treasury");
    EXPECT_EQ(all.data[2]["reference"], "r");
    EXPECT_EQ(get("/v1/ledger/transfers?transactionId=" + transaction).data.size(), 2);
    EXPECT_EQ(get("/v1/ledger/transfers?account=provider:x.com").data[0]["amount"], "0.002000");
    EXPECT_EQ(get("/v1/ledger/transfers?day=1999-01-01").data.size(), 0);
    EXPECT_EQ(get("/v1/ledger/transfers?day=tuesday").param(), "/day");
    const auto first = get("/v1/ledger/transfers?limit=2");
    EXPECT_EQ(get("/v1/ledger/transfers?after=" + first.meta["nextCursor"].get<std::string>()).data.size(),
              1);
}

TEST_F(MoneyTest, ATerminatedAgentsMoneyGoesBackOnceNothingIsHeld) {
    const auto id = make_agent("a");
    post("/v1/agents/" + id + "/fund", {{"amount", "1"}});
    const auto held = reserve(id, 400'000'000, "x.com");
    EXPECT_EQ(remove("/v1/agents/" + id).data["wallet"]["balance"], "1.000000");
    end(id, held, "settled", 100'000'000);
    EXPECT_EQ(get("/v1/agents/" + id).data["wallet"]["balance"], "0.000000");
    EXPECT_EQ(get("/v1/ledger/transfers?account=treasury").data[0]["kind"], "return");
    EXPECT_EQ(post("/v1/agents/" + id + "/fund", {{"amount", "1"}}).code(), "conflict");
}

TEST_F(MoneyTest, ReportsGroupByWhatFinanceAsks) {
    auto body = new_agent("=cmd()");
    body["metadata"] = {{"crew", "research, \"east\""}, {"env", "prod"}};
    const auto id = post("/v1/agents", body).data["id"].get<std::string>();
    end(id, reserve(id, 847'000'000'000, "x.com"), "settled", 847'000'000'000);
    end(id, reserve(id, 0, "x.com"), "settled", 0);
    end(id, reserve(id, 5, "y.com"), "released", 0);
    reserve(id, 5, "z.com");

    const auto rows = get("/v1/reports/spend?group_by=agent,day,host,crew,metadata.env").data;
    ASSERT_EQ(rows.size(), 1) << rows;
    EXPECT_EQ(rows[0]["agent"], "=cmd()");
    EXPECT_EQ(rows[0]["agentId"], id);
    EXPECT_EQ(rows[0]["day"], format_day(day_of(clock_.now())));
    EXPECT_EQ(rows[0]["crew"], "research, \"east\"");
    EXPECT_EQ(rows[0]["metadata.env"], "prod");
    EXPECT_EQ(rows[0]["amount"], "847.000000");
    EXPECT_EQ(rows[0]["requests"], 2) << "the free call too";
    EXPECT_EQ(value("select amount || ',' || requests from finance.spend"), "847.000000000,2");

    const auto csv = get("/v1/reports/spend?group_by=agent,crew,model&format=csv");
    EXPECT_EQ(csv.response.content_type, "text/csv; charset=utf-8");
    EXPECT_EQ(csv.response.body, "agentId,agent,crew,model,amount,requests\r\n" + id +
                                     ",'=cmd(),\"research, \"\"east\"\"\",,847.000000,2\r\n");
    EXPECT_EQ(get("/v1/reports/spend?group_by=ref&to=1999-01-01").data.size(), 0);
    EXPECT_EQ(get("/v1/reports/spend?group_by=metadata.it's").param(), "/group_by");
    EXPECT_EQ(get("/v1/reports/spend?group_by=agent,agent").param(), "/group_by");
    EXPECT_EQ(get("/v1/reports/spend?group_by=colour").param(), "/group_by");
    for (const std::string list : {"", ",", "agent,"})
        EXPECT_EQ(get("/v1/reports/spend?group_by=" + list).param(), "/group_by") << list;
    EXPECT_EQ(get("/v1/reports/spend?format=xml").param(), "/format");
}

}  // namespace
}  // namespace nomiqon::admin
