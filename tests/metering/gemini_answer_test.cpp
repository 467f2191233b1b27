#include <gtest/gtest.h>

#include "gemini_world.h"

// Rules 15 to 17 by the counters of the Gemini API. Rates of gemini-3-x a million tokens: 1 read, 3 of audio,
// 0.1 and 0.3 from the cache, 4 written.

namespace nomiqon::metering {
namespace {

using namespace testing;

constexpr std::string_view streaming = "/v1beta/models/gemini-3-x:streamGenerateContent";

std::string charged(const Answer& answer, std::string_view path = "/v1beta/models/gemini-3-x:generateContent",
                    const MeterTerms& terms = gemini_terms(), std::string_view request = hello) {
    const auto quote = generate(request, terms, path);
    if (!quote) return refusal(quote);
    const Charge charge = settle(*quote->answer, answer);
    if (!charge.basis.empty()) {
        EXPECT_EQ(recompute(charge.basis, *terms.book), charge.cost) << charge.basis;
    }
    return text(charge);
}

std::string chunk(std::string_view usage, bool last = true) {
    return R"({"candidates":[{"content":{"parts":[{"text":"Hi"}],"role":"model"},"index":0)" +
           std::string{last ? R"(,"finishReason":"STOP")" : ""} + R"(}],"usageMetadata":)" +
           std::string{usage} + R"(,"modelVersion":"gemini-3-x"})";
}
std::string document(std::string_view usage) {
    return charged({.body = chunk(usage)});
}
std::string in_full() {
    return "in full " + generate(hello)->bound.to_string();
}

TEST(GeminiAnswerRule15, ThoughtsAndToolsAreCounted) {
    EXPECT_EQ(document(R"({"promptTokenCount":100,"candidatesTokenCount":20,"totalTokenCount":120})"),
              "cost 0.000180");
    // 100 + 30 read, 20 + 50 written
    EXPECT_EQ(document(R"({"promptTokenCount":100,"candidatesTokenCount":20,"thoughtsTokenCount":50,
                           "toolUsePromptTokenCount":30,"totalTokenCount":200})"),
              "cost 0.000410");
    // What the total has beyond what was read was written.
    EXPECT_EQ(document(R"({"promptTokenCount":100,"candidatesTokenCount":20,"totalTokenCount":200})"),
              "cost 0.000500");
    EXPECT_EQ(document(R"({"promptTokenCount":100,"totalTokenCount":120})"), "cost 0.000180");
}

TEST(GeminiAnswerRule15, EachModalityAtItsRate) {
    // 60 text, 40 audio
    EXPECT_EQ(document(R"({"promptTokenCount":100,"candidatesTokenCount":20,"totalTokenCount":120,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":60},{"modality":"AUDIO","tokenCount":40}]})"),
              "cost 0.000260");
    // 50 cached: 20 text, 30 audio; of the rest 40 text, 10 audio: 40 + 30 + 2 + 9 + 80
    EXPECT_EQ(document(R"({"promptTokenCount":100,"cachedContentTokenCount":50,"candidatesTokenCount":20,
        "totalTokenCount":120,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":60},{"modality":"AUDIO","tokenCount":40}],
        "cacheTokensDetails":[{"modality":"TEXT","tokenCount":20},{"modality":"AUDIO","tokenCount":30}]})"),
              "cost 0.000161");
    // The cache's modalities aren't told: it took the text. 40 audio, 10 text, 50 cached.
    EXPECT_EQ(document(R"({"promptTokenCount":100,"cachedContentTokenCount":50,"candidatesTokenCount":20,
        "totalTokenCount":120,
        "promptTokensDetails":[{"modality":"TEXT","tokenCount":60},{"modality":"AUDIO","tokenCount":40}]})"),
              "cost 0.000215");
}

TEST(GeminiAnswerRule15, WhatIsNotUnderstoodIsAnAlarm) {
    for (const std::string usage :
         {R"({"promptTokenCount":100,"candidatesTokenCount":-20,"totalTokenCount":120})",
          R"({"promptTokenCount":100,"candidatesTokenCount":20,"totalTokenCount":120,"dreamTokenCount":7})",
          R"({"promptTokenCount":100,"candidatesTokenCount":20,"totalTokenCount":120,
              "promptTokensDetails":[{"modality":"SMELL","tokenCount":60}]})",
          R"({"promptTokenCount":100,"candidatesTokenCount":20,"totalTokenCount":120,
              "promptTokensDetails":[{"modality":"AUDIO","tokenCount":600}]})",
          "[]"}) {
        EXPECT_EQ(document(usage).back(), '!') << usage;
    }
}

TEST(GeminiAnswerRule15, SearchesAreCountedFromTheAnswersItems) {
    MeterTerms terms = gemini_terms();
    terms.tools["google_search"] = {
        .fee = Usdc::from_nanos(10'000'000), .max_calls = 2, .tokens_per_call = 1000};
    const std::string request =
        R"({"contents":[],"tools":[{"googleSearch":{}}],"generationConfig":{"maxOutputTokens":100}})";
    const auto body = [](std::string_view model) {
        return R"({"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP","groundingMetadata":
            {"webSearchQueries":["a","b","c"]}}],"modelVersion":")" +
               std::string{model} +
               R"(","usageMetadata":{"promptTokenCount":100,"candidatesTokenCount":20,"totalTokenCount":120}})";
    };
    EXPECT_EQ(
        charged({.body = body("gemini-3-x")}, "/v1beta/models/gemini-3-x:generateContent", terms, request),
        "cost 0.030180");
    EXPECT_EQ(charged({.body = body("gemini-2.5-x")}, "/v1beta/models/gemini-2.5-x:generateContent", terms,
                      request),
              "cost 0.010180");
}

TEST(GeminiAnswerRule16, AnAnswerWithoutItsCountersIsSettledInFull) {
    EXPECT_EQ(document("{}"), in_full());
    EXPECT_EQ(document("null"), in_full());
    EXPECT_EQ(document(R"({"promptTokenCount":100})"), in_full());
    EXPECT_EQ(document(R"({"candidatesTokenCount":1,"totalTokenCount":1})"), in_full());
    EXPECT_EQ(document(R"({"promptTokenCount":100,"totalTokenCount":100})"), in_full());
    EXPECT_EQ(charged({.body = R"({"promptFeedback":{"blockReason":"SAFETY"},
                                   "usageMetadata":{"promptTokenCount":100,"totalTokenCount":100}})"}),
              "cost 0.000100");
}

const std::string first = chunk(R"({"promptTokenCount":100,"totalTokenCount":100})", false);
const std::string second =
    chunk(R"({"promptTokenCount":100,"candidatesTokenCount":8,"totalTokenCount":108})", false);
const std::string third = chunk(
    R"({"promptTokenCount":100,"candidatesTokenCount":20,"thoughtsTokenCount":5,"totalTokenCount":125})");
const std::string events =
    "data: " + first + "\r\n\r\ndata: " + second + "\r\n\r\ndata: " + third + "\r\n\r\n";
const std::string array = "[" + first + "\n,\r\n" + second + "\n,\r\n" + third + "\n]\n";

TEST(GeminiAnswerRule15, StreamsAreReadInBothTheirForms) {
    for (std::size_t piece = 1; piece < 300; piece += 7) {
        EXPECT_EQ(charged({.type = "text/event-stream", .body = events, .piece = piece}, streaming),
                  "cost 0.000200");
        EXPECT_EQ(
            charged({.type = "application/json; charset=UTF-8", .body = array, .piece = piece}, streaming),
            "cost 0.000200");
    }
    const auto quote = generate(hello, gemini_terms(), streaming);
    const Fields fields{{{"content-type", "application/json"}}};
    quote->answer->begin(200, fields.view());
    EXPECT_FALSE(quote->answer->is_document());
}

TEST(GeminiAnswerRule17, CutsAnywhereCostNeverNothingNorMoreThanBoundOrPrice) {
    const auto bound = generate(hello)->bound;
    for (const auto& [type, stream] :
         {std::pair{"text/event-stream", events}, std::pair{"application/json", array}}) {
        for (std::size_t size = 0; size <= stream.size(); ++size) {
            for (const AnswerEnd end : {AnswerEnd::cut, AnswerEnd::complete}) {
                const auto quote = generate(hello, gemini_terms(), streaming);
                const Charge charge =
                    settle(*quote->answer, {.type = type, .body = stream.substr(0, size), .end = end});
                EXPECT_GT(charge.cost, Usdc{}) << size;
                EXPECT_LE(charge.cost, bound) << size;
                if (end == AnswerEnd::cut && size < stream.size() - 6) {
                    EXPECT_EQ(charge.kind, Charge::Kind::unknown) << size;
                }
            }
        }
    }
}

TEST(GeminiAnswerRule17, AnErrorInsideAStream) {
    const std::string error = R"({"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}})";
    EXPECT_EQ(charged({.type = "text/event-stream", .body = "data: " + error + "\n\n"}, streaming),
              "cost 0.000000");
    EXPECT_EQ(charged({.body = "[" + error + "]"}, streaming), "cost 0.000000");
    // The use that was reported until then.
    EXPECT_EQ(charged({.body = "[" + first + "," + second + "," + error + "]"}, streaming), "cost 0.000132");
    EXPECT_EQ(charged({.body = "[" + first + "," + error + "]"}, streaming), in_full());
    for (const int status : {400, 403, 429, 500, 503}) {
        EXPECT_EQ(charged({.status = status, .body = error}), "cost 0.000000");
        EXPECT_EQ(charged({.status = status, .body = "[" + error + "]"}, streaming), "cost 0.000000");
    }
}

TEST(GeminiAnswer, ACutStreamEndsWithTheErrorEvent) {
    const auto quote = generate(hello, gemini_terms(), streaming);
    const Fields fields{{{"content-type", "text/event-stream"}}};
    quote->answer->begin(200, fields.view());
    const std::string error = quote->answer->error_event("upstream_timeout", "too slow", "req_1");
    ASSERT_TRUE(error.starts_with("data: {") && error.ends_with("}\n\n")) << error;
    EXPECT_EQ(nlohmann::json::parse(error.substr(6))["error"]["status"], "upstream_timeout");
}

}  // namespace
}  // namespace nomiqon::metering
