#include "nomiqon/core/time.h"

#include <gtest/gtest.h>

namespace nomiqon {
namespace {

using namespace std::chrono_literals;
using std::chrono::microseconds;

std::optional<std::int64_t> micros(std::string_view text) {
    const auto time = parse_time(text);
    if (!time) return std::nullopt;
    return time->time_since_epoch().count();
}

TEST(Day, ReadsRealDatesOnly) {
    EXPECT_EQ(parse_day("1970-01-01"), Day{});
    EXPECT_EQ(parse_day("2024-02-29"), Day{std::chrono::year{2024} / 2 / 29});
    EXPECT_TRUE(parse_day("0001-01-01"));
    EXPECT_TRUE(parse_day("9999-12-31"));
    for (const std::string_view text :
         {"", "2023-02-29", "1900-02-29", "2026-04-31", "2026-13-01", "2026-00-01", "2026-01-00",
          "0000-01-01", "2026-1-01", "26-01-01", "2026-01-01 ", " 2026-01-01", "2026/01/01", "+2026-01-01",
          "-2026-01-01", "2026-01-01T", "10000-01-01", "2026-01-1x"}) {
        EXPECT_EQ(parse_day(text), std::nullopt) << text;
    }
}

TEST(Day, IsWrittenAsItIsRead) {
    for (const std::string_view text : {"0001-01-01", "1969-12-31", "2026-05-24", "9999-12-31"}) {
        EXPECT_EQ(format_day(*parse_day(text)), text);
    }
}

TEST(Day, OfATimeBeforeTheEpochIsTheDayBefore) {
    EXPECT_EQ(day_of(Time{microseconds{-1}}), Day{-1 * std::chrono::days{1}});
    EXPECT_EQ(unix_seconds(Time{microseconds{-1}}), -1);
}

TEST(TimeText, ReadsFractionsToTheMicrosecondAndCutsTheRest) {
    EXPECT_EQ(micros("1970-01-01T00:00:00Z"), 0);
    EXPECT_EQ(micros("1970-01-01T00:00:01.5Z"), 1'500'000);
    EXPECT_EQ(micros("1970-01-01T00:00:00.000001Z"), 1);
    EXPECT_EQ(micros("1970-01-01T00:00:00.000001999Z"), 1);
    EXPECT_EQ(micros("1970-01-01T00:00:00.999999999Z"), 999'999);
    EXPECT_EQ(micros("1970-01-01T00:00:00.0000000000Z"), std::nullopt);
    EXPECT_EQ(micros("1970-01-01T00:00:00.Z"), std::nullopt);
}

TEST(TimeText, TakesOffsetsToUtc) {
    const auto noon = parse_time("2026-05-24T12:00:00Z");
    ASSERT_TRUE(noon);
    EXPECT_EQ(parse_time("2026-05-24T14:00:00+02:00"), noon);
    EXPECT_EQ(parse_time("2026-05-24T06:30:00-05:30"), noon);
    EXPECT_EQ(parse_time("2026-05-25T00:00:00+12:00"), noon);
    EXPECT_EQ(parse_time("2026-05-24t12:00:00z"), noon);
    EXPECT_EQ(parse_time("2026-05-24T12:00:00-00:00"), noon);
    EXPECT_EQ(unix_seconds(*noon), 1'779'624'000);
}

TEST(TimeText, RefusesWhatRfc3339DoesNotWrite) {
    for (const std::string_view text :
         {"2026-05-24", "2026-05-24T12:00:00", "2026-05-24 12:00:00Z", "2026-05-24T12:00Z",
          "2026-05-24T24:00:00Z", "2026-05-24T12:60:00Z", "2016-12-31T23:59:60Z", "2026-05-24T12:00:00+2:00",
          "2026-05-24T12:00:00+0200", "2026-05-24T12:00:00+24:00", "2026-05-24T12:00:00+02:60",
          "2026-05-24T12:00:00Zx", "2026-02-30T12:00:00Z", "2026-05-24T12:00:00,5Z", "",
          "2026-05-24T-1:00:00Z"}) {
        EXPECT_EQ(parse_time(text), std::nullopt) << text;
    }
}

TEST(TimeText, AnOffsetDoesNotLeaveTheWritableYears) {
    EXPECT_TRUE(parse_time("0001-01-01T00:00:00Z"));
    EXPECT_EQ(parse_time("0001-01-01T00:00:00+00:01"), std::nullopt);
    EXPECT_EQ(parse_time("9999-12-31T23:59:59-00:01"), std::nullopt);
}

TEST(TimeText, IsWrittenInMilliseconds) {
    EXPECT_EQ(format_time(*parse_time("2026-05-24T12:00:00Z")), "2026-05-24T12:00:00.000Z");
    EXPECT_EQ(format_time(*parse_time("2026-05-24T23:59:59.999999Z")), "2026-05-24T23:59:59.999Z");
    EXPECT_EQ(format_time(Time{microseconds{-1}}), "1969-12-31T23:59:59.999Z");
}

TEST(DurationText, NeedsANumberAndAUnit) {
    EXPECT_EQ(parse_duration("500ms"), 500ms);
    EXPECT_EQ(parse_duration("60s"), 60s);
    EXPECT_EQ(parse_duration("5m"), 5min);
    EXPECT_EQ(parse_duration("1h"), 1h);
    EXPECT_EQ(parse_duration("0s"), 0ms);
    for (const std::string_view text : {"", "5", "s", "-1s", "+1s", "1.5s", "1 s", "1S", "1d", "1sec", "s1",
                                        "1ms ", "99999999999999999999ms", "9223372036854775807h"}) {
        EXPECT_EQ(parse_duration(text), std::nullopt) << text;
    }
}

TEST(DurationText, IsAtMostACentury) {
    EXPECT_TRUE(parse_duration("878400h"));
    EXPECT_EQ(parse_duration("878401h"), std::nullopt);
}

}  // namespace
}  // namespace nomiqon
