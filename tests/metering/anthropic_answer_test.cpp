#include <gtest/gtest.h>

#include "anthropic_world.h"

// Rule 15 by the counters of the Messages API. Rates of claude-x a million tokens: 3 read, 3.75 and 6 written
// to the cache, 0.3 read from it, 15 written; 0.01 a search.

namespace nomiqon::metering {
namespace {

using namespace testing;

std::string charged(std::string_view request, const Answer& answer,
                    const MeterTerms& terms = claude_terms()) {
    const auto quote = message(request, terms);
    if (!quote) return refusal(quote);
    const Charge charge = settle(*quote->answer, answer);
    if (!charge.basis.empty()) {
        EXPECT_EQ(recompute(charge.basis, *terms.book), charge.cost) << charge.basis;
    }
    return text(charge);
}

std::string with_usage(std::string_view usage, std::string_view model = "claude-x") {
    return R"({"type":"message","model":")" + std::string{model} +
           R"(","content":[{"type":"text","text":"Hi"}],"usage":)" + std::string{usage} + "}";
}

std::string document(std::string_view usage, std::string_view model = "claude-x") {
    return charged(simple_request, {.body = with_usage(usage, model)});
}

TEST(AnthropicAnswerRule15, CountsEachKindOfInputAtItsRate) {
    EXPECT_EQ(document(R"({"input_tokens":100,"output_tokens":20})"), "cost 0.000600");
    // 100 × 3 + 1000 × 0.3 + 200 × 3.75 + 20 × 15
    EXPECT_EQ(
        document(R"({"input_tokens":100,"cache_read_input_tokens":1000,"cache_creation_input_tokens":200,
                           "output_tokens":20})"),
        "cost 0.001650");
    // … 150 of five minutes, 50 of an hour: 562.5 + 300
    EXPECT_EQ(
        document(R"({"input_tokens":100,"cache_read_input_tokens":1000,"cache_creation_input_tokens":200,
                           "cache_creation":{"ephemeral_5m_input_tokens":150,"ephemeral_1h_input_tokens":50},
                           "output_tokens":20})"),
        "cost 0.0017625");
    EXPECT_EQ(document(R"({"input_tokens":0,"output_tokens":20,
                           "cache_creation":{"ephemeral_5m_input_tokens":150,"ephemeral_1h_input_tokens":50}})"),
              "cost 0.0011625");
    // A total that is smaller than its parts: the dearer part first.
    EXPECT_EQ(document(R"({"input_tokens":0,"output_tokens":20,"cache_creation_input_tokens":60,
                           "cache_creation":{"ephemeral_5m_input_tokens":150,"ephemeral_1h_input_tokens":50}})"),
              "cost 0.0006375");
}

TEST(AnthropicAnswerRule15, CountsSearchesFromTheUse) {
    EXPECT_EQ(document(R"({"input_tokens":100,"output_tokens":20,
                           "server_tool_use":{"web_search_requests":3,"web_fetch_requests":2}})"),
              "cost 0.030600");
    EXPECT_EQ(
        document(R"({"input_tokens":100,"output_tokens":20,"server_tool_use":{"mind_reading_requests":1}})")
            .back(),
        '!');
}

TEST(AnthropicAnswerRule15, TermsAreThoseThatTheAnswerNames) {
    EXPECT_EQ(document(R"({"input_tokens":100,"output_tokens":20,"service_tier":"standard",
                           "inference_geo":"not_available","speed":"standard"})"),
              "cost 0.000600");
    const std::string usage = R"({"input_tokens":100,"output_tokens":20,"inference_geo":"us"})";
    const std::string request = R"({"model":"claude-us","max_tokens":50,"messages":[]})";
    EXPECT_EQ(charged(request, {.body = with_usage(usage, "claude-us")}), "cost 0.000220");
    const std::string abroad = R"({"input_tokens":100,"output_tokens":20,"inference_geo":"global"})";
    EXPECT_EQ(charged(request, {.body = with_usage(abroad, "claude-us")}), "cost 0.000200");
}

TEST(AnthropicAnswerRule15, FastIsTheAnswersWordOrTheRequests) {
    const std::string request = R"({"model":"claude-us","max_tokens":50,"speed":"fast","messages":[]})";
    const std::string usage = R"({"input_tokens":100,"output_tokens":20})";
    EXPECT_EQ(charged(request, {.body = with_usage(usage, "claude-us")}), "cost 0.001200");
    const std::string slow = R"({"input_tokens":100,"output_tokens":20,"speed":"standard"})";
    EXPECT_EQ(charged(request, {.body = with_usage(slow, "claude-us")}), "cost 0.000200");
}

TEST(AnthropicAnswerRule15, IterationsAreSummedEachAtItsModel) {
    // 1000 × 3 + 10 × 15 of the compaction, 100 × 3 + 20 × 15 of the message, 50 × 1 + 5 × 5 of the advisor.
    EXPECT_EQ(document(R"({"input_tokens":100,"output_tokens":20,"iterations":[
        {"type":"compaction","input_tokens":1000,"output_tokens":10},
        {"type":"message","input_tokens":100,"output_tokens":20},
        {"type":"advisor_message","model":"claude-small","input_tokens":50,"output_tokens":5}]})"),
              "cost 0.003825");
    EXPECT_EQ(document(R"({"input_tokens":100,"output_tokens":20,"iterations":[]})"), "cost 0.000600");
    EXPECT_EQ(document(R"({"input_tokens":100,"output_tokens":20,"iterations":null})"), "cost 0.000600");
    // Less than their sum, no counters, no list: not believed.
    for (const std::string iterations :
         {R"([{"input_tokens":1,"output_tokens":20}])", R"([{"input_tokens":100}])", R"([7])", R"({})"}) {
        const std::string usage =
            R"({"input_tokens":100,"output_tokens":20,"iterations":)" + iterations + "}";
        EXPECT_EQ(document(usage).back(), '!') << iterations;
    }
}

TEST(AnthropicAnswerRule15, LongContextRatesApplyToEachIteration) {
    const std::string request = R"({"model":"claude-long","max_tokens":50,"messages":[]})";
    const std::string whole = R"({"input_tokens":300000,"output_tokens":20})";
    EXPECT_EQ(charged(request, {.body = with_usage(whole, "claude-long")}), "cost 1.800450");
    const std::string two = R"({"input_tokens":300000,"output_tokens":20,"iterations":[
        {"type":"message","input_tokens":150000,"output_tokens":10},
        {"type":"message","input_tokens":150000,"output_tokens":10}]})";
    EXPECT_EQ(charged(request, {.body = with_usage(two, "claude-long")}), "cost 0.900300");
}

TEST(AnthropicAnswerRule15, TheLastValueOfEachCounterCounts) {
    const auto stream = [](std::string_view usage) {
        const std::string last =
            event("message_delta", R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},)"
                                   R"("usage":)" +
                                       std::string{usage} + "}");
        return charged(simple_request, {.type = "text/event-stream", .body = start + some_text + last});
    };
    EXPECT_EQ(stream(R"({"output_tokens":20})"), "cost 0.000600");
    EXPECT_EQ(stream(R"({"input_tokens":50,"output_tokens":20})"), "cost 0.000450");  // goes down
    EXPECT_EQ(stream(R"({"input_tokens":5000,"cache_read_input_tokens":10,"output_tokens":20,
                         "server_tool_use":{"web_search_requests":1}})"),
              "cost 0.025303");
    // The placeholder is never believed.
    const std::string in_full = "in full " + message(simple_request)->bound.to_string();
    EXPECT_EQ(stream("{}"), in_full);
    EXPECT_EQ(stream(R"({"output_tokens":null})"), in_full);
    EXPECT_EQ(stream(R"({"output_tokens":0})"), in_full);
}

TEST(AnthropicAnswerRule15, TheKindsOfTheCacheAreThoseOfTheStart) {
    const std::string begin =
        event("message_start",
              R"({"type":"message_start","message":{"model":"claude-x","usage":{"input_tokens":10,
            "cache_creation_input_tokens":200,"output_tokens":1,
            "cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":200}}}})");
    const std::string last =
        event("message_delta", R"({"type":"message_delta","delta":{"stop_reason":"end_turn"},
        "usage":{"input_tokens":10,"cache_creation_input_tokens":200,"output_tokens":20}})");
    // 10 × 3 + 200 × 6 + 20 × 15
    EXPECT_EQ(charged(simple_request, {.type = "text/event-stream", .body = begin + some_text + last}),
              "cost 0.001530");
}

TEST(AnthropicAnswerRule17, CutsAnywhereCostNeverNothingNorMoreThanBoundOrPrice) {
    const auto bound = message(simple_request)->bound;
    const std::string stream = start + some_text + stop;
    for (std::size_t size = 0; size <= stream.size(); ++size) {
        for (const AnswerEnd end : {AnswerEnd::cut, AnswerEnd::complete}) {
            const auto quote = message(simple_request);
            const Charge charge = settle(
                *quote->answer, {.type = "text/event-stream", .body = stream.substr(0, size), .end = end});
            EXPECT_GT(charge.cost, Usdc{});
            EXPECT_LE(charge.cost, bound) << size;
        }
    }
}

}  // namespace
}  // namespace nomiqon::metering
