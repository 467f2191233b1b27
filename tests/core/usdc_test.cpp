#include "nomiqon/core/usdc.h"

#include <gtest/gtest.h>
#include <cstdint>
#include <limits>

namespace nomiqon {
namespace {

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();

std::optional<std::int64_t> nanos(std::string_view text) {
    const auto amount = Usdc::parse(text);
    if (!amount) return std::nullopt;
    return amount->nanos();
}

TEST(Usdc, ReadsDecimalsExactly) {
    EXPECT_EQ(nanos("0"), 0);
    EXPECT_EQ(nanos("0.0"), 0);
    EXPECT_EQ(nanos("12"), 12'000'000'000);
    EXPECT_EQ(nanos("0.05"), 50'000'000);
    EXPECT_EQ(nanos("0.000000001"), 1);
    EXPECT_EQ(nanos("847.123456789"), 847'123'456'789);
    EXPECT_EQ(nanos("0.100000000"), 100'000'000);
}

TEST(Usdc, ReadsUpToTheLargestAmountAndNotBeyond) {
    EXPECT_EQ(nanos("9223372036.854775807"), most);
    EXPECT_EQ(nanos("9223372036.854775808"), std::nullopt);
    EXPECT_EQ(nanos("9223372036.9"), std::nullopt);
    EXPECT_EQ(nanos("9223372036"), 9'223'372'036'000'000'000);
    EXPECT_EQ(nanos("9223372037"), std::nullopt);
    EXPECT_EQ(nanos("99999999999999999999"), std::nullopt);
    EXPECT_EQ(nanos(std::string(5000, '9')), std::nullopt);
}

TEST(Usdc, RefusesEveryOtherSpelling) {
    for (const std::string_view text :
         {"",    ".",     "-1",           "+1",    "1e3",  ".5",   "5.",  "01",
          "00",  "00.5",  "0.0000000001", " 1",    "1 ",   "0x10", "NaN", "inf",
          "1,5", "1_000", "\xd9\xa1",     "1.2.3", "1.-2", "1\n",  "$1",  "1.0000000000"}) {
        EXPECT_EQ(nanos(text), std::nullopt) << '"' << text << '"';
    }
    EXPECT_EQ(nanos(std::string_view{"1\0", 2}), std::nullopt);
}

TEST(Usdc, WritesSixToNineDecimals) {
    EXPECT_EQ(Usdc{}.to_string(), "0.000000");
    EXPECT_EQ(Usdc::from_nanos(5'000'000'000).to_string(), "5.000000");
    EXPECT_EQ(Usdc::from_nanos(1'234'500).to_string(), "0.0012345");
    EXPECT_EQ(Usdc::from_nanos(1'000).to_string(), "0.000001");
    EXPECT_EQ(Usdc::from_nanos(100).to_string(), "0.0000001");
    EXPECT_EQ(Usdc::from_nanos(10).to_string(), "0.00000001");
    EXPECT_EQ(Usdc::from_nanos(1).to_string(), "0.000000001");
    EXPECT_EQ(Usdc::from_nanos(most).to_string(), "9223372036.854775807");
}

TEST(Usdc, WritesNegativeAmountsToTheLast) {
    EXPECT_EQ(Usdc::from_nanos(-1'000'000'000).to_string(), "-1.000000");
    EXPECT_EQ(Usdc::from_nanos(-1).to_string(), "-0.000000001");
    EXPECT_EQ(Usdc::from_nanos(least).to_string(), "-9223372036.854775808");
}

TEST(Usdc, WhatItWritesItReads) {
    for (const std::int64_t value : {std::int64_t{0}, std::int64_t{1}, std::int64_t{999'999'999},
                                     std::int64_t{1'000'000'001}, most - 1, most}) {
        EXPECT_EQ(nanos(Usdc::from_nanos(value).to_string()), value);
    }
}

TEST(Usdc, ArithmeticNeverWraps) {
    const Usdc one = Usdc::from_nanos(1);
    EXPECT_EQ(Usdc::from_nanos(most - 1).plus(one), Usdc::from_nanos(most));
    EXPECT_EQ(Usdc::from_nanos(most).plus(one), std::nullopt);
    EXPECT_EQ(Usdc::from_nanos(least).minus(one), std::nullopt);
    EXPECT_EQ(Usdc{}.minus(Usdc::from_nanos(least)), std::nullopt);
    EXPECT_EQ(Usdc{}.minus(one), Usdc::from_nanos(-1));
    EXPECT_LT(Usdc::from_nanos(-1), Usdc{});
}

}  // namespace
}  // namespace nomiqon
