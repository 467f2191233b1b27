#include "ledger_world.h"

// Held is not spent: who only needs what open reservations hold waits for it, and is served in order.

namespace nomiqon::ledger {
namespace {

class WaitingTest : public PostgresLedgerTest {
  protected:
    // Reserves on a thread of its own.
    struct Waiter {
        std::thread thread;
        std::optional<std::expected<ReserveAnswer, LedgerError>> answer;
        std::chrono::steady_clock::duration took{};
    };
    std::unique_ptr<Waiter> wait_for(PostgresLedger& ledger, ReserveCommand asked,
                                     std::chrono::milliseconds wait) {
        auto waiter = std::make_unique<Waiter>();
        const auto since = std::chrono::steady_clock::now();
        asked.wait_until = since + wait;
        waiter->thread = std::thread{[&ledger, asked, since, waiter = waiter.get()] {
            waiter->answer = test::run(ledger.reserve(asked));
            waiter->took = std::chrono::steady_clock::now() - since;
        }};
        // Until it waits: the agent's row says so once it was refused.
        eventually("select count(*) from nomiqon.wallets where waiting_until is not null", "1");
        std::this_thread::sleep_for(50ms);
        return waiter;
    }
};

TEST_F(WaitingTest, ASettlementsMoneyGoesToWhoWaitedFirst) {
    agent_column("daily_cap = 1000000000");
    const ReserveCommand holder = command("1");
    ASSERT_TRUE(is_reserved(reserve(holder)));
    const auto first = wait_for(*ledger_, command("0.75"), 10s);
    const auto second = wait_for(*ledger_, command("0.75"), 600ms);
    EndCommand release = settlement(holder, "0");
    release.ending = Ending::released;
    ledger_->end(release);
    first->thread.join();
    second->thread.join();
    EXPECT_TRUE(is_reserved(*first->answer));
    EXPECT_LT(first->took, 5s);
    EXPECT_EQ(code_of(*second->answer), RefusalCode::policy_cap_reserved);
    EXPECT_GE(second->took, 500ms);
    expect_books_agree();
}

TEST_F(WaitingTest, MoneyThatComesBackOnAnotherGatewayIsHeardOf) {
    agent_column("daily_cap = 1000000000");
    const ReserveCommand holder = command("1");
    ASSERT_TRUE(is_reserved(reserve(holder)));
    const auto other = another();
    eventually(
        "select count(*) from pg_stat_activity where application_name like '%listener' and datname = "
        "current_database() and query ilike 'listen%'",
        "2");
    const auto waiter = wait_for(*other, command("0.5"), 20s);
    ledger_->end(settlement(holder, "0.25"));
    waiter->thread.join();
    EXPECT_TRUE(is_reserved(*waiter->answer));
    EXPECT_LT(waiter->took, 10s);
}

TEST_F(WaitingTest, NobodyIsNotifiedWhereNobodyWaits) {
    const std::unique_ptr<PGconn, void (*)(PGconn*)> listener{PQconnectdb(owner_url().c_str()), PQfinish};
    PQclear(PQexec(listener.get(), "listen nomiqon_money"));
    const ReserveCommand asked = command("1");
    ASSERT_TRUE(is_reserved(reserve(asked)));
    ledger_->end(settlement(asked, "1"));
    eventually("select count(*) from nomiqon.endings", "1");
    PQclear(PQexec(listener.get(), "select 1"));
    EXPECT_EQ(PQnotifies(listener.get()), nullptr);
}

TEST_F(WaitingTest, ABurstOfWorstCaseHoldsLocksNobodyOutAtNothingSpent) {
    // BerriAI/litellm PR 38647: holds of several dollars each fill the budget, and all is refused at $0
    // spent.
    agent_column("daily_cap = 25000000000");
    std::vector<ReserveCommand> burst;
    for (int i = 0; i < 5; ++i) {
        burst.push_back(command("5"));
        ASSERT_TRUE(is_reserved(reserve(burst.back())));
    }
    const auto refused = reserve(command("5"));
    ASSERT_EQ(code_of(refused), RefusalCode::policy_cap_reserved);  // 429: held, not spent
    EXPECT_EQ(std::get<ReserveRefused>(*refused).cap->spent, Usdc{});
    EXPECT_EQ(std::get<ReserveRefused>(*refused).cap->reserved, usdc("25"));
    const auto waiter = wait_for(*ledger_, command("5"), 10s);
    ledger_->end(settlement(burst[0], "0.02"));
    ledger_->end(settlement(burst[1], "0.02"));
    waiter->thread.join();
    EXPECT_TRUE(is_reserved(*waiter->answer));
}

TEST_F(WaitingTest, WhatCanNeverFitDoesNotWait) {
    agent_column("daily_cap = 1000000000");
    ReserveCommand asked = command("2");
    asked.wait_until = std::chrono::steady_clock::now() + 10s;
    const auto since = std::chrono::steady_clock::now();
    EXPECT_EQ(code_of(reserve(asked)), RefusalCode::policy_cap_exceeded);
    EXPECT_LT(std::chrono::steady_clock::now() - since, 5s);
}

}  // namespace
}  // namespace nomiqon::ledger
