#include "rate.h"

#include <gtest/gtest.h>

#include <limits>

namespace nomiqon::metering {
namespace {

std::string read(std::string_view number, std::uint32_t per = 1) {
    const auto rate = parse_rate(number, per);
    return rate ? rate_text(*rate) : "none";
}

TEST(Rate, IsReadFromTheNumbersOwnText) {
    EXPECT_EQ(read("2.5e-06"), "0.0000025");
    EXPECT_EQ(read("2.5E-6"), "0.0000025");
    EXPECT_EQ(read("0.0000025"), "0.0000025");
    EXPECT_EQ(read("0.1"), "0.1");  // which no binary fraction is
    EXPECT_EQ(read("3"), "3");
    EXPECT_EQ(read("1e2"), "100");
    EXPECT_EQ(read("1e+2"), "100");
    EXPECT_EQ(read("0"), "0");
    EXPECT_EQ(read("0.0e-99999999999999999999"), "0");
    EXPECT_EQ(read("0.0005666666666666667"), "0.0005666666666666667");
}

TEST(Rate, ByTheSecondStaysExactByTheMillisecond) {
    EXPECT_EQ(read("0.0001", 1000), "0.0000001");
    EXPECT_EQ(read("1.6666666666666667e-05", 1000),
              "0.000000016666666666667");  // rounded up in the 22nd place
}

TEST(Rate, DigitsBeyondTheTwentyFirstAreRoundedUp) {
    EXPECT_EQ(read("0.0000000000000000000011"), "0.000000000000000000002");
    EXPECT_EQ(read("1e-400"), "0.000000000000000000001");
    EXPECT_EQ(read("0.1000000000000000000000000000000000000000000001"), "0.100000000000000000001");
}

TEST(Rate, RefusesWhatIsNone) {
    for (const auto* const number :
         {"-1", "-0.5", "", ".", "1e", "1e-", "1.2.3", "x", "1x", "0x1", "1000001", "1e999",
          "1e99999999999999999999", "99999999999999999999999999999999999999999"})
        EXPECT_EQ(read(number), "none") << number;
    EXPECT_EQ(read("1000000"), "1000000");
}

TEST(Multiplier, IsExactAndNeverLowersAPrice) {
    EXPECT_EQ(parse_multiplier("1.1"), (Multiplier{.numerator = 11, .denominator = 10}));
    EXPECT_EQ(parse_multiplier("2.0"), (Multiplier{.numerator = 2, .denominator = 1}));
    EXPECT_EQ(parse_multiplier("6"), (Multiplier{.numerator = 6, .denominator = 1}));
    EXPECT_EQ(parse_multiplier("1.25"), (Multiplier{.numerator = 125, .denominator = 100}));
    for (const auto* const number : {"0.9", "0", "-2", "1001", "1e99", "x"})
        EXPECT_FALSE(parse_multiplier(number)) << number;
}

TEST(WholeNumber, MayBeWrittenWithADotOrAnExponent) {
    EXPECT_EQ(parse_whole("128000"), 128000);
    EXPECT_EQ(parse_whole("128000.0"), 128000);
    EXPECT_EQ(parse_whole("1.28e5"), 128000);
    EXPECT_EQ(parse_whole("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
    for (const auto* const number : {"0.5", "1.5e-3", "9223372036854775808", "-1", "1e30", ""})
        EXPECT_FALSE(parse_whole(number)) << number;
}

TEST(ToUsdc, RoundsUpAndKnowsItsEnd) {
    constexpr Wide nano = 1'000'000'000'000;
    EXPECT_EQ(to_usdc(0), Usdc{});
    EXPECT_EQ(to_usdc(1), Usdc::from_nanos(1));
    EXPECT_EQ(to_usdc(nano), Usdc::from_nanos(1));
    EXPECT_EQ(to_usdc(nano + 1), Usdc::from_nanos(2));
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    EXPECT_EQ(to_usdc(nano * most), Usdc::from_nanos(most));
    EXPECT_EQ(to_usdc(nano * most + 1), std::nullopt);
    EXPECT_EQ(to_usdc(std::numeric_limits<Wide>::max()), std::nullopt);
}

}  // namespace
}  // namespace nomiqon::metering
