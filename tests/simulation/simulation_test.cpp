// Years of trouble in a minute: the real service and batching logic of several gateways on one simulated
// database.
//   NOMIQON_SIMULATION_SEED=<n>        runs that one seed
//   NOMIQON_SIMULATION_OPERATIONS=<n>  runs about so many operations instead of a million
#include "simulation.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace nomiqon::simulation {
namespace {

constexpr std::uint64_t all_operations = 1'000'000;
constexpr std::uint64_t operations_a_run = 50'000;

std::optional<std::uint64_t> setting(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr) return std::nullopt;
    return std::strtoull(value, nullptr, 10);
}

std::uint64_t wanted_operations() {
    return std::min(all_operations, setting("NOMIQON_SIMULATION_OPERATIONS").value_or(all_operations));
}

std::string again(std::uint64_t seed) {
    return fmt::format("run it again: NOMIQON_SIMULATION_SEED={} simulation_test", seed);
}

void add(Simulation::Result& sum, const Simulation::Result& result) {
    for (const auto& [answer, count] : result.answers)
        sum.answers[answer] += count;
    for (std::size_t point = 0; point < crash_points; ++point)
        sum.gateways.crashes[point] += result.gateways.crashes[point];
    sum.gateways.doubts += result.gateways.doubts;
    sum.gateways.lost_leases += result.gateways.lost_leases;
    sum.gateways.timeouts += result.gateways.timeouts;
    sum.database.lost_answers += result.database.lost_answers;
    sum.database.deaths += result.database.deaths;
    sum.database.vanished += result.database.vanished;
    sum.database.lock_waits += result.database.lock_waits;
    sum.operations += result.operations;
    sum.lines += result.lines;
    sum.verified_tokens += result.verified_tokens;
    sum.expired += result.expired;
    sum.corrected += result.corrected;
    sum.midnights += result.midnights;
}

// Everything that can happen did happen: a world without trouble proves nothing.
void expect_trouble(const Simulation::Result& sum) {
    for (std::size_t point = 0; point < crash_points; ++point)
        EXPECT_GT(sum.gateways.crashes[point], 0U) << "crash point " << point;
    EXPECT_GT(sum.gateways.doubts, 0U);
    EXPECT_GT(sum.gateways.lost_leases, 0U);
    EXPECT_GT(sum.gateways.timeouts, 0U);
    EXPECT_GT(sum.database.lost_answers, 0U);
    EXPECT_GT(sum.database.deaths, 0U);
    EXPECT_GT(sum.database.vanished, 0U);
    EXPECT_GT(sum.database.lock_waits, 0U);
    EXPECT_GT(sum.expired, 0U);
    EXPECT_GT(sum.corrected, 0U);
    EXPECT_GT(sum.midnights, 0U);
    for (const char* answer : {"reserved", "stale", "spend_token_replayed", "policy_cap_exceeded",
                               "policy_cap_reserved", "insufficient_balance", "balance_reserved",
                               "spend_token_exhausted", "spend_token_reserved", "unavailable"})
        EXPECT_GT(sum.answers.count(answer), 0U) << answer;
}

void print(const Simulation::Result& sum) {
    fmt::print("{} operations, {} lines judged, {} signed tokens verified, {} midnights\n", sum.operations,
               sum.lines, sum.verified_tokens, sum.midnights);
    fmt::print("crashes {}; database deaths {}, transactions vanished {}, answers lost {}, lock waits {}\n",
               fmt::join(sum.gateways.crashes, " "), sum.database.deaths, sum.database.vanished,
               sum.database.lost_answers, sum.database.lock_waits);
    fmt::print("timeouts {}, doubts {}, leases lost {}, expired {}, corrected {}\n", sum.gateways.timeouts,
               sum.gateways.doubts, sum.gateways.lost_leases, sum.expired, sum.corrected);
    for (const auto& [answer, count] : sum.answers)
        fmt::print("{} {}, ", answer, count);
    fmt::print("\n");
}

TEST(Simulation, NothingIsOverspentLostOrHeldForEver) {
    const auto only = setting("NOMIQON_SIMULATION_SEED");
    const std::uint64_t wanted = only ? operations_a_run : wanted_operations();
    Simulation::Result sum;
    for (std::uint64_t seed = only.value_or(1); sum.operations < wanted; ++seed) {
        const auto result =
            Simulation{{.seed = seed, .operations = std::min(operations_a_run, wanted - sum.operations)}}
                .run();
        ASSERT_TRUE(result.findings.empty()) << result.findings.front() << "\n" << again(seed);
        add(sum, result);
    }
    print(sum);
    if (sum.operations >= all_operations) expect_trouble(sum);
}

TEST(Simulation, TheSameSeedGivesTheSameRun) {
    const auto first = Simulation{{.seed = 7, .operations = 5000}}.run();
    const auto second = Simulation{{.seed = 7, .operations = 5000}}.run();
    EXPECT_EQ(first.trace, second.trace);
    EXPECT_EQ(first.answers, second.answers);
    EXPECT_NE(first.trace, (Simulation{{.seed = 8, .operations = 5000}}.run().trace));
}

// Each fault that a money core can have, planted on purpose: the judge must see it, and soon.
struct Planted {
    Fault fault;
    const char* name;
};

class PlantedFault : public ::testing::TestWithParam<Planted> {};

TEST_P(PlantedFault, IsFoundByTheJudge) {
    for (const std::uint64_t seed : {1, 2, 3}) {
        const auto result = Simulation{{.seed = seed, .operations = 50'000, .fault = GetParam().fault}}.run();
        ASSERT_FALSE(result.findings.empty()) << again(seed);
        fmt::print("{} after {} operations of seed {}: {}\n", GetParam().name, result.operations, seed,
                   result.findings.front());
    }
}

INSTANTIATE_TEST_SUITE_P(Simulation, PlantedFault,
                         ::testing::Values(Planted{Fault::lock_left_out, "LockLeftOut"},
                                           Planted{Fault::settlement_repeats, "SettlementIsNotIdempotent"},
                                           Planted{Fault::refusal_burns_nothing, "NonceIsNotBurntOnA402"},
                                           Planted{Fault::wallet_unchecked, "WalletIsNotChecked"},
                                           Planted{Fault::wrong_day, "EndingCountsOnItsOwnDay"},
                                           Planted{Fault::chain_stuck, "ChainIsNotAdvanced"}),
                         [](const auto& planted) { return std::string{planted.param.name}; });

}  // namespace
}  // namespace nomiqon::simulation
