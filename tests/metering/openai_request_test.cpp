#include <gtest/gtest.h>

#include "openai_world.h"

namespace nomiqon::metering::testing {
namespace {

constexpr std::int64_t micro = 1000;  // 1e-6 USDC

std::string outcome(std::string_view meter, std::string_view method, std::string_view path,
                    std::string_view body = R"({"model":"plain","messages":[]})",
                    MeterTerms terms = openai_terms()) {
    terms.deployments = {{"mine", "gpt-4o"}};
    const auto quote = ask(*find_meter(meter), terms, method, path, body);
    return !quote ? refusal(quote) : quote->free ? "free" : "paid";
}

TEST(OpenAiCalls, Rule1ExactMethodsAndPaths) {
    EXPECT_EQ(outcome("openai", "POST", "/v1/chat/completions"), "paid");
    for (const std::string_view path :
         {"/v1/chat/completions/", "/v1//chat/completions", "/V1/chat/completions",
          "/v1/chat/completions/x/y", "/v1/chat%2Fcompletions", "/v1/chat/./completions",
          "/v1/engines/x/completions", "/v1/batches", "/v1/fine_tuning/jobs", "/v1/videos",
          "/v1/realtime/client_secrets", "/v1/images/edits", "/v1/responses/compact", "/v1/containers",
          "/v1/vector_stores", "/v1/assistants", "/v1/new", "/", ""}) {
        EXPECT_EQ(outcome("openai", "POST", path), "price_unknown") << path;
    }
    EXPECT_EQ(outcome("openai", "PUT", "/v1/chat/completions"), "price_unknown");
    EXPECT_EQ(outcome("openai", "post", "/v1/chat/completions"), "price_unknown");
    EXPECT_EQ(outcome("openai", "OPTIONS", "/v1/chat/completions"), "price_unknown");
}

TEST(OpenAiCalls, Rule1FreeOnlyWhereTheRowSaysSo) {
    for (const auto& [method, path] : std::vector<std::pair<std::string_view, std::string_view>>{
             {"GET", "/v1/models"},
             {"HEAD", "/v1/models"},
             {"GET", "/v1/models/gpt-4o"},
             {"POST", "/v1/moderations"},
             {"GET", "/v1/responses/resp_1"},
             {"DELETE", "/v1/responses/resp_1"},
             {"POST", "/v1/responses/resp_1/cancel"},
             {"GET", "/v1/responses/resp_1/input_items"},
             {"POST", "/v1/responses/input_tokens"},
             {"GET", "/v1/files"},
             {"GET", "/v1/batches/b_1"},
             {"GET", "/v1/videos/v_1/content"}}) {
        EXPECT_EQ(outcome("openai", method, path), "free") << method << path;
    }
    for (const auto& [method, path] :
         std::vector<std::pair<std::string_view, std::string_view>>{{"GET", "/v1/responses/a/b"},
                                                                    {"GET", "/v1/responses/.."},
                                                                    {"GET", "/v1/models/a%2fb"},
                                                                    {"GET", "/v1/other"},
                                                                    {"POST", "/v1/models"},
                                                                    {"DELETE", "/v1/models/ft:x"}}) {
        EXPECT_EQ(outcome("openai", method, path), "price_unknown") << method << path;
    }
    EXPECT_EQ(outcome("groq", "GET", "/openai/v1/models"), "free");
    EXPECT_EQ(outcome("openrouter", "GET", "/api/v1/generation"), "free");
    EXPECT_EQ(outcome("mistral", "GET", "/v1/models"), "free");
}

TEST(OpenAiCalls, Rule1EveryProviderHasItsOwnPaths) {
    EXPECT_EQ(outcome("groq", "POST", "/openai/v1/chat/completions", R"({"model":"fast","messages":[]})"),
              "paid");
    EXPECT_EQ(outcome("groq", "POST", "/v1/chat/completions", R"({"model":"fast","messages":[]})"),
              "price_unknown");
    EXPECT_EQ(outcome("deepseek", "POST", "/chat/completions", R"({"model":"chat","messages":[]})"), "paid");
    EXPECT_EQ(outcome("mistral", "POST", "/v1/fim/completions", R"({"model":"small","prompt":"a"})"), "paid");
    EXPECT_EQ(outcome("mistral", "POST", "/v1/agents/completions", R"({"model":"small"})"), "price_unknown");
    EXPECT_EQ(find_meter("nobody"), nullptr);
}

TEST(OpenAiCalls, Rule3WhatSpendsLaterIsRefusedUnlessTheRouteOptsIn) {
    const Json request = response_request("plain", {{"background", true}, {"max_output_tokens", 100}});
    EXPECT_EQ(refusal(respond(request)), "price_unknown");
    MeterTerms terms = openai_terms();
    terms.allow_deferred = true;
    auto quote = respond(request, terms);
    ASSERT_TRUE(quote) << quote.error().detail;
    const Charge charge =
        settle(*quote->answer, {.body = R"({"id":"resp_1","status":"queued","usage":null})"});
    EXPECT_EQ(charge.cost, quote->bound);
    EXPECT_EQ(charge.kind, Charge::Kind::cost);
    ASSERT_FALSE(charge.basis.empty());
    EXPECT_EQ(recompute(charge.basis, *openai_book()), quote->bound);
}

TEST(OpenAiCalls, Rule6AmbiguousRequestsAreBad) {
    for (const std::string_view body : {
             R"({"model":"plain","messages":[],"max_tokens":1,"max_tokens":9})",
             R"({"model":"plain","messages":[],"Max_Tokens":9})",
             R"({"model":"plain","messages":[],"maxTokens":9})",
             R"({"model":"plain","messages":[],"max_tokens":-1})",
             R"({"model":"plain","messages":[],"max_tokens":1.5})",
             R"({"model":"plain","messages":[],"max_tokens":"9"})",
             R"({"model":"plain","messages":[],"n":"2"})",
             R"({"model":"plain","messages":[],"stream":"true"})",
             R"({"model":"plain","messages":[],"stream":1})",
             R"({"model":"plain","messages":[],"stream":true,"stream_options":{"includeUsage":true}})",
             R"({"model":["plain"],"messages":[]})",
             R"({"model":"plain","messages":[]} {})",
             R"([])",
         }) {
        EXPECT_EQ(outcome("openai", "POST", "/v1/chat/completions", body), "bad_request") << body;
    }
}

TEST(OpenAiCalls, Rule8TheModel) {
    EXPECT_EQ(outcome("openai", "POST", "/v1/chat/completions", R"({"messages":[]})"), "price_unknown");
    EXPECT_EQ(refusal(chat(chat_request("unheard-of"))), "price_unknown");
    EXPECT_EQ(refusal(chat(chat_request("gpt-4o-2030-01-01"))), "price_unknown");
    EXPECT_EQ(chat(chat_request("plain"))->model, "plain");
}

TEST(OpenAiCalls, Rule8AzureDeployments) {
    const auto azure = [](std::string_view path, std::string_view body) {
        return outcome("azure", "POST", path, body);
    };
    const std::string_view path = "/openai/deployments/mine/chat/completions";
    EXPECT_EQ(azure(path, R"({"messages":[]})"), "paid");
    EXPECT_EQ(azure(path, R"({"model":"mine","messages":[]})"), "paid");
    EXPECT_EQ(azure(path, R"({"model":"gpt-4o","messages":[]})"), "paid");
    EXPECT_EQ(azure(path, R"({"model":"gpt-5","messages":[]})"), "bad_request");
    EXPECT_EQ(azure("/openai/deployments/other/chat/completions", R"({"messages":[]})"), "price_unknown");
    EXPECT_EQ(azure("/openai/v1/chat/completions", R"({"model":"mine","messages":[]})"), "paid");
    EXPECT_EQ(azure("/openai/v1/chat/completions", R"({"model":"gpt-4o","messages":[]})"), "price_unknown");
    EXPECT_EQ(azure(path, R"({"messages":[],"data_sources":[{}]})"), "price_unknown");
    MeterTerms terms = openai_terms();
    terms.deployments = {{"mine", "gpt-4o"}};
    EXPECT_EQ(post("azure", path, Json{{"messages", Json::array()}}, terms)->model, "gpt-4o");
}

TEST(OpenAiCalls, Rule8ARouterIsBoundByItsDearestModel) {
    const auto bound = [](const Json& more) {
        return bound_of(post("openrouter", "/api/v1/chat/completions", chat_request("a/cheap", more)));
    };
    const std::int64_t cheap = bound(Json::object());
    const std::int64_t dear = bound({{"model", "b/dear"}});
    EXPECT_GT(dear, 4 * cheap);
    EXPECT_GE(bound({{"models", {"b/dear"}}}), dear);
    EXPECT_EQ(bound({{"models", {"b/dear", "c/unknown"}}}), -1);
    EXPECT_EQ(bound({{"model", "openrouter/auto"}}), -1);
    EXPECT_EQ(bound({{"model", "@preset/mine"}}), -1);
    EXPECT_EQ(bound({{"preset", "mine"}}), -1);
    EXPECT_EQ(bound({{"plugins", {{{"id", "web"}}}}}), -1);
    EXPECT_EQ(bound({{"model", "a/cheap:online"}}), -1);
}

TEST(OpenAiCalls, Rule8EveryModelOfARouterIsNamedToThePolicy) {
    const auto quote = [](const Json& more) {
        return post("openrouter", "/api/v1/chat/completions", chat_request("a/cheap", more));
    };
    EXPECT_EQ(quote({{"models", {"b/dear"}}})->model, "a/cheap");
    EXPECT_EQ(quote({{"models", {"b/dear"}}})->other_models, std::vector<std::string>{"b/dear"});
    const auto alone = quote({{"model", nullptr}, {"models", {"b/dear", "a/cheap"}}});
    EXPECT_EQ(alone->model, "b/dear");
    EXPECT_EQ(alone->other_models, std::vector<std::string>{"a/cheap"});
}

TEST(OpenAiBody, UsageIsAskedForAndNothingElseChanges) {
    const std::string body = R"({ "model":"plain", "messages" : [],"stream":true, "x":1.50 })";
    const auto quote = ask(*find_meter("openai"), openai_terms(), "POST", "/v1/chat/completions", body);
    ASSERT_TRUE(quote);
    EXPECT_EQ(
        quote->body,
        R"({"stream_options":{"include_usage":true}, "model":"plain", "messages" : [],"stream":true, "x":1.50 })");
    EXPECT_TRUE(quote->identity_only);
    const auto written = [](const Json& more) {
        return chat(chat_request("plain", more))->body.value_or("as it was");
    };
    EXPECT_EQ(written({{"stream", true}, {"stream_options", {{"include_usage", true}}}}), "as it was");
    EXPECT_EQ(written({{"stream", false}}), "as it was");
    EXPECT_EQ(
        Json::parse(written({{"stream", true}, {"stream_options", {{"include_usage", false}, {"x", 1}}}}))
            .at("stream_options"),
        Json::parse(R"({"include_usage":true,"x":1})"));
    EXPECT_EQ(Json::parse(written({{"stream", true}, {"stream_options", nullptr}})).at("stream_options"),
              Json::parse(R"({"include_usage":true})"));
    EXPECT_FALSE(respond(response_request("plain", {{"stream", true}}))->body);
    EXPECT_FALSE(post("groq", "/openai/v1/chat/completions", chat_request("fast", {{"stream", true}}))->body);
    EXPECT_EQ(Json::parse(*post("openrouter", "/api/v1/chat/completions", chat_request("a/cheap"))->body)
                  .at("usage"),
              Json::parse(R"({"include":true})"));
}

TEST(OpenAiBody, AClampedLimitIsWrittenWhereItStands) {
    MeterTerms terms = openai_terms();
    terms.affordable = Usdc::from_nanos(2'000 * micro);
    auto quote = chat(chat_request("plain", {{"max_tokens", 900}}), terms);
    ASSERT_TRUE(quote);
    ASSERT_TRUE(quote->clamped_to);
    EXPECT_LE(quote->bound, *terms.affordable);
    EXPECT_GT(quote->bound.nanos() + 10 * micro, terms.affordable->nanos());  // one token more would not fit
    EXPECT_EQ(Json::parse(*quote->body).at("max_tokens"), *quote->clamped_to);

    quote = chat(chat_request("plain"), terms);
    EXPECT_EQ(Json::parse(*quote->body).at("max_completion_tokens"), quote->clamped_to.value_or(-1));
    quote = respond(response_request("plain"), terms);
    EXPECT_EQ(Json::parse(*quote->body).at("max_output_tokens"), quote->clamped_to.value_or(-1));

    quote = chat(chat_request("plain", {{"max_tokens", 10}}), terms);
    EXPECT_FALSE(quote->clamped_to);
    terms.affordable = Usdc::from_nanos(10);
    quote = chat(chat_request("plain"), terms);
    EXPECT_FALSE(quote->clamped_to);  // not one token fits: the refusal says so
    EXPECT_GT(quote->bound, *terms.affordable);
}

TEST(OpenAiForms, Rule6AndRule13Transcriptions) {
    const auto form = [](std::string_view parts, std::string_view meter = "openai",
                         std::string_view path = "/v1/audio/transcriptions") {
        const Fields fields{{{"Content-Type", "multipart/form-data; boundary=b1"}}};
        const auto view = fields.view();
        std::string body;
        for (const char c : parts)
            body += c == '\n' ? std::string{"\r\n"} : std::string{c};
        return find_meter(meter)->quote(
            {.method = "POST", .path = path, .query = "", .fields = view, .body = body}, openai_terms());
    };
    const std::string model = "--b1\nContent-Disposition: form-data; name=\"model\"\n\nseconds\n";
    const std::string file =
        "--b1\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\n"
        "Content-Type: audio/mpeg\n\n" +
        std::string(5000, 'x') + "\n";
    const std::string end = "--b1--\n";
    auto quote = form(model + file + end);
    ASSERT_TRUE(quote) << quote.error().detail;
    EXPECT_EQ(quote->model, "seconds");
    EXPECT_EQ(quote->bound.nanos(), 1'000'100);  // 10.001 seconds of at least 500 bytes
    EXPECT_EQ(
        text(settle(*quote->answer, {.body = R"({"text":"hi","usage":{"type":"duration","seconds":2.5}})"})),
        "cost 0.000250");
    EXPECT_EQ(text(settle(*form(model + file + end)->answer, {.body = R"({"text":"hi"})"})),
              "in full 0.0010001");
    // Groq bills ten seconds at least.
    const std::string groq = "--b1\nContent-Disposition: form-data; name=\"model\"\n\nwhisper\n";
    auto short_one = form(groq + end, "groq", "/openai/v1/audio/transcriptions");
    ASSERT_TRUE(short_one);
    EXPECT_EQ(short_one->bound.nanos(), 1'000'000);
    EXPECT_EQ(text(settle(*short_one->answer, {.body = R"({"text":"hi","duration":2.5})"})), "cost 0.001000");

    const auto field = [](std::string_view name, std::string_view value) {
        return "--b1\nContent-Disposition: form-data; name=\"" + std::string{name} + "\"\n\n" +
               std::string{value} + "\n";
    };
    EXPECT_EQ(refusal(form(model + model + file + end)), "bad_request");
    EXPECT_EQ(refusal(form(model + field("Model", "letters") + end)), "bad_request");
    EXPECT_EQ(refusal(form(model + file)), "bad_request");
    EXPECT_EQ(refusal(form("x" + model + file + end)), "bad_request");
    EXPECT_EQ(refusal(form(model + file + end + "more")), "bad_request");
    EXPECT_EQ(refusal(form(file + end)), "price_unknown");
    EXPECT_EQ(refusal(form(model + field("url", "https://a") + end)), "price_unknown");
    EXPECT_TRUE(form(model + field("include[]", "a") + field("include[]", "b") + file + end));
    EXPECT_EQ(refusal(post("openai", "/v1/audio/transcriptions", Json{{"model", "seconds"}})), "bad_request");
}

}  // namespace
}  // namespace nomiqon::metering::testing
