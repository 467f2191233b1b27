#include "typical_costs.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <thread>
#include <vector>

namespace nomiqon::service {
namespace {

constexpr Usdc nanos(std::int64_t count) {
    return Usdc::from_nanos(count);
}
constexpr Usdc most = Usdc::from_nanos(std::numeric_limits<std::int64_t>::max());

void learn(TypicalCosts& costs, const std::string& kind, std::size_t times, Usdc bound, Usdc cost) {
    for (std::size_t i = 0; i < times; ++i)
        costs.learn(kind, bound, cost);
}

TEST(TypicalCosts, FewerThanTwentyCostsSayNothing) {
    TypicalCosts costs(10);
    EXPECT_EQ(costs.typical("a", nanos(1000)), std::nullopt);
    learn(costs, "a", 19, nanos(1000), nanos(100));
    EXPECT_EQ(costs.typical("a", nanos(1000)), std::nullopt);
    learn(costs, "a", 1, nanos(1000), nanos(100));
    EXPECT_EQ(costs.typical("a", nanos(1000)), nanos(100));
}

TEST(TypicalCosts, TheShareOfPastBoundsIsTakenOfThisOne) {
    TypicalCosts costs(10);
    learn(costs, "a", 20, nanos(1000), nanos(250));
    EXPECT_EQ(costs.typical("a", nanos(80'000)), nanos(20'000));
}

TEST(TypicalCosts, NineteenOfTwentyFitAndTheDearestDoesNotCount) {
    TypicalCosts costs(10);
    for (int cost = 1; cost <= 20; ++cost)
        costs.learn("a", nanos(100), nanos(cost));
    EXPECT_EQ(costs.typical("a", nanos(100)), nanos(19));
}

TEST(TypicalCosts, TheRankIsRoundedUp) {
    TypicalCosts costs(10);
    for (int cost = 21; cost >= 1; --cost)
        costs.learn("a", nanos(100), nanos(cost));
    EXPECT_EQ(costs.typical("a", nanos(100)), nanos(20)) << "0.95 of 21 is 19.95";
    for (int cost = 1; cost <= 64; ++cost)
        costs.learn("b", nanos(100), nanos(cost));
    EXPECT_EQ(costs.typical("b", nanos(100)), nanos(61)) << "0.95 of 64 is 60.8";
}

TEST(TypicalCosts, OnlyTheLastSixtyFourCount) {
    TypicalCosts costs(10);
    learn(costs, "a", 64, nanos(1000), nanos(900));
    learn(costs, "a", 60, nanos(1000), nanos(100));
    EXPECT_EQ(costs.typical("a", nanos(1000)), nanos(900));
    learn(costs, "a", 1, nanos(1000), nanos(100));
    EXPECT_EQ(costs.typical("a", nanos(1000)), nanos(100)) << "3 of 64 are left";
}

TEST(TypicalCosts, RoundingNeverGoesBelowTheCost) {
    TypicalCosts costs(10);
    learn(costs, "thirds", 20, nanos(3), nanos(1));
    EXPECT_EQ(costs.typical("thirds", nanos(3)), nanos(2)) << "333,334 millionths of 3";
    learn(costs, "tiny", 20, most, nanos(1));
    EXPECT_EQ(costs.typical("tiny", nanos(5)), nanos(1));
}

TEST(TypicalCosts, TheLargestAmountsDoNotOverflow) {
    TypicalCosts costs(10);
    learn(costs, "a", 20, most, most);
    EXPECT_EQ(costs.typical("a", most), most);
    EXPECT_EQ(costs.typical("a", nanos(1)), nanos(1));
}

TEST(TypicalCosts, ACostAboveItsBoundAsksForTheWholeOfTheNextOne) {
    TypicalCosts costs(10);
    learn(costs, "a", 20, nanos(1), most);
    EXPECT_EQ(costs.typical("a", nanos(500)), nanos(500));
}

TEST(TypicalCosts, AnswersThatCostNothingTeachNothing) {
    TypicalCosts costs(10);
    learn(costs, "a", 20, nanos(1000), nanos(800));
    learn(costs, "a", 1000, nanos(1000), Usdc{});
    EXPECT_EQ(costs.typical("a", nanos(1000)), nanos(800));
    learn(costs, "free", 100, Usdc{}, Usdc{});
    EXPECT_EQ(costs.typical("free", Usdc{}), std::nullopt);
}

TEST(TypicalCosts, EachAgentHostAndModelLearnsForItself) {
    const AgentId agent = AgentId::generate();
    const std::string kind = TypicalCosts::kind(agent, "api.example.com", "small");
    EXPECT_EQ(kind, TypicalCosts::kind(agent, "api.example.com", "small"));
    EXPECT_NE(kind, TypicalCosts::kind(AgentId::generate(), "api.example.com", "small"));
    EXPECT_NE(kind, TypicalCosts::kind(agent, "eu.example.com", "small"));
    EXPECT_NE(kind, TypicalCosts::kind(agent, "api.example.com", "large"));
    EXPECT_NE(TypicalCosts::kind(agent, "a.test", "b"), TypicalCosts::kind(agent, "a.testb", ""));
    TypicalCosts costs(10);
    learn(costs, kind, 20, nanos(1000), nanos(100));
    EXPECT_EQ(costs.typical(TypicalCosts::kind(agent, "api.example.com", "large"), nanos(1000)),
              std::nullopt);
}

TEST(TypicalCosts, TheKindThatWasUnusedLongestIsForgotten) {
    TypicalCosts costs(2);
    learn(costs, "a", 20, nanos(10), nanos(1));
    learn(costs, "b", 20, nanos(10), nanos(2));
    EXPECT_EQ(costs.typical("a", nanos(10)), nanos(1));  // used: now `b` is the older one
    learn(costs, "c", 20, nanos(10), nanos(3));
    EXPECT_EQ(costs.typical("a", nanos(10)), nanos(1));
    EXPECT_EQ(costs.typical("b", nanos(10)), std::nullopt);
    EXPECT_EQ(costs.typical("c", nanos(10)), nanos(3));
    learn(costs, "b", 19, nanos(10), nanos(2));
    EXPECT_EQ(costs.typical("b", nanos(10)), std::nullopt) << "what was forgotten begins anew";
}

TEST(TypicalCosts, ABoundOfNoKindsKeepsOne) {
    TypicalCosts costs(0);
    learn(costs, "a", 20, nanos(10), nanos(1));
    EXPECT_EQ(costs.typical("a", nanos(10)), nanos(1));
}

TEST(TypicalCosts, ThreadsMayTeachAndAskAtTheSameTime) {
    TypicalCosts costs(3);
    std::vector<std::jthread> threads;
    threads.reserve(4);
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&costs, thread] {
            for (int i = 0; i < 5000; ++i) {
                const std::string kind(1, static_cast<char>('a' + (i + thread) % 4));
                costs.learn(kind, nanos(100), nanos(1 + i % 100));
                const auto typical = costs.typical(kind, nanos(100));
                EXPECT_LE(typical.value_or(nanos(100)), nanos(100));
            }
        });
    }
}

}  // namespace
}  // namespace nomiqon::service
