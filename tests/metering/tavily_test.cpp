#include <algorithm>
#include <random>

#include "per_call_world.h"

namespace nomiqon::metering::testing {
namespace {

std::string bound(std::string_view target, std::string_view body) {
    return bound_of(ask("tavily", target, body));
}

TEST(TavilyMeter, Rule14ASearchCostsByItsDepth) {
    EXPECT_EQ(bound("POST /search", R"({"query": "a"})"), "0.008000");
    EXPECT_EQ(bound("POST /search", R"({"query": "a", "search_depth": "basic"})"), "0.008000");
    EXPECT_EQ(bound("POST /search", R"({"query": "a", "search_depth": "ultra-fast"})"), "0.008000");
    EXPECT_EQ(bound("POST /search", R"({"query": "a", "search_depth": "advanced"})"), "0.016000");
    EXPECT_EQ(bound("POST /search", R"({"query": "a", "auto_parameters": true})"), "0.016000");
    EXPECT_EQ(bound("POST /search", R"({"query": "a", "auto_parameters": "yes"})"), "0.016000");
    EXPECT_EQ(bound("POST /search", R"({"query": "a", "auto_parameters": false})"), "0.008000");
    EXPECT_EQ(bound("POST /search", R"({"query": "a", "search_depth": "deepest"})"), "price_unknown");
}

TEST(TavilyMeter, Rule14AnExtractCostsByItsPages) {
    EXPECT_EQ(bound("POST /extract", R"({"urls": "a.test"})"), "0.008000");
    EXPECT_EQ(bound("POST /extract", R"({"urls": ["1", "2", "3", "4", "5"]})"), "0.008000");
    EXPECT_EQ(bound("POST /extract", R"({"urls": ["1", "2", "3", "4", "5", "6"]})"), "0.016000");
    EXPECT_EQ(bound("POST /extract", R"({"urls": ["1"], "extract_depth": "advanced"})"), "0.016000");
    EXPECT_EQ(bound("POST /extract", R"({"urls": []})"), "0.008000");
    EXPECT_EQ(bound("POST /extract", R"({"query": "a"})"), "bad_request");
}

TEST(TavilyMeter, Rule14AMapAndACrawlCostByTheirLimits) {
    // A page and 20 that it links to.
    EXPECT_EQ(bound("POST /map", R"({"url": "a.test"})"), "0.024000");
    EXPECT_EQ(bound("POST /map", R"({"url": "a.test", "limit": 10})"), "0.008000");
    EXPECT_EQ(bound("POST /map", R"({"url": "a.test", "limit": 10, "instructions": "all"})"), "0.016000");
    EXPECT_EQ(bound("POST /map", R"({"url": "a.test", "max_depth": 3})"), "0.040000");
    EXPECT_EQ(bound("POST /map", R"({"url": "a.test", "max_depth": 2, "max_breadth": 3})"), "0.016000");
    // 10 pages: 1 credit for the map, 2 for the extract; advanced 4.
    EXPECT_EQ(bound("POST /crawl", R"({"url": "a.test", "limit": 10})"), "0.024000");
    EXPECT_EQ(bound("POST /crawl", R"({"url": "a.test", "limit": 10, "extract_depth": "advanced"})"),
              "0.040000");
    EXPECT_EQ(bound("POST /crawl", R"({"url": "a.test", "limit": 0, "max_depth": 5})"), "0.120000");
}

TEST(TavilyMeter, Rule14ResearchCostsItsMaximum) {
    EXPECT_EQ(bound("POST /research", R"({"input": "a"})"), "2.000000");
    EXPECT_EQ(bound("POST /research", R"({"input": "a", "model": "auto"})"), "2.000000");
    EXPECT_EQ(bound("POST /research", R"({"input": "a", "model": "pro"})"), "2.000000");
    EXPECT_EQ(bound("POST /research", R"({"input": "a", "model": "mini"})"), "0.880000");
    EXPECT_EQ(bound("POST /research", R"({"input": "a", "model": "max"})"), "price_unknown");
}

TEST(TavilyMeter, Rule14LimitsBeyondAllSenseArePriceUnknownAtOnce) {
    EXPECT_EQ(bound("POST /crawl", R"({"limit": 9223372036854775807, "max_depth": 9223372036854775807,
                                       "max_breadth": 1})"),
              "price_unknown");
    EXPECT_EQ(bound("POST /map", R"({"limit": 9223372036854775807, "max_depth": 5,
                                     "max_breadth": 9223372036854775807})"),
              "price_unknown");
}

TEST(TavilyMeter, Rule1KnowsExactMethodsAndPaths) {
    EXPECT_EQ(bound("GET /usage", ""), "free");
    EXPECT_EQ(bound("HEAD /usage", ""), "free");
    EXPECT_EQ(bound("GET /research/123e4567-e89b-12d3-a456-426614174111", ""), "free");
    EXPECT_EQ(bound("GET /search", ""), "price_unknown");
    EXPECT_EQ(bound("POST /search/", "{}"), "price_unknown");
    EXPECT_EQ(bound("POST /Search", "{}"), "price_unknown");
    EXPECT_EQ(bound("DELETE /research/1", ""), "price_unknown");
}

TEST(TavilyMeter, Rule6RefusesWhatTwoParsersReadDifferently) {
    EXPECT_EQ(bound("POST /search", R"({"search_depth": "basic", "search_depth": "advanced"})"),
              "bad_request");
    EXPECT_EQ(bound("POST /search", R"({"Search_Depth": "advanced"})"), "bad_request");
    EXPECT_EQ(bound("POST /search", R"({"searchDepth": "advanced"})"), "bad_request");
    EXPECT_EQ(bound("POST /search", R"({"search_depth": 2})"), "bad_request");
    EXPECT_EQ(bound("POST /map", R"({"limit": 1.5})"), "bad_request");
    EXPECT_EQ(bound("POST /map", R"({"limit": -1})"), "bad_request");
    EXPECT_EQ(bound("POST /map", R"({"limit": "10"})"), "bad_request");
    EXPECT_EQ(bound("POST /search", R"({"query": "a"} {})"), "bad_request");
}

TEST(TavilyMeter, Rule14AsksForTheUse) {
    const auto quote = ask("tavily", "POST /search", R"({"query": "a"})");
    ASSERT_TRUE(quote && quote->body);
    EXPECT_EQ(*quote->body, R"({"include_usage":true,"query": "a"})");
    const auto refused = ask("tavily", "POST /crawl", R"({"url": "a", "include_usage": false})");
    ASSERT_TRUE(refused && refused->body);
    EXPECT_EQ(*refused->body, R"({"url": "a", "include_usage": true})");
    const auto asked = ask("tavily", "POST /map", R"({"url": "a", "include_usage": true})");
    ASSERT_TRUE(asked);
    EXPECT_FALSE(asked->body);
    const auto research = ask("tavily", "POST /research", R"({"input": "a"})");
    ASSERT_TRUE(research);
    EXPECT_FALSE(research->body);
}

TEST(TavilyMeter, Rule15SettlesTheCreditsThatWereUsed) {
    const auto searched = [](std::string_view body) {
        return settled(ask("tavily", "POST /search", R"({"query": "a", "auto_parameters": true})"),
                       {.body = body});
    };
    EXPECT_EQ(searched(R"({"results": [{"url": "b"}], "usage": {"credits": 1}})"), "0.008000");
    EXPECT_EQ(searched(R"({"results": [{"url": "b"}], "usage": {"credits": 2}})"), "0.016000");
    EXPECT_EQ(searched(R"({"results": [{"url": "b"}], "usage": {"credits": 3}})"), "0.024000");
    EXPECT_EQ(searched(R"({"results": [{"url": "b"}], "usage": {"credits": -1}})"), "0.016000 alarm");
    EXPECT_EQ(searched(R"({"results": [{"url": "b"}], "usage": {"credits": 1.5}})"), "0.016000 alarm");
    EXPECT_EQ(searched(R"({"results": [{"url": "b"}], "usage": [1]})"), "0.016000 alarm");
}

TEST(TavilyMeter, Rule16WithoutUseContentIsPaidInFull) {
    const auto extracted = [](std::string_view body) {
        return settled(ask("tavily", "POST /extract", R"({"urls": ["a"]})"), {.body = body});
    };
    EXPECT_EQ(extracted(R"({"results": [{"url": "a"}], "failed_results": []})"), "0.008000 in_full");
    EXPECT_EQ(extracted(R"({"results": [{"url": "a"}], "usage": {"credits": 0}})"), "0.008000 in_full");
    EXPECT_EQ(extracted(R"({"results": [], "failed_results": [{"url": "a"}], "usage": {"credits": 0}})"),
              "0.000000");
    EXPECT_EQ(extracted("{}"), "0.008000 in_full");
}

TEST(TavilyMeter, Rule17SettlesFailures) {
    const auto failed = [](int status, std::string_view body, AnswerEnd end = AnswerEnd::complete) {
        return settled(ask("tavily", "POST /crawl", R"({"url": "a", "limit": 10})"),
                       {.status = status, .body = body, .end = end});
    };
    EXPECT_EQ(failed(429, R"({"detail": {"error": "slow down"}})"), "0.000000");
    EXPECT_EQ(failed(432, R"({"detail": {"error": "plan limit"}})"), "0.000000");
    EXPECT_EQ(failed(500, R"({"detail": {"error": "internal"}})"), "0.000000");
    EXPECT_EQ(failed(502, "<html>"), "0.024000 unknown");
    EXPECT_EQ(failed(200, R"({"results": [)", AnswerEnd::cut), "0.024000 unknown");
}

TEST(TavilyMeter, Rule14AResearchTaskIsPaidWhenItIsBegun) {
    const auto begun = [](const Answer& answer) {
        return settled(ask("tavily", "POST /research", R"({"input": "a", "model": "mini"})"), answer);
    };
    EXPECT_EQ(begun({.status = 201, .body = R"({"request_id": "1", "status": "pending"})"}), "0.880000");
    EXPECT_EQ(begun({.status = 400, .body = R"({"detail": {"error": "invalid"}})"}), "0.000000");
}

TEST(TavilyMeter, Rule17AStreamedResearchThatFailsBeforeItsFirstEventCostsNothing) {
    const auto streamed = [](std::string_view body, AnswerEnd end = AnswerEnd::complete) {
        return settled(ask("tavily", "POST /research", R"({"input": "a", "model": "mini", "stream": true})"),
                       {.body = body, .end = end, .type = "text/event-stream"});
    };
    constexpr std::string_view chunk =
        "data: {\"object\": \"chat.completion.chunk\", \"choices\": [{\"delta\": {\"content\": \"a\"}}]}\n\n";
    constexpr std::string_view error = "data: {\"object\": \"error\", \"error\": \"failed\"}\n\n";
    EXPECT_EQ(streamed(std::string{chunk} + "event: done\n\n"), "0.880000 in_full");
    EXPECT_EQ(streamed(std::string{chunk} + std::string{error}), "0.880000 in_full");
    EXPECT_EQ(streamed(error), "0.000000");
    EXPECT_EQ(streamed(chunk, AnswerEnd::cut), "0.880000 unknown");
    EXPECT_EQ(streamed(std::string{chunk} + "data: {\"usage\": {\"credits\": 20}}\n\n"), "0.160000");
}

/// What Tavily's price list charges for `pages` of a crawl, after `mapped` and `extracted` that no request
/// has paid for yet.
std::int64_t credits_for(std::int64_t pages, bool instructed, bool advanced, std::int64_t mapped,
                         std::int64_t extracted) {
    return (pages + mapped) / 10 * (instructed ? 2 : 1) + (pages + extracted) / 5 * (advanced ? 2 : 1);
}

TEST(TavilyMeter, Rule14TheBoundIsNeverBelowTheSettlement) {
    std::mt19937 random{14};
    const auto pick = [&](int from, int to) { return std::uniform_int_distribution{from, to}(random); };
    for (int round = 0; round < 500; ++round) {
        const int limit = pick(1, 200);
        const int depth = pick(1, 5);
        const int breadth = pick(1, 30);
        const bool instructed = pick(0, 1) == 1;
        const bool advanced = pick(0, 1) == 1;
        std::string body = R"({"url": "a", "limit": )" + std::to_string(limit) + R"(, "max_depth": )" +
                           std::to_string(depth) + R"(, "max_breadth": )" + std::to_string(breadth);
        if (instructed) body += R"(, "instructions": "b")";
        if (advanced) body += R"(, "extract_depth": "advanced")";
        body += '}';
        std::int64_t reachable = 1;
        for (std::int64_t level = 1, i = 0; i < depth; ++i)
            reachable += level *= breadth;
        const auto pages = std::min<std::int64_t>(pick(1, limit), reachable);
        const auto credits = credits_for(pages, instructed, advanced, pick(0, 9), pick(0, 4));
        const auto quote = ask("tavily", "POST /crawl", body);
        ASSERT_TRUE(quote) << body;
        const std::string answer =
            R"({"results": [{"url": "a"}], "usage": {"credits": )" + std::to_string(credits) + "}}";
        EXPECT_LE(charge_of(quote, {.body = answer}).cost, quote->bound) << body << answer;
    }
}

}  // namespace
}  // namespace nomiqon::metering::testing
