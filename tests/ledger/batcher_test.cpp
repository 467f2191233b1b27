#include "batcher.h"

#include <gtest/gtest.h>
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

namespace nomiqon::ledger {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

asio::awaitable<void> keep_answer(std::shared_ptr<Pending<ReserveResult>> pending,
                                  std::optional<ReserveResult>& kept) {
    kept = co_await pending->wait();
}

class BatcherTest : public ::testing::Test {
  protected:
    // A request and what its coroutine was told; nothing while it waits.
    struct Asked {
        TransactionId transaction;
        std::optional<ReserveResult> told;
    };
    std::shared_ptr<Asked> ask(const AgentId& agent, Duration wait = Duration{0}) {
        return ask(context_, agent, wait);
    }
    std::shared_ptr<Asked> ask(asio::io_context& context, const AgentId& agent, Duration wait) {
        auto pending = std::make_shared<Pending<ReserveResult>>(context.get_executor(), now_ + 1h);
        ReserveCommand command{.transaction = TransactionId::generate(),
                               .request = RequestId::generate(),
                               .agent = agent,
                               .caid = Caid{PublicKey{7}},
                               .policy_version = 1,
                               .decision = std::nullopt,
                               .amount = {},
                               .wait_until = now_ + wait,
                               .token = {},
                               .jti = {},
                               .token_max = std::nullopt,
                               .ref = {},
                               .scheme = {},
                               .host = {},
                               .method = {},
                               .model = {}};
        auto asked = std::make_shared<Asked>(command.transaction);
        asio::co_spawn(context, keep_answer(pending, asked->told), [asked](const std::exception_ptr&) {});
        context.poll();
        batcher_.submit(ReserveRequest{std::move(command), pending});
        return asked;
    }
    const std::optional<ReserveResult>& told(const std::shared_ptr<Asked>& asked) {
        context_.restart();
        context_.poll();
        return asked->told;
    }
    static EndCommand settlement(const TransactionId& transaction, const AgentId& agent) {
        return {.transaction = transaction,
                .agent = agent,
                .day = Day{},
                .amount = {},
                .reason = {},
                .model = {}};
    }
    static ReserveAnswer reserved(const ReserveRequest& request) {
        return Reserved{request.command.transaction, request.command.agent, Day{}, Usdc{}};
    }
    static ReserveAnswer only_held(const ReserveRequest& /*request*/) {
        return ReserveRefused{RefusalCode::balance_reserved, std::nullopt};
    }
    // Commits the batch, with one answer for all of its requests.
    void commit(Batch batch, ReserveAnswer (*answer)(const ReserveRequest&)) {
        BatchAnswer answers;
        answers.endings.assign(batch.endings.size(), EndOutcome::ended);
        for (const ReserveRequest& request : batch.requests)
            answers.requests.push_back(answer(request));
        batcher_.deliver(std::move(batch), answers, now_);
    }
    static std::vector<TransactionId> transactions(const Batch& batch) {
        std::vector<TransactionId> list;
        for (const ReserveRequest& request : batch.requests)
            list.push_back(request.command.transaction);
        return list;
    }

    asio::io_context context_;
    Steady::time_point now_ = Steady::now();
    Batcher batcher_{{.queue = 8, .batch = 4}};
    const AgentId first_ = *AgentId::parse("ag_01aaaaaaaaaaaaaaaaaaaaaaaa");
    const AgentId second_ = *AgentId::parse("ag_01bbbbbbbbbbbbbbbbbbbbbbbb");
};

TEST_F(BatcherTest, ABatchIsSortedByAgentAndKeepsTheOrderWithinOne) {
    const auto late = ask(second_);
    const auto one = ask(first_);
    const auto two = ask(first_);
    EXPECT_EQ(transactions(batcher_.take(now_)),
              (std::vector{one->transaction, two->transaction, late->transaction}));
}

TEST_F(BatcherTest, AnAgentThatFloodsTheQueueDelaysNoOther) {
    for (int i = 0; i < 6; ++i)
        ask(first_);
    const auto other = ask(second_);
    const auto batch = transactions(batcher_.take(now_));
    EXPECT_NE(std::ranges::find(batch, other->transaction), batch.end());
}

TEST_F(BatcherTest, AFullQueueRefusesWhoFillsItAndNotWhoComes) {
    std::vector<std::shared_ptr<Asked>> flood;
    for (int i = 0; i < 9; ++i)
        flood.push_back(ask(first_));
    ASSERT_TRUE(told(flood[8]));
    EXPECT_EQ(told(flood[8])->error(), LedgerError::overloaded);
    const auto other = ask(second_);
    EXPECT_FALSE(told(other));
    EXPECT_TRUE(told(flood[7]));  // the newest of the flood made room
    EXPECT_EQ(batcher_.waiting(), 8U);
    EXPECT_EQ(batcher_.counters().overloaded, 2U);
}

TEST_F(BatcherTest, ATransactionEndsOnceInABatch) {
    const auto transaction = TransactionId::generate();
    for (int i = 0; i < 3; ++i)
        batcher_.submit(settlement(transaction, first_));
    for (int i = 0; i < 3; ++i) {
        Batch batch = batcher_.take(now_);
        EXPECT_EQ(batch.endings.size(), 1U);
        commit(std::move(batch), reserved);
    }
    EXPECT_TRUE(batcher_.take(now_).empty());
}

TEST_F(BatcherTest, WhoWaitsForHeldMoneyComesFirstWhenItsAgentsMoneyComesBack) {
    const auto one = ask(first_, 500ms);
    const auto two = ask(first_, 500ms);
    commit(batcher_.take(now_), only_held);
    EXPECT_FALSE(told(one));
    EXPECT_FALSE(batcher_.has_request(now_));
    const auto late = ask(first_, 500ms);
    batcher_.submit(settlement(TransactionId::generate(), first_));
    EXPECT_EQ(transactions(batcher_.take(now_)),
              (std::vector{one->transaction, two->transaction, late->transaction}));
}

TEST_F(BatcherTest, MoneyOfAnotherAgentWakesNobody) {
    const auto one = ask(first_, 500ms);
    commit(batcher_.take(now_), only_held);
    batcher_.submit(settlement(TransactionId::generate(), second_));
    EXPECT_TRUE(transactions(batcher_.take(now_)).empty());
    batcher_.freed(second_.str());
    EXPECT_FALSE(batcher_.has_request(now_));
    batcher_.freed(first_.str());
    EXPECT_EQ(transactions(batcher_.take(now_)), std::vector{one->transaction});
}

TEST_F(BatcherTest, AWaitEndsWithOneMoreTryAndThenTheRefusal) {
    const auto one = ask(first_, 500ms);
    commit(batcher_.take(now_), only_held);
    EXPECT_EQ(batcher_.next_due(), now_ + 500ms);
    now_ += 500ms;
    ASSERT_TRUE(batcher_.has_request(now_));
    commit(batcher_.take(now_), only_held);
    const auto& result = told(one);
    ASSERT_TRUE(result && *result);
    EXPECT_EQ(std::get<ReserveRefused>(**result).code, RefusalCode::balance_reserved);
    EXPECT_EQ(batcher_.waiting(), 0U);
}

TEST_F(BatcherTest, WhatWasReservedForSomebodyWhoHasGoneIsReleased) {
    auto dying = std::make_unique<asio::io_context>();
    const auto gone = ask(*dying, first_, 0ms);
    Batch batch = batcher_.take(now_);
    dying.reset();  // its connection's thread ends, and the coroutine with it
    commit(std::move(batch), reserved);
    const Batch next = batcher_.take(now_);
    ASSERT_EQ(next.endings.size(), 1U);
    EXPECT_EQ(next.endings[0].ending, Ending::released);
    EXPECT_EQ(next.endings[0].transaction, gone->transaction);
}

TEST_F(BatcherTest, ALostBatchKeepsItsEndingsAndTellsWhatToLookUp) {
    const auto one = ask(first_);
    batcher_.submit(settlement(TransactionId::generate(), first_));
    const auto releases = batcher_.give_up(batcher_.take(now_), true);
    ASSERT_EQ(releases.size(), 1U);
    EXPECT_EQ(releases[0].transaction, one->transaction);
    EXPECT_EQ(releases[0].day, unknown_day);
    ASSERT_TRUE(told(one));
    EXPECT_EQ(told(one)->error(), LedgerError::unavailable);
    EXPECT_EQ(batcher_.endings_waiting(), 1U);
}

TEST_F(BatcherTest, ABatchThatWasNotSentLeavesNothingToLookUp) {
    ask(first_);
    EXPECT_TRUE(batcher_.give_up(batcher_.take(now_), false).empty());
}

TEST_F(BatcherTest, MoneyThatComesBackWhileTheRefusalIsOnItsWayIsNotMissed) {
    const auto one = ask(first_, 500ms);
    Batch batch = batcher_.take(now_);
    batcher_.freed(first_.str());
    commit(std::move(batch), only_held);
    EXPECT_EQ(transactions(batcher_.take(now_)), std::vector{one->transaction});
}

TEST_F(BatcherTest, OneAgentsWaitersTakeNoMoreThanTheirShare) {
    std::vector<std::shared_ptr<Asked>> flood;
    for (int i = 0; i < 12; ++i) {
        flood.push_back(ask(first_, 500ms));
        if (i % 4 == 3) commit(batcher_.take(now_), only_held);
    }
    EXPECT_FALSE(told(flood[3]));
    ASSERT_TRUE(told(flood[4]));  // beyond its share of the waiting: told at once that the money is held
    EXPECT_TRUE(told(flood[4])->has_value());
    const auto other = ask(second_);  // whoever needs no wait is served
    EXPECT_EQ(transactions(batcher_.take(now_)), std::vector{other->transaction});
}

TEST_F(BatcherTest, TheOldestOpenTransactionIsThatOfARequestOrAnEndingToCome) {
    EXPECT_FALSE(batcher_.oldest_open());
    const auto held = ask(first_);
    const auto refused = ask(second_);
    EXPECT_TRUE(batcher_.oldest_open());
    Batch batch = batcher_.take(now_);
    BatchAnswer answers;
    answers.requests = {reserved(batch.requests[0]), only_held(batch.requests[1])};
    batcher_.deliver(std::move(batch), answers, now_);
    EXPECT_EQ(batcher_.oldest_open(), held->transaction);
    batcher_.submit(settlement(held->transaction, first_));
    Batch ending = batcher_.take(now_);
    EXPECT_EQ(batcher_.oldest_open(), held->transaction);
    commit(std::move(ending), reserved);
    EXPECT_FALSE(batcher_.oldest_open());
    const auto lost = ask(first_);
    const auto releases = batcher_.give_up(batcher_.take(now_), true);
    EXPECT_EQ(batcher_.oldest_open(), lost->transaction);
    batcher_.submit(releases.at(0));
    commit(batcher_.take(now_), reserved);
    EXPECT_FALSE(batcher_.oldest_open());
}

}  // namespace
}  // namespace nomiqon::ledger
