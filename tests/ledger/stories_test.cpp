#include <atomic>

#include "ledger_world.h"

// What hurt the users of other spend limits (issues of BerriAI/litellm), each held against this ledger.

namespace nomiqon::ledger {
namespace {

class StoriesTest : public PostgresLedgerTest {
  protected:
    // Asks for all at once, in turn on each of the ledgers; how many were granted.
    static int grant(const std::vector<PostgresLedger*>& ledgers, const std::vector<ReserveCommand>& asked) {
        asio::io_context context;
        int granted = 0;
        int refused = 0;
        for (std::size_t i = 0; i < asked.size(); ++i) {
            asio::co_spawn(context, count(ledgers[i % ledgers.size()]->reserve(asked[i]), granted, refused),
                           asio::detached);
        }
        context.run();
        return granted;
    }
    std::vector<ReserveCommand> many(int number, std::string_view amount) {
        std::vector<ReserveCommand> asked;
        for (int i = 0; i < number; ++i)
            asked.push_back(command(amount));
        return asked;
    }
    // Of an agent of more_agents. From any thread.
    [[nodiscard]] ReserveCommand command_of(const AgentId& agent) const {
        ReserveCommand one{.transaction = TransactionId::generate(),
                           .request = RequestId::generate(),
                           .agent = agent,
                           .caid = caid_,
                           .policy_version = 1,
                           .decision = std::nullopt,
                           .amount = usdc("0.001"),
                           .token = "signed",
                           .jti = TransactionId::generate().str(),
                           .token_exp = far_future(),
                           .token_max = std::nullopt,
                           .ref = {},
                           .scheme = "https",
                           .host = "api.example.com",
                           .port = 443,
                           .method = "CONNECT",
                           .model = {}};
        return one;
    }
    // Besides the one that every test has, all with the same identity.
    std::vector<AgentId> more_agents(int number) {
        std::vector<AgentId> agents;
        for (int i = 0; i < number; ++i) {
            const std::string agent = agents.emplace_back(AgentId::generate()).str();
            value(
                "insert into nomiqon.agents (agent_id, name, wallet_owner, wallet_address, wallet_mint, "
                "policy_version) values ('" +
                agent + "', 'a', 'o', 'w', 'm', 1)");
            value("insert into nomiqon.wallets (agent_id, balance) values ('" + agent + "', 100000000000)");
            value("insert into nomiqon.caids values ('" + agent + "', '" + caid_.str() + "')");
        }
        return agents;
    }
};

TEST_F(StoriesTest, Issue34732ParallelRequestsOfASessionNeverPassItsBudget) {
    const auto other = another();
    auto asked = many(64, "0.1");
    for (ReserveCommand& one : asked) {
        one.session = true;
        one.token_max = usdc("1");
        one.jti = "one-session-token-0123";
        one.token_exp = asked.front().token_exp;
    }
    EXPECT_EQ(grant({ledger_.get(), other.get()}, asked), 10);
    EXPECT_EQ(wallet("reserved"), "1000000000");
    EXPECT_EQ(value("select reserved from nomiqon.tokens"), "1000000000");
}

TEST_F(StoriesTest, Issue40095TheFirstRequestsOfSomebodyNewRaceNobody) {
    agent_column("daily_cap = 300000000");
    ASSERT_EQ(value("select count(*) from nomiqon.agent_days"), "0");
    const auto other = another();
    EXPECT_EQ(grant({ledger_.get(), other.get()}, many(64, "0.1")), 3);
    EXPECT_EQ(value("select reserved from nomiqon.agent_days"), "300000000");
}

TEST_F(StoriesTest, Issues27639And40050WhoGoesAwayBeforeTheAnswerLeavesNothingHeld) {
    for (int round = 0; round < 5; ++round) {
        asio::io_context context;
        int granted = 0;
        int refused = 0;
        for (int i = 0; i < 20; ++i)
            asio::co_spawn(context, count(ledger_->reserve(command("1")), granted, refused), asio::detached);
        context.poll();  // all are asked for, and then their connections die
    }
    // What is still on its way is released, too: in the end the whole wallet can be held.
    ReserveCommand all = command("100");
    all.wait_until = std::chrono::steady_clock::now() + 10s;
    EXPECT_TRUE(is_reserved(reserve(all)));
    expect_books_agree();
}

TEST_F(StoriesTest, Issues30522And39851ARefusedRequestHoldsNothing) {
    agent_column("daily_cap = 1000000000");
    for (int i = 0; i < 20; ++i) {
        ReserveCommand refused = command("0.5");
        refused.decision = RefusalCode::policy_domain_blocked;
        EXPECT_EQ(code_of(reserve(refused)), RefusalCode::policy_domain_blocked);
        EXPECT_EQ(code_of(reserve(command("2"))), RefusalCode::policy_cap_exceeded);
    }
    EXPECT_EQ(wallet("reserved"), "0");
    EXPECT_TRUE(is_reserved(reserve(command("1"))));  // the whole cap is there
}

TEST_F(StoriesTest, Issue35569ACleanUpThatIsRepeatedCountsOnce) {
    const ReserveCommand asked = command("1");
    ASSERT_TRUE(is_reserved(reserve(asked)));
    const auto other = another();
    for (int i = 0; i < 10; ++i) {
        ledger_->end(settlement(asked, "0.4"));
        other->end(settlement(asked, "0.4"));  // whoever tries
        EndCommand release = settlement(asked, "0");
        release.ending = Ending::released;
        release.day = Day{};  // and without the day, as after a lost answer
        other->end(release);
    }
    ledger_->stop(Duration{5000});
    other->stop(Duration{5000});
    EXPECT_EQ(value("select count(*) from nomiqon.endings"), "1");
    EXPECT_EQ(value("select reserved || ' ' || (balance + spent) from nomiqon.wallets"), "0 100000000000");
    expect_books_agree();
}

TEST_F(StoriesTest, Issue33923WhatCannotBeWrittenIsRefused) {
    value("alter table nomiqon.transfers add constraint disk_full check (kind <> 'reserve')");
    const auto answer = reserve(command("1"));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error(), LedgerError::unavailable);
    EXPECT_EQ(wallet("reserved"), "0");
    value("alter table nomiqon.transfers drop constraint disk_full");
    EXPECT_TRUE(is_reserved(reserve(command("1"))));
}

TEST_F(StoriesTest, PullRequest26845AHoldIsNeverShrunkToWhatIsLeft) {
    agent_column("daily_cap = 1000000000");
    ASSERT_TRUE(is_reserved(reserve(command("0.9"))));
    EXPECT_EQ(code_of(reserve(command("0.2"))), RefusalCode::policy_cap_reserved);
    const auto fits = reserve(command("0.1"));
    ASSERT_TRUE(is_reserved(fits));
    EXPECT_EQ(std::get<Reserved>(*fits).amount, usdc("0.1"));
}

TEST_F(StoriesTest, PullRequest24799BatchesOfManyAgentsInAnyOrderDeadlockNobody) {
    constexpr int rounds = 10;
    constexpr std::size_t a_round = 64;
    const std::vector<AgentId> agents = more_agents(16);
    const auto other = another();
    std::atomic<int> granted{0};
    const auto load = [&](PostgresLedger& ledger, bool backwards) {
        for (int round = 0; round < rounds; ++round) {
            std::vector<ReserveCommand> asked;
            for (std::size_t i = 0; i < a_round; ++i) {
                ReserveCommand one = command_of(agents[(backwards ? a_round - 1 - i : i) % agents.size()]);
                asked.push_back(std::move(one));
            }
            granted += grant({&ledger}, asked);
            for (const ReserveCommand& one : asked) {
                EndCommand end = settlement(one, "0.001");
                end.agent = one.agent;
                ledger.end(end);
            }
        }
    };
    {
        const std::jthread forwards{load, std::ref(*ledger_), false};
        const std::jthread backwards{load, std::ref(*other), true};
    }
    EXPECT_EQ(granted, 2 * rounds * static_cast<int>(a_round));
    ledger_->stop(Duration{10'000});
    other->stop(Duration{10'000});
    EXPECT_EQ(value("select deadlocks from pg_stat_database where datname = current_database()"), "0");
    EXPECT_EQ(value("select sum(spent) from nomiqon.wallets"),
              std::to_string(std::int64_t{2} * rounds * a_round * 1'000'000));
}

}  // namespace
}  // namespace nomiqon::ledger
