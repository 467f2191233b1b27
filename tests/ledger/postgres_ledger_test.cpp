#include "ledger_world.h"

namespace nomiqon::ledger {
namespace {

TEST_F(PostgresLedgerTest, AReservationHoldsMoneyAndASettlementSpendsIt) {
    const ReserveCommand asked = command("2.5");
    ASSERT_TRUE(is_reserved(reserve(asked)));
    EXPECT_EQ(wallet("reserved"), "2500000000");
    ledger_->end(settlement(asked, "1.25"));
    eventually("select balance from nomiqon.wallets", "98750000000");
    EXPECT_EQ(wallet("reserved"), "0");
    EXPECT_EQ(wallet("spent"), "1250000000");
    expect_books_agree();
}

TEST_F(PostgresLedgerTest, EndingTwiceTakesEffectOnce) {
    const ReserveCommand asked = command("1");
    ASSERT_TRUE(is_reserved(reserve(asked)));
    for (int i = 0; i < 3; ++i)
        ledger_->end(settlement(asked, "1"));
    EndCommand release = settlement(asked, "0");
    release.ending = Ending::released;
    ledger_->end(release);
    const ReserveCommand after = command("1");
    ASSERT_TRUE(is_reserved(reserve(after)));
    eventually("select spent from nomiqon.wallets", "1000000000");
    EXPECT_EQ(value("select count(*) from nomiqon.endings"), "1");
    expect_books_agree();
}

TEST_F(PostgresLedgerTest, AnOverrunIsSettledInFullAndMarked) {
    const ReserveCommand asked = command("1");
    ASSERT_TRUE(is_reserved(reserve(asked)));
    ledger_->end(settlement(asked, "1.5"));
    eventually("select overrun from nomiqon.endings", "t");
    EXPECT_EQ(wallet("spent"), "1500000000");
    expect_books_agree();
}

TEST_F(PostgresLedgerTest, ATokenIdIsBurntByAReservationAndByA402ButNotByA429OrAPolicyRefusal) {
    agent_column("daily_cap = 1000000000");
    ReserveCommand dear = command("2");
    EXPECT_EQ(code_of(reserve(dear)), RefusalCode::policy_cap_exceeded);
    EXPECT_EQ(code_of(reserve(dear)), RefusalCode::spend_token_replayed);

    ReserveCommand first = command("0.75");
    ASSERT_TRUE(is_reserved(reserve(first)));
    ReserveCommand held = command("0.5");
    EXPECT_EQ(code_of(reserve(held)), RefusalCode::policy_cap_reserved);
    ReserveCommand blocked = command("0.1");
    blocked.decision = RefusalCode::policy_domain_blocked;
    EXPECT_EQ(code_of(reserve(blocked)), RefusalCode::policy_domain_blocked);
    blocked.decision = std::nullopt;
    EXPECT_TRUE(is_reserved(reserve(blocked)));
    ledger_->end(settlement(first, "0"));
    eventually("select count(*) from nomiqon.endings", "1");
    EXPECT_TRUE(is_reserved(reserve(held)));
}

TEST_F(PostgresLedgerTest, ASessionTokenNeverSpendsBeyondItsMax) {
    ReserveCommand asked = command("0.4");
    asked.session = true;
    asked.token_max = usdc("1");
    const std::string jti = asked.jti;
    std::vector<ReserveCommand> granted;
    for (int i = 0; i < 3; ++i) {
        asked.transaction = TransactionId::generate();
        const auto answer = reserve(asked);
        if (is_reserved(answer)) granted.push_back(asked);
    }
    ASSERT_EQ(granted.size(), 2U);
    asked.transaction = TransactionId::generate();
    EXPECT_EQ(code_of(reserve(asked)), RefusalCode::spend_token_reserved);
    for (const ReserveCommand& one : granted)
        ledger_->end(settlement(one, "0.4"));
    eventually("select count(*) from nomiqon.endings", "2");
    EXPECT_EQ(code_of(reserve(asked)), RefusalCode::spend_token_exhausted);
}

TEST_F(PostgresLedgerTest, TheOrderOfRefusalsIsTheContracts) {
    agent_column("daily_cap = 0, frozen = true, status = 'paused'");
    value("update nomiqon.caids set status = 'revoked'");
    ReserveCommand asked = command("1");
    asked.decision = RefusalCode::policy_domain_blocked;
    EXPECT_EQ(code_of(reserve(asked)), RefusalCode::agent_paused);
    agent_column("status = 'terminated'");
    EXPECT_EQ(code_of(reserve(asked)), RefusalCode::agent_terminated);
    agent_column("status = 'active'");
    EXPECT_EQ(code_of(reserve(asked)), RefusalCode::identity_revoked);
    value("update nomiqon.caids set status = 'active'");
    EXPECT_EQ(code_of(reserve(asked)), RefusalCode::agent_frozen);
    agent_column("frozen = false");
    EXPECT_EQ(code_of(reserve(asked)), RefusalCode::policy_domain_blocked);
    asked.decision = std::nullopt;
    asked.token_max = usdc("0.5");
    EXPECT_EQ(code_of(reserve(asked)), RefusalCode::spend_token_exhausted);
}

TEST_F(PostgresLedgerTest, AnExpiredTokenIsRefusedByTheDatabasesClock) {
    ReserveCommand asked = command("1");
    asked.token_exp = unix_seconds(SystemClock{}.now());
    EXPECT_EQ(code_of(reserve(asked)), RefusalCode::spend_token_expired);
}

TEST_F(PostgresLedgerTest, ADecisionUnderAnOldPolicyIsAnsweredWithTheCurrentOne) {
    value("insert into nomiqon.policies values ('" + agent_.str() +
          "', 2, 'pol_2', '{\"dailyCap\": \"3\"}', now(), 'test', null)");
    agent_column("policy_version = 2");
    const auto answer = reserve(command("1"));
    ASSERT_TRUE(answer);
    const auto* stale = std::get_if<StalePolicy>(&*answer);
    ASSERT_NE(stale, nullptr);
    EXPECT_EQ(stale->current.policy_version, 2);
    EXPECT_EQ(stale->current.policy_document, "{\"dailyCap\": \"3\"}");
}

TEST_F(PostgresLedgerTest, CapIsNeverExceededByParallelRequestsOfSeveralGateways) {
    agent_column("daily_cap = 5000000000");
    PostgresLedger second{{.lease = Duration{60'000}, .version = "test"}, silent()};
    second.connect(url_of("nomiqon_runtime"), "");
    asio::io_context context;
    int granted = 0;
    int refused = 0;
    for (int i = 0; i < 200; ++i) {
        PostgresLedger& chosen = i % 2 == 0 ? *ledger_ : second;
        asio::co_spawn(context, count(chosen.reserve(command("0.25")), granted, refused), asio::detached);
    }
    context.run();
    EXPECT_EQ(granted, 20);
    EXPECT_EQ(refused, 180);
    EXPECT_EQ(wallet("reserved"), "5000000000");
    expect_books_agree();
}

TEST_F(PostgresLedgerTest, WhatAGoneGatewayLeftIsSettledInFullAsUnknown) {
    ledger_->stop(Duration{1000});
    start(Duration{400});
    const ReserveCommand asked = command("2");
    ASSERT_TRUE(is_reserved(reserve(asked)));
    // A gateway that dies gives no lease back: it stops renewing.
    value("update nomiqon.gateways set lease_until = now() - interval '1 s', gone_at = now()");
    eventually("select unknown from nomiqon.endings", "t");
    EXPECT_EQ(wallet("spent"), "2000000000");
    EXPECT_EQ(wallet("reserved"), "0");
    expect_books_agree();
    // This gateway was taken for gone: it goes on under a new id.
    EXPECT_TRUE(is_reserved(reserve(command("1"))));
}

TEST_F(PostgresLedgerTest, RefusalsAreWrittenWithinASecond) {
    ledger_->record_refusal({.transaction = TransactionId::generate(),
                             .agent = agent_,
                             .caid = caid_,
                             .code = RefusalCode::policy_domain_blocked,
                             .amount = Usdc{},
                             .policy_version = 1,
                             .jti = "jti",
                             .ref = {},
                             .host = "evil.example.com",
                             .method = "CONNECT",
                             .model = {},
                             .at = SystemClock{}.now()});
    eventually("select code || ' ' || host from nomiqon.refusals", "policy_domain_blocked evil.example.com");
}

TEST_F(PostgresLedgerTest, ALostDatabaseRefusesAndComesBackByItself) {
    const ReserveCommand kept = command("1");
    ASSERT_TRUE(is_reserved(reserve(kept)));
    auto& server = test::PrivatePostgres::instance().server();
    const pid_t old = server.pid();
    ASSERT_GT(old, 0);
    int open = 0;
    ::kill(old, SIGKILL);
    for (int i = 0; i < 100 && ledger_->is_available(); ++i) {
        const auto answer = reserve(command("0.1"));
        if (!answer) EXPECT_EQ(answer.error(), LedgerError::unavailable);
        if (is_reserved(answer)) ++open;  // its session outlived the postmaster for a moment
    }
    ledger_->end(settlement(kept, "1"));
    bool again = false;
    for (int i = 0; i < 200 && !again; ++i) {
        again = is_reserved(reserve(command("0.5")));
        if (!again) std::this_thread::sleep_for(50ms);
    }
    EXPECT_TRUE(again);
    ++open;
    eventually("select count(*) from nomiqon.endings where transaction_id = '" + kept.transaction.str() + "'",
               "1");
    eventually("select (select count(*) from nomiqon.reservations) - (select count(*) from nomiqon.endings)",
               std::to_string(open));
    expect_books_agree();
}

TEST_F(PostgresLedgerTest, AHangingDatabaseIsRefusedInTimeAndNothingStaysHeld) {
    ledger_->stop(Duration{1000});
    start(Duration{60'000}, Duration{1000});
    // Whoever holds the wallet's row keeps everybody waiting, as a stuck server would.
    const std::unique_ptr<PGconn, void (*)(PGconn*)> blocker{PQconnectdb(owner_url().c_str()), PQfinish};
    PQclear(PQexec(blocker.get(), "begin"));
    PQclear(PQexec(blocker.get(), "select from nomiqon.wallets for update"));
    const auto before = std::chrono::steady_clock::now();
    const auto answer = reserve(command("1"));
    EXPECT_LT(std::chrono::steady_clock::now() - before, 4s);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error(), LedgerError::unavailable);
    PQclear(PQexec(blocker.get(), "rollback"));
    bool again = false;
    for (int i = 0; i < 100 && !again; ++i) {
        again = is_reserved(reserve(command("0.5")));
        if (!again) std::this_thread::sleep_for(50ms);
    }
    EXPECT_TRUE(again);
    eventually("select reserved from nomiqon.wallets", "500000000");
    expect_books_agree();
}

TEST_F(PostgresLedgerTest, TheRuntimeRoleMayCallFunctionsAndNothingElse) {
    const std::string runtime = url_of("nomiqon_runtime");
    EXPECT_THROW(test::query_value(runtime, "select * from nomiqon.wallets"), std::runtime_error);
    EXPECT_THROW(test::query_value(runtime, "select nomiqon.internal_return_funds('x', now())"),
                 std::runtime_error);
    EXPECT_THROW(test::query_value(runtime, "create table nomiqon.mine ()"), std::runtime_error);
    EXPECT_NO_THROW(test::query_value(runtime, "select nomiqon.find_agent('x')"));
}

TEST_F(PostgresLedgerTest, TheLedgerIsAppendOnlyEvenForItsOwner) {
    ASSERT_TRUE(is_reserved(reserve(command("1"))));
    EXPECT_THROW(value("update nomiqon.reservations set amount = 0"), std::runtime_error);
    EXPECT_THROW(value("delete from nomiqon.transfers"), std::runtime_error);
    EXPECT_THROW(value("truncate nomiqon.endings"), std::runtime_error);
    const std::string partition =
        "nomiqon.reservations_" + value("select to_char(nomiqon.internal_today(), 'YYYYMMDD')");
    EXPECT_THROW(value("update " + partition + " set amount = 0"), std::runtime_error);
    EXPECT_THROW(value("truncate " + partition), std::runtime_error);
}

TEST_F(PostgresLedgerTest, FindsTheAgentOfACaid) {
    const auto found = test::run(ledger_->find_agent(caid_));
    ASSERT_TRUE(found);
    ASSERT_TRUE(*found);
    EXPECT_EQ((*found)->agent, agent_);
    const auto unknown = test::run(ledger_->find_agent(Caid{PublicKey{9}}));
    ASSERT_TRUE(unknown);
    EXPECT_FALSE(*unknown);
}

TEST_F(PostgresLedgerTest, WithoutADatabaseEverythingIsUnavailable) {
    PostgresLedger none{{.timeout = Duration{500}, .version = "test"}, silent()};
    const auto answer = test::run(none.reserve(command("1")));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error(), LedgerError::unavailable);
}

}  // namespace
}  // namespace nomiqon::ledger
