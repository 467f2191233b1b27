#include <gtest/gtest.h>

#include <array>
#include <random>

#include "openai_world.h"

namespace nomiqon::metering::testing {
namespace {

/// One event; its JSON stands on one line.
std::string chunk(std::string_view json) {
    std::string line{json};
    std::erase(line, '\n');
    return "data: " + line + "\n\n";
}
const std::string done = "data: [DONE]\n\n";
const std::string hello =
    chunk(R"({"model":"plain","choices":[{"index":0,"delta":{"content":"hello"}}],"usage":null})");
const std::string stop =
    chunk(R"({"model":"plain","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null})");
const std::string last = chunk(
    R"({"model":"plain","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}})");

/// A chat document of `model` with this usage, and content.
std::string document(std::string_view usage, std::string_view model = "plain", std::string_view more = "") {
    return R"({"model":")" + std::string{model} + R"(",)" + std::string{more} +
           R"("choices":[{"message":{"role":"assistant","content":"hello"}}],"usage":)" + std::string{usage} +
           "}";
}
std::string charged(std::string_view usage, std::string_view model = "plain", std::string_view more = "") {
    auto quote = chat(chat_request(model));
    if (!quote) return quote.error().detail;
    return text(settle(*quote->answer, {.body = document(usage, model, more)}));
}
std::string in_full(std::string_view model = "plain") {
    return "in full " + chat(chat_request(model))->bound.to_string();
}
/// At least the reservation, with an alarm.
std::string alarmed(std::string_view model = "plain") {
    return "cost " + chat(chat_request(model))->bound.to_string() + "!";
}

std::string streamed(const std::string& body, const Json& more = Json::object(), std::string* out = nullptr,
                     AnswerEnd end = AnswerEnd::complete) {
    Json request = chat_request("plain", {{"stream", true}});
    request.update(more);
    auto quote = chat(request);
    if (!quote) return quote.error().detail;
    return text(
        settle(*quote->answer, {.type = "text/event-stream", .body = body, .end = end, .piece = 7}, out));
}

TEST(OpenAiSettlement, Rule15CountersOfADocument) {
    EXPECT_EQ(charged(R"({"prompt_tokens":100,"completion_tokens":10,"total_tokens":110})"), "cost 0.000200");
    EXPECT_EQ(charged(R"({"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,
        "prompt_tokens_details":{"cached_tokens":50},"completion_tokens_details":{"reasoning_tokens":5}})"),
              "cost 0.000155");
    EXPECT_EQ(
        charged(
            R"({"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,"prompt_tokens_details":null})"),
        "cost 0.000200");
}

TEST(OpenAiSettlement, Rule15OutputIsWhatIsMissingFromTheTotal) {
    EXPECT_EQ(charged(R"({"prompt_tokens":100,"completion_tokens":10,"total_tokens":150})"), "cost 0.000600");
    EXPECT_EQ(charged(R"({"prompt_tokens":100,"completion_tokens":10,"total_tokens":10})"), "cost 0.000200");
    EXPECT_EQ(charged(R"({"prompt_tokens":100,"completion_tokens":0,"total_tokens":100,
        "completion_tokens_details":{"reasoning_tokens":7}})"),
              "cost 0.000170");
}

TEST(OpenAiSettlement, Rule15AudioAndCacheWritesAtTheirOwnRates) {
    EXPECT_EQ(charged(R"({"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,
        "prompt_tokens_details":{"audio_tokens":40},"completion_tokens_details":{"audio_tokens":4}})",
                      "audio"),
              "cost 0.000920");
    EXPECT_EQ(charged(R"({"prompt_tokens":100,"completion_tokens":0,"total_tokens":100,
        "prompt_tokens_details":{"cached_tokens":20,"cache_write_tokens":50,
          "cache_write_tokens_details":{"ttl_30m_tokens":40,"ttl_12h_tokens":10}}})",
                      "caching"),
              "cost 0.000152");
}

TEST(OpenAiSettlement, Rule15TheAnswersTierAndModelGoBefore) {
    const std::string usage = R"({"prompt_tokens":100,"completion_tokens":10,"total_tokens":110})";
    EXPECT_EQ(charged(usage, "tiered", R"("service_tier":"priority",)"), "cost 0.000400");
    EXPECT_EQ(charged(usage, "tiered", R"("service_tier":"flex",)"), "cost 0.000100");
    EXPECT_EQ(charged(usage, "tiered", R"("service_tier":"of tomorrow",)"), alarmed("tiered"));
    auto quote = chat(chat_request("plain"));
    EXPECT_EQ(text(settle(*quote->answer, {.body = document(usage, "gpt-4o")})), "cost 0.000350");
    quote = chat(chat_request("plain"));
    EXPECT_EQ(text(settle(*quote->answer, {.body = document(usage, "of-tomorrow")})), alarmed());
}

TEST(OpenAiSettlement, Rule15CountersThatMakeNoSenseNeverLowerTheCost) {
    for (const std::string_view usage :
         {R"({"prompt_tokens":-5,"completion_tokens":1})", R"({"prompt_tokens":"100","completion_tokens":1})",
          R"({"prompt_tokens":1.5,"completion_tokens":1})", R"({"prompt_tokens":1e99,"completion_tokens":1})",
          R"({"prompt_tokens":100,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":500}})",
          R"({"prompt_tokens":100,"completion_tokens":1,"prompt_tokens_details":{"of_tomorrow_tokens":5}})",
          R"({"prompt_tokens":100,"completion_tokens":1,"unheard_of_tokens":5})", R"([1])", R"("much")",
          R"({"prompt_tokens":true})"}) {
        EXPECT_EQ(charged(usage), alarmed()) << usage;
    }
    EXPECT_EQ(
        streamed(
            hello + last +
            chunk(R"({"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}})")),
        "cost " + chat(chat_request("plain", {{"stream", true}}))->bound.to_string() + "!");
}

TEST(OpenAiSettlement, Rule16ContentWithoutUsageIsPaidInFull) {
    EXPECT_EQ(charged("null"), in_full());
    EXPECT_EQ(charged("{}"), in_full());
    EXPECT_EQ(charged(R"({"prompt_tokens":0,"completion_tokens":0,"total_tokens":0})"), in_full());
    auto quote = chat(chat_request("plain"));
    EXPECT_EQ(
        text(settle(
            *quote->answer,
            {.body = R"({"model":"plain","choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}})"})),
        "cost 0.000000");
    EXPECT_EQ(streamed(hello + stop + done).substr(0, 7), "in full");
}

TEST(OpenAiSettlement, Rule17RefusalsAndErrorsOfTheProvider) {
    const auto status = [](int code) {
        auto quote = chat(chat_request("plain"));
        return text(
            settle(*quote->answer, {.status = code, .body = R"({"error":{"message":"no","type":"x"}})"}));
    };
    for (const int code : {400, 401, 404, 429, 500, 503})
        EXPECT_EQ(status(code), "cost 0.000000") << code;
    EXPECT_EQ(status(408).substr(0, 7), "unknown");
    EXPECT_EQ(streamed(chunk(R"({"error":{"message":"no","type":"server_error"}})")), "cost 0.000000");
    EXPECT_EQ(streamed(hello + chunk(R"({"error":{"message":"no","type":"server_error"}})")).substr(0, 7),
              "in full");
    EXPECT_EQ(streamed(hello, Json::object(), nullptr, AnswerEnd::cut).substr(0, 7), "unknown");
    EXPECT_EQ(streamed(hello + stop + last, Json::object(), nullptr, AnswerEnd::cut), "cost 0.000200");
}

TEST(OpenAiStreams, TheChunkThatTheClientDidNotAskForIsHidden) {
    std::string out;
    EXPECT_EQ(streamed(hello + stop + last + done, Json::object(), &out), "cost 0.000200");
    EXPECT_EQ(out, hello + stop + done);
    EXPECT_EQ(streamed(hello + stop + last + done, {{"stream_options", {{"include_usage", true}}}}, &out),
              "cost 0.000200");
    EXPECT_EQ(out, hello + stop + last + done);
}

TEST(OpenAiStreams, UsageWhereverTheProviderPutsIt) {
    const auto of = [](std::string_view meter, std::string_view path, std::string_view model,
                       const std::string& body) {
        auto quote = post(meter, path, chat_request(model, {{"stream", true}}));
        if (!quote) return quote.error().detail;
        return text(settle(*quote->answer, {.type = "text/event-stream", .body = body}));
    };
    EXPECT_EQ(of("groq", "/openai/v1/chat/completions", "fast",
                 chunk(R"({"model":"fast","choices":[{"delta":{},"finish_reason":"stop"}],
                    "x_groq":{"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,"total_time":0.5}}})")),
              "cost 0.000200");
    EXPECT_EQ(of("mistral", "/v1/chat/completions", "small",
                 chunk(R"({"model":"small","choices":[{"delta":{"content":""},"finish_reason":"stop"}],
                    "usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}})") +
                     done),
              "cost 0.000200");
    EXPECT_EQ(
        of("deepseek", "/chat/completions", "chat",
           chunk(
               R"({"model":"chat","choices":[],"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,
                    "prompt_cache_hit_tokens":50,"prompt_cache_miss_tokens":50}})") +
               done),
        "cost 0.000155");
}

TEST(OpenAiStreams, Rule15OpenRoutersOwnCostWins) {
    const auto cost = [](std::string_view usage) {
        auto quote = post("openrouter", "/api/v1/chat/completions", chat_request("a/cheap"));
        return text(settle(*quote->answer, {.body = document(usage, "a/cheap")}));
    };
    const std::string counters = R"({"prompt_tokens":100,"completion_tokens":10,"total_tokens":110,)";
    EXPECT_EQ(cost(counters + R"("cost":0.0000314159265})"), "cost 0.000031416");
    EXPECT_EQ(cost(counters + R"("cost":1e-5,"cost_details":{"upstream_inference_cost":0.0002}})"),
              "cost 0.000210");
    EXPECT_EQ(
        cost(counters + R"("cost":1e-5,"is_byok":false,"cost_details":{"upstream_inference_cost":1e-5}})"),
        "cost 0.000010");
    EXPECT_EQ(cost(counters + R"("cost":0})").substr(0, 7), "in full");
    EXPECT_EQ(cost(counters + R"("cost":-1})").back(), '!');
}

TEST(OpenAiStreams, ResponsesSettleByTheirLastEvent) {
    const auto event = [](std::string_view type, std::string_view rest) {
        return "event: " + std::string{type} + "\n" +
               chunk(R"({"type":")" + std::string{type} + R"(",)" + std::string{rest} + "}");
    };
    const std::string begun =
        event("response.created",
              R"("response":{"status":"in_progress","model":"plain","usage":null,"output":[]})");
    const std::string delta = event("response.output_text.delta", R"("delta":"hello")");
    const std::string usage =
        R"("usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":50},"output_tokens":10,
        "output_tokens_details":{"reasoning_tokens":5},"total_tokens":110})";
    const auto settled = [&](std::string body, AnswerEnd end = AnswerEnd::complete) {
        auto quote =
            respond(response_request("plain", {{"stream", true}, {"tools", {{{"type", "web_search"}}}}}));
        return text(settle(*quote->answer,
                           {.type = "text/event-stream", .body = std::move(body), .end = end, .piece = 11}));
    };
    for (const std::string_view type : {"response.completed", "response.incomplete"}) {
        EXPECT_EQ(
            settled(
                begun + delta +
                event(type,
                      R"("response":{"status":"completed","model":"plain","output":[{"type":"message"}],)" +
                          usage + "}")),
            "cost 0.000155");
    }
    EXPECT_EQ(
        settled(begun + delta +
                    event("response.completed",
                          R"("response":{"model":"plain","output":[{"type":"message"}],)" + usage + "}"),
                AnswerEnd::cut),
        "cost 0.000155");
    EXPECT_EQ(settled(begun + delta).substr(0, 7), "in full");
    EXPECT_EQ(settled(begun + delta, AnswerEnd::cut).substr(0, 7), "unknown");
    EXPECT_EQ(
        settled(begun +
                event("response.failed",
                      R"("response":{"status":"failed","error":{"code":"x"},"usage":null,"output":[]})")),
        "cost 0.000000");
    EXPECT_EQ(settled(begun + event("error", R"("code":"x","message":"no")")), "cost 0.000000");
    const std::string call = R"({"type":"web_search_call","id":"ws","action":{"type":"search"}})";
    EXPECT_EQ(settled(begun + event("response.output_item.done", R"("item":)" + call) +
                      event("response.completed",
                            R"("response":{"model":"plain","output":[)" + call + "]," + usage + "}")),
              "cost 0.010155");
}

TEST(OpenAiStreams, AnErrorEventIsTheProvidersOwnAndNeverLooksLikeItsEnd) {
    const auto event_of = [](std::expected<Quote, Refusal> quote) {
        quote->answer->begin(200, std::vector<Field>{{"content-type", "text/event-stream"}});
        return quote->answer->error_event("upstream_timeout", "quote \" and \n line", "req_1");
    };
    const std::string chat_event = event_of(chat(chat_request("plain", {{"stream", true}})));
    ASSERT_TRUE(chat_event.starts_with("data: {") && chat_event.ends_with("}\n\n")) << chat_event;
    const Json error = Json::parse(chat_event.substr(6)).at("error");
    EXPECT_EQ(error.at("code"), "upstream_timeout");
    EXPECT_EQ(error.at("message"), "quote \" and \n line");
    EXPECT_EQ(chat_event.find("[DONE]"), std::string::npos);
    const std::string response_event = event_of(respond(response_request("plain", {{"stream", true}})));
    ASSERT_TRUE(response_event.starts_with("event: error\ndata: {")) << response_event;
    EXPECT_EQ(Json::parse(response_event.substr(response_event.find('{'))).at("type"), "error");
}

TEST(OpenAiSettlement, PicturesByTheirTokens) {
    auto quote = post("openai", "/v1/images/generations", {{"model", "gpt-image-1"}, {"prompt", "a cat"}});
    ASSERT_TRUE(quote);
    EXPECT_EQ(text(settle(*quote->answer,
                          {.body = R"({"created":1,"data":[{"b64_json":"aaaa"}],"usage":{"input_tokens":10,
        "input_tokens_details":{"text_tokens":8,"image_tokens":2},"output_tokens":1000,"total_tokens":1010}})"})),
              "cost 0.040060");
}

TEST(OpenAiSettlement, BasisRecomputesTheCharge) {
    auto quote = chat(chat_request("tiered"));
    const Charge charge =
        settle(*quote->answer,
               {.body = document(R"({"prompt_tokens":100,"completion_tokens":10,"total_tokens":110})",
                                 "tiered", R"("service_tier":"priority",)")});
    EXPECT_EQ(recompute(charge.basis, *openai_book()), charge.cost);
}

/// A request and an answer that its limits allow, at random: the bound holds.
class RandomExchange {
  public:
    explicit RandomExchange(std::uint64_t seed) : random_(seed) {}

    std::int64_t below(std::int64_t end) {
        return std::uniform_int_distribution<std::int64_t>{0, end - 1}(random_);
    }
    bool chance() { return below(2) == 0; }

    void run() {
        static constexpr std::array<const char*, 5> models{"plain", "gpt-4o", "tiered", "caching", "audio"};
        const std::string model = models[static_cast<std::size_t>(below(models.size()))];
        const std::string said(static_cast<std::size_t>(below(below(50) == 0 ? 20'000 : 200)), 'x');
        Json request = chat_request(model, {{"messages", {{{"role", "user"}, {"content", said}}}}});
        std::int64_t limit = 1000;
        if (chance()) request[chance() ? "max_tokens" : "max_completion_tokens"] = limit = 1 + below(1000);
        const std::int64_t choices = chance() ? 1 + below(4) : 1;
        if (choices > 1) request["n"] = choices;
        if (model == "audio" && chance()) request["modalities"] = {"text", "audio"};
        const bool tier = model == "tiered" && chance();
        if (tier) request["service_tier"] = "auto";
        auto quote = chat(request);
        ASSERT_TRUE(quote) << quote.error().detail;
        const std::int64_t window = model == "plain" || model == "audio" ? 10'000 : 100'000;
        const std::int64_t read =
            1 + below(std::min<std::int64_t>(window, static_cast<std::int64_t>(said.size()) + 50));
        const std::int64_t written = below(limit * choices + 1);
        Json usage{{"prompt_tokens", read}, {"completion_tokens", written}, {"total_tokens", read + written}};
        if (chance()) usage["prompt_tokens_details"]["cached_tokens"] = below(read + 1);
        if (model == "caching" && chance())
            usage["prompt_tokens_details"]["cache_write_tokens"] = below(read + 1);
        if (chance()) usage["completion_tokens_details"]["reasoning_tokens"] = below(written + 1);
        if (request.contains("modalities"))
            usage["completion_tokens_details"]["audio_tokens"] = below(written + 1);
        std::string more;
        if (model == "tiered") {
            static constexpr std::array<const char*, 3> tiers{"default", "flex", "priority"};
            more = R"("service_tier":")" + std::string{tiers[static_cast<std::size_t>(below(3))]} + R"(",)";
        }
        const Charge charge = settle(*quote->answer, {.body = document(usage.dump(), model, more)});
        ASSERT_LE(charge.cost, quote->bound) << request.dump().substr(0, 200) << usage << charge.alarm;
        ASSERT_EQ(charge.alarm, "") << usage;
    }

  private:
    std::mt19937_64 random_;
};

TEST(OpenAiSettlement, TheBoundIsNeverBelowTheCharge) {
    constexpr std::uint64_t cases = 20'000;
    RandomExchange exchange{20261124};
    for (std::uint64_t i = 0; i < cases && !HasFatalFailure(); ++i)
        exchange.run();
}

}  // namespace
}  // namespace nomiqon::metering::testing
