#include "per_call_world.h"

// Brave, Bing and SerpApi: a price for each call, whether it is a GET or not.

namespace nomiqon::metering::testing {
namespace {

TEST(PerCallMeter, Rule1ChargesForGet) {
    EXPECT_EQ(bound_of(ask("brave", "GET /res/v1/web/search?q=cats&count=20")), "0.005000");
    EXPECT_EQ(bound_of(ask("brave", "GET /res/v1/llm/context?q=cats")), "0.005000");
    EXPECT_EQ(bound_of(ask("brave", "GET /res/v1/suggest/search?q=ca")), "0.000500");
    EXPECT_EQ(bound_of(ask("bing", "GET /v7.0/search?q=cats")), "0.025000");
    EXPECT_EQ(bound_of(ask("bing", "GET /v7.0/news/search?q=cats")), "0.025000");
    EXPECT_EQ(bound_of(ask("serpapi", "GET /search?engine=google&q=cats")), "0.025000");
    EXPECT_EQ(bound_of(ask("serpapi", "GET /search.json?q=cats")), "0.025000");
    EXPECT_EQ(bound_of(ask("serpapi", "GET /search.html?q=cats")), "0.025000");
}

TEST(PerCallMeter, Rule1HeadCostsAsGet) {
    EXPECT_EQ(bound_of(ask("brave", "HEAD /res/v1/web/search?q=cats")), "0.005000");
    EXPECT_EQ(bound_of(ask("serpapi", "HEAD /search?q=cats")), "0.025000");
    EXPECT_EQ(settled(ask("serpapi", "HEAD /search?q=cats"), {}), "0.025000 in_full");
    EXPECT_EQ(bound_of(ask("serpapi", "HEAD /account")), "free");
}

TEST(PerCallMeter, Rule1FreeIsOnlyWhatTheRowSays) {
    for (const auto* target :
         {"GET /account", "GET /account.json?api_key=x", "GET /locations.json?q=Austin&limit=5",
          "GET /searches/5ac54d6adefb2f1dba1663f5.json"}) {
        const auto quote = ask("serpapi", target);
        EXPECT_EQ(bound_of(quote), "free") << target;
        EXPECT_EQ(settled(quote, {.body = R"({"organic_results": [1]})"}), "0.000000") << target;
    }
}

TEST(PerCallMeter, Rule1OtherMethodsAndPathsArePriceUnknown) {
    EXPECT_EQ(bound_of(ask("brave", "POST /res/v1/chat/completions", R"({"model": "brave"})")),
              "price_unknown");
    EXPECT_EQ(bound_of(ask("brave", "POST /res/v1/web/search")), "price_unknown");
    EXPECT_EQ(bound_of(ask("brave", "GET /res/v1/web/search/")), "price_unknown");
    EXPECT_EQ(bound_of(ask("brave", "GET /res/v1/web/search/more")), "price_unknown");
    EXPECT_EQ(bound_of(ask("bing", "GET /v7.0/custom/search?q=a")), "price_unknown");
    EXPECT_EQ(bound_of(ask("serpapi", "POST /search")), "price_unknown");
    EXPECT_EQ(bound_of(ask("serpapi", "GET /SEARCH?q=a")), "price_unknown");
    EXPECT_EQ(bound_of(ask("serpapi", "GET /searches/..")), "price_unknown");
    EXPECT_EQ(bound_of(ask("serpapi", "GET /searches/%2e%2e")), "price_unknown");
}

TEST(PerCallMeter, Rule6RefusesRepeatedParameters) {
    EXPECT_EQ(bound_of(ask("serpapi", "GET /search?q=a&engine=google&q=b")), "bad_request");
    EXPECT_EQ(bound_of(ask("serpapi", "GET /search?q=a&%71=b")), "bad_request");
    EXPECT_EQ(bound_of(ask("serpapi", "GET /account?api_key=a&api_key=b")), "bad_request");
    EXPECT_EQ(bound_of(ask("brave", "GET /res/v1/web/search?q=a&q=a")), "bad_request");
    EXPECT_EQ(bound_of(ask("brave", "GET /res/v1/local/pois?ids=a&ids=b")), "0.005000");
    EXPECT_EQ(bound_of(ask("bing", "GET /v7.0/search?q=%&&mkt=en-us&")), "0.025000");
}

TEST(PerCallMeter, Rule6RefusesMethodOverrides) {
    const std::vector<Field> fields{{"X-HTTP-Method-Override", "POST"}};
    EXPECT_EQ(bound_of(ask("brave", "GET /res/v1/web/search?q=a", {}, built_in_terms(), fields)),
              "bad_request");
}

TEST(PerCallMeter, Rule17AServedCallCostsItsPrice) {
    const auto served = [](const Answer& answer) {
        return settled(ask("brave", "GET /res/v1/web/search?q=a"), answer);
    };
    EXPECT_EQ(served({.body = R"({"web": {"results": []}})"}), "0.005000");
    EXPECT_EQ(served({.body = "<html>", .type = "text/html"}), "0.005000");
    EXPECT_EQ(served({.body = R"({"web": )", .end = AnswerEnd::cut}), "0.005000 unknown");
}

TEST(PerCallMeter, Rule17FailuresCostNothingOrAreUnknown) {
    const auto failed = [](int status, std::string_view body, AnswerEnd end = AnswerEnd::complete) {
        return settled(ask("bing", "GET /v7.0/search?q=a"), {.status = status, .body = body, .end = end});
    };
    EXPECT_EQ(failed(429, R"({"error": {"code": "429"}})"), "0.000000");
    EXPECT_EQ(failed(401, ""), "0.000000");
    EXPECT_EQ(failed(302, ""), "0.000000");
    EXPECT_EQ(failed(503, R"({"error": {"code": "ServerError"}})"), "0.000000");
    EXPECT_EQ(failed(502, "<html>bad gateway</html>"), "0.025000 unknown");
    EXPECT_EQ(failed(408, ""), "0.025000 unknown");
    EXPECT_EQ(failed(429, R"({"error")", AnswerEnd::cut), "0.025000 unknown");
}

TEST(SerpApiMeter, Rule15ASearchThatSucceedsOrIsUnderWayCounts) {
    const auto searched = [](std::string_view body) {
        return settled(ask("serpapi", "GET /search?q=a"), {.body = body});
    };
    EXPECT_EQ(searched(R"({"search_metadata": {"status": "Success"}, "organic_results": [{"position": 1}]})"),
              "0.025000");
    EXPECT_EQ(searched(R"({"search_metadata": {"status": "Processing"}})"), "0.025000");
    EXPECT_EQ(searched(R"({"search_metadata": {"status": "Success"}, "error": "Google found nothing"})"),
              "0.025000");
    EXPECT_EQ(searched(R"({"search_metadata": {"status": "Cached"}, "organic_results": [{}]})"), "0.025000");
}

TEST(SerpApiMeter, Rule17AFailedSearchCostsNothingUnlessResultsCame) {
    const auto searched = [](const Answer& answer) {
        return settled(ask("serpapi", "GET /search?q=a"), answer);
    };
    EXPECT_EQ(searched({.body = R"({"search_metadata": {"status": "Error"}, "error": "failed"})"}),
              "0.000000");
    EXPECT_EQ(searched({.body = R"({"search_metadata": {"status": "Error"}, "organic_results": [{}]})"}),
              "0.025000 in_full");
    EXPECT_EQ(searched({.status = 429, .body = R"({"error": "out of searches"})"}), "0.000000");
    EXPECT_EQ(searched({.body = R"({"search_metadata": {"sta)", .end = AnswerEnd::cut}), "0.025000 unknown");
}

TEST(SerpApiMeter, Rule16WhatCannotBeReadIsPaidInFull) {
    const auto searched = [](const Answer& answer) {
        return settled(ask("serpapi", "GET /search.html?q=a"), answer);
    };
    EXPECT_EQ(searched({.body = "<html><body>results</body></html>", .type = "text/html"}),
              "0.025000 in_full");
    EXPECT_EQ(searched({.body = "{}"}), "0.025000 in_full");
}

TEST(PerCallMeter, Rule18WithoutAnEntryThePriceIsUnknown) {
    MeterTerms terms = built_in_terms();
    terms.provider = "someone";
    EXPECT_EQ(bound_of(ask("brave", "GET /res/v1/web/search?q=a", {}, terms)), "price_unknown");
}

}  // namespace
}  // namespace nomiqon::metering::testing
