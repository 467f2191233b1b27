#include "anthropic_meter.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "anthropic_world.h"
#include "text_tokens.h"

// Rules 1 to 12 of requests to the Messages API. Rates a million tokens: see anthropic_world.h.

namespace nomiqon::metering {
namespace {

using namespace testing;
using nlohmann::json;

json request() {
    return json::parse(simple_request);
}
json with(std::string_view name, const json& value) {
    json changed = request();
    changed[name] = value;
    return changed;
}
Usdc price_of(const json& body, const MeterTerms& terms = claude_terms()) {
    const auto quote = message(body.dump(), terms);
    EXPECT_TRUE(quote) << refusal(quote) << body;
    return quote ? quote->bound : Usdc{};
}
std::string refused(const json& body, const MeterTerms& terms = claude_terms()) {
    return refusal(message(body.dump(), terms));
}

std::string path(std::string_view method, std::string_view path) {
    const auto quote = ask(anthropic_meter(), claude_terms(), method, path, simple_request);
    if (!quote) return refusal(quote);
    EXPECT_NE(quote->answer, nullptr);
    return quote->free ? "free" : "paid";
}

TEST(AnthropicRule1, KnowsExactMethodsAndPaths) {
    EXPECT_EQ(path("POST", "/v1/messages"), "paid");
    for (const std::string_view free :
         {"/v1/models", "/v1/models/claude-x", "/v1/files", "/v1/files/file_1/content",
          "/v1/messages/batches/b_1", "/v1/messages/batches/b_1/results"}) {
        EXPECT_EQ(path("GET", free), "free") << free;
        EXPECT_EQ(path("HEAD", free), "free") << free;
    }
    EXPECT_EQ(path("POST", "/v1/messages/count_tokens"), "free");
    EXPECT_EQ(path("DELETE", "/v1/files/file_1"), "free");
    EXPECT_EQ(path("POST", "/v1/messages/batches/b_1/cancel"), "free");
    for (const std::string_view unknown :
         {"/v1/messages/", "/v1/message", "/v1/messages/x", "//v1/messages", "/v1/%6dessages", "/v1/complete",
          "/v1/messages/..", "/v1/models/../messages", "/v1/Messages", "/v1/messages;x",
          "/v1/messages/batches"}) {
        EXPECT_EQ(path("POST", unknown), "price_unknown") << unknown;
    }
    EXPECT_EQ(path("GET", "/v1/messages"), "price_unknown");
    EXPECT_EQ(path("GET", "/v1/models/a%2Fb"), "price_unknown");
    EXPECT_EQ(path("PUT", "/v1/messages"), "price_unknown");
}

TEST(AnthropicRule3, ABatchIsUnpricedUnlessTheRouteOptsIn) {
    const json batch{
        {"requests",
         {{{"custom_id", "1"}, {"params", request()}}, {{"custom_id", "2"}, {"params", request()}}}}};
    MeterTerms terms = claude_terms();
    const auto batches = [&](const json& body) {
        return ask(anthropic_meter(), terms, "POST", "/v1/messages/batches", body.dump());
    };
    EXPECT_EQ(refusal(batches(batch)), "price_unknown");
    terms.allow_deferred = true;
    const auto quote = batches(batch);
    ASSERT_TRUE(quote);
    EXPECT_EQ(quote->bound.nanos(), 2 * price_of(request()).nanos());
    EXPECT_EQ(text(settle(*quote->answer, {.body = "{}"})), "cost " + quote->bound.to_string());
    EXPECT_EQ(refusal(batches({{"requests", {{{"params", 1}}}}})), "bad_request");
}

TEST(AnthropicRule6, WhatTwoParsersCouldReadDifferentlyIsRefused) {
    for (
        const std::string_view body :
        {R"({"model":"claude-x","model":"claude-small","max_tokens":1,"messages":[]})",
         R"({"model":"claude-x","Model":"claude-small","max_tokens":1,"messages":[]})",
         R"({"model":"claude-x","maxTokens":9,"max_tokens":1,"messages":[]})",
         R"({"model":"claude-x","max_tokens":1,"messages":[]} {})",
         R"({"model":"claude-x","max_tokens":-1,"messages":[]})",
         R"({"model":"claude-x","max_tokens":1.5,"messages":[]})",
         R"({"model":"claude-x","max_tokens":"1","messages":[]})",
         R"({"model":7,"max_tokens":1,"messages":[]})",
         R"({"model":"claude-x","max_tokens":1,"tools":[{"type":"web_search_20250305","Max_Uses":1}],"messages":[]})",
         R"({"model":"claude-x","max_tokens":1,"tools":7,"messages":[]})", "[]", "", "{"}) {
        EXPECT_EQ(refusal(message(body)), "bad_request") << body;
    }
    EXPECT_EQ(refused(with("new_way_to_spend", true)), "price_unknown");
}

TEST(AnthropicRule18, TheModelMustBeInTheBook) {
    EXPECT_EQ(refused(with("model", "claude-unknown")), "price_unknown");
    EXPECT_EQ(refused(with("model", "claude-x-20260101")), "price_unknown");
    EXPECT_EQ(refused(with("model", "")), "price_unknown");
    EXPECT_EQ(refused({{"max_tokens", 1}, {"messages", json::array()}}), "price_unknown");
    EXPECT_EQ(message(simple_request)->model, "claude-x");
}

TEST(AnthropicRule9, TextIsBoundByItsBytes) {
    const auto difference = [](std::size_t bytes) {
        const json messages{{{"role", "user"}, {"content", std::string(bytes, 'a')}}};
        return price_of(with("messages", messages)).nanos();
    };
    EXPECT_EQ(difference(1100) - difference(100), 1000 * 3000);
    const json system = with("system", std::string(1000, 'a'));
    EXPECT_EQ(price_of(system).nanos() - price_of(request()).nanos(), (1000 + 2) * 3000);
    // Never more than the model reads: 200,000 × 3 + 1000 × 15.
    EXPECT_EQ(bound(with("system", std::string(1'000'000, 'a')).dump()), "0.615000");
    // Compatibility characters become several: ﷺ is three bytes, and eighteen letters to the tokenizer.
    EXPECT_EQ(text_tokens("\xEF\xB7\xBA"), 33);
    EXPECT_EQ(text_tokens("a\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80"), 1 + 2 + 3 + 4);
}

json image(std::string data) {
    return {{"type", "image"},
            {"source", {{"type", "base64"}, {"media_type", "image/png"}, {"data", std::move(data)}}}};
}
json content(const json& block) {
    return with("messages", {{{"role", "user"}, {"content", {block}}}});
}

TEST(AnthropicRule9, APictureCostsItsMaximumAndItsBase64IsNoText) {
    const auto small = price_of(content(image("AAAA")));
    EXPECT_EQ(small, price_of(content(image(std::string(300'000, 'A')))));
    EXPECT_GT(small.nanos() - price_of(request()).nanos(), 4'784 * 3000);
    EXPECT_LT(small.nanos() - price_of(request()).nanos(), 5'500 * 3000);
    const json result{
        {"type", "tool_result"}, {"tool_use_id", "t"}, {"content", {image(std::string(300'000, 'A'))}}};
    EXPECT_LT(price_of(content(result)).nanos(), small.nanos() + 100 * 3000);
    const json system{{"type", "mid_conv_system"},
                      {"content", json::array({image(std::string(300'000, 'A'))})}};
    EXPECT_LT(price_of(content(system)).nanos(), small.nanos() + 100 * 3000);
    // What only looks like a picture is text.
    const json input{
        {"type", "tool_use"}, {"id", "t"}, {"name", "n"}, {"input", image(std::string(100'000, 'A'))}};
    EXPECT_GT(price_of(content(input)).nanos(), 100'000 * 3000);
}

TEST(AnthropicRule9, WhatOnlyTheProviderCanMeasureIsTheWholeWindow) {
    const std::string window = "0.615000";
    const json pdf{{"type", "document"},
                   {"source", {{"type", "base64"}, {"media_type", "application/pdf"}, {"data", "AA"}}}};
    const json url{{"type", "image"}, {"source", {{"type", "url"}, {"url", "https://a.example/b.png"}}}};
    const json file{{"type", "document"}, {"source", {{"type", "file"}, {"file_id", "file_1"}}}};
    const json upload{{"type", "container_upload"}, {"file_id", "file_1"}};
    for (const json& block :
         {pdf, url, file, upload, json{{"type", "new"}}, json("text"), json{{"type", 7}}}) {
        EXPECT_EQ(bound(content(block).dump()), window) << block;
    }
    EXPECT_EQ(bound(with("container", "c_1").dump()), window);
    const json text{{"type", "document"},
                    {"source", {{"type", "text"}, {"media_type", "text/plain"}, {"data", "abc"}}}};
    EXPECT_LT(price_of(content(text)).nanos(), 20'000'000);
}

TEST(AnthropicRule9, CacheWritesOnlyWhereTheRequestAsksForThem) {
    const json system = [](const json& control) {
        return with("system",
                    {{{"type", "text"}, {"text", std::string(10'000, 'a')}, {"cache_control", control}}});
    }({{"type", "ephemeral"}});
    const json hour =
        with("system",
             {{{"type", "text"}, {"text", "a"}, {"cache_control", {{"type", "ephemeral"}, {"ttl", "1h"}}}}});
    EXPECT_GT(price_of(system).nanos(), 10'000 * 3750 + 15'000'000);
    const auto text = price_of(with("system", {{{"type", "text"}, {"text", "a"}}})).nanos() - 15'000'000;
    EXPECT_GT(price_of(hour).nanos() - 15'000'000, 2 * text);
    EXPECT_GT(price_of(with("cache_control", {{"type", "ephemeral"}})), price_of(request()));
    // A model without such a rate can't be asked for it.
    json small = with("cache_control", {{"type", "ephemeral"}});
    small["model"] = "claude-small";
    EXPECT_EQ(refused(small), "price_unknown");
}

TEST(AnthropicRule9, ToolsAddTheirTextAndWhatTheProviderWritesOfThem) {
    const auto plain = price_of(request()).nanos();
    const json tool{
        {"name", "get"}, {"description", std::string(500, 'd')}, {"input_schema", {{"type", "object"}}}};
    const auto one = price_of(with("tools", json::array({tool}))).nanos() - plain;
    EXPECT_GT(one, (530 + 500) * 3000);
    for (const std::string_view type :
         {"bash_20250124", "text_editor_20250728", "computer_20251124", "memory_20250818",
          "browser_toolset_20260801", "computer_toolset_20260801"}) {
        EXPECT_GT(price_of(with("tools", {{{"type", type}, {"name", "n"}}})).nanos() - plain,
                  (530 + 245) * 3000);
    }
    EXPECT_EQ(refused(with("tools", {{{"type", "teleporter_20270101"}}})), "price_unknown");
}

TEST(AnthropicRule10, OutputIsTheLimitOrTheModelsMaximum) {
    EXPECT_EQ(price_of(with("max_tokens", 2000)).nanos() - price_of(with("max_tokens", 1000)).nanos(),
              1000 * 15'000);
    json unlimited = request();
    unlimited.erase("max_tokens");
    EXPECT_EQ(price_of(unlimited).nanos() - price_of(request()).nanos(), 63'000 * 15'000);
    EXPECT_EQ(price_of(with("max_tokens", nullptr)), price_of(unlimited));
    EXPECT_EQ(refused(with("max_tokens", 9'000'000'000'000'000'000)), "price_unknown");
    // Thinking is inside the limit, but for a budget that is above it.
    EXPECT_EQ(price_of(with("thinking", {{"type", "enabled"}, {"budget_tokens", 900}})), price_of(request()));
    EXPECT_EQ(price_of(with("thinking", {{"type", "enabled"}, {"budget_tokens", 3000}})).nanos() -
                  price_of(request()).nanos(),
              2000 * 15'000);
}

TEST(AnthropicRule11, TheDearestTermsThatTheRequestPermits) {
    json us = request();
    us["model"] = "claude-us";
    us["max_tokens"] = 100;
    const auto open = price_of(us);  // the workspace may be in the United States
    us["inference_geo"] = "global";
    EXPECT_EQ(open.nanos() * 10, price_of(us).nanos() * 11);
    us["inference_geo"] = "us";
    EXPECT_EQ(price_of(us), open);
    us["speed"] = "fast";
    EXPECT_EQ(price_of(us).nanos(), 6 * open.nanos());
    EXPECT_EQ(refused(with("speed", "fast")), "price_unknown");
    EXPECT_EQ(refused(with("speed", "warp")), "price_unknown");
    EXPECT_EQ(price_of(with("service_tier", "standard_only")), price_of(request()));
    EXPECT_EQ(refused(with("service_tier", "priority")), "price_unknown");
    // Long context: the whole of it at the higher rates.
    json longer = with("system", std::string(200'000, 'a'));
    longer["model"] = "claude-long";
    EXPECT_GT(price_of(longer).nanos(), 200'000LL * 6000 + 1000 * 22'500);
}

json search(const json& more = json::object()) {
    json tool{{"type", "web_search_20250305"}, {"name", "web_search"}};
    tool.update(more);
    return tool;
}

TEST(AnthropicRule12, WebSearchIsBoundByItsNumberWhichIsWrittenIntoTheRequest) {
    const auto quote = message(with("tools", json::array({search()})).dump());
    ASSERT_TRUE(quote);
    ASSERT_TRUE(quote->body);
    json sent = json::parse(*quote->body);
    EXPECT_EQ(sent["tools"][0]["max_uses"], 5);
    sent["tools"][0].erase("max_uses");
    EXPECT_EQ(sent, with("tools", json::array({search()})));
    // The client's own number stays, and nothing is rewritten.
    const auto own = message(with("tools", json::array({search({{"max_uses", 2}})})).dump());
    EXPECT_FALSE(own->body);
    // 3 rounds of text and 1000 tokens, 25,000 more in each, 2 fees.
    const std::int64_t least = 2 * 10'000'000 + (25'000 + 50'000) * 3000 + 3 * 1000 * 15'000;
    EXPECT_GT(own->bound.nanos(), least);
    EXPECT_LT(own->bound.nanos(), least + 3 * 2000 * 3000);
}

TEST(AnthropicRule12, TheRoutesTermsGoBeforeTheBooks) {
    MeterTerms terms = claude_terms();
    terms.tools["web_search"] = {.fee = Usdc::from_nanos(7), .max_calls = 1, .tokens_per_call = 1000};
    const auto quote = message(with("tools", json::array({search({{"max_uses", 9}})})).dump(), terms);
    ASSERT_TRUE(quote);
    EXPECT_EQ(json::parse(*quote->body)["tools"][0]["max_uses"], 1);
    EXPECT_EQ(quote->bound.nanos() % 1000, 7);
    const std::string usage =
        R"({"content":[1],"usage":{"input_tokens":1,"output_tokens":1,"server_tool_use":{"web_search_requests":1}}})";
    EXPECT_EQ(text(settle(*quote->answer, {.body = usage})), "cost 0.000018007");
}

TEST(AnthropicRule12, OtherToolsOfTheProvidersNeedTermsOfTheRoute) {
    for (const auto& [type, name] :
         {std::pair{"web_fetch_20260318", "web_fetch"},
          std::pair{"code_execution_20250825", "code_execution"},
          std::pair{"tool_search_tool_bm25_20251119", "tool_search"}, std::pair{"mcp_toolset", "mcp"}}) {
        const json body = with("tools", {{{"type", type}, {"name", name}}});
        EXPECT_EQ(refused(body), "price_unknown") << type;
        MeterTerms terms = claude_terms();
        terms.tools[name] = {.fee = {}, .max_calls = 2, .tokens_per_call = 1000};
        EXPECT_GT(price_of(body, terms).nanos(), 3 * 1000 * 15'000) << type;
    }
    EXPECT_EQ(refused(with("mcp_servers", {{{"type", "url"}, {"url", "https://a.example"}}})),
              "price_unknown");
    EXPECT_EQ(refused(with("tools", {{{"type", "advisor_20260301"}, {"model", "claude-small"}}})),
              "price_unknown");
    // Without a rate for searches in the book there is no bound.
    json small = with("tools", json::array({search()}));
    small["model"] = "claude-small";
    EXPECT_EQ(refused(small), "price_unknown");
}

TEST(AnthropicRule12, SearchesFromCodeAddPassesOfTheirOwn) {
    const auto plain = price_of(with("tools", json::array({search({{"max_uses", 1}})})));
    const json newer = search({{"max_uses", 1}, {"type", "web_search_20260318"}});
    EXPECT_GT(price_of(with("tools", json::array({newer}))).nanos(), plain.nanos() + 10 * 1000 * 15'000);
    json direct = newer;
    direct["allowed_callers"] = {"direct"};
    EXPECT_LT(price_of(with("tools", json::array({direct}))).nanos(), plain.nanos() + 200 * 3000);
}

TEST(AnthropicRule12, FallbacksAndCompactionAddAPassEach) {
    const auto once = price_of(request()).nanos();
    EXPECT_EQ(price_of(with("fallbacks", {{{"model", "claude-x"}}})).nanos(), 2 * once);
    EXPECT_EQ(price_of(with("fallbacks", {{{"model", "claude-x"}, {"max_tokens", 2000}}})).nanos(),
              2 * once + 1000 * 15'000);
    EXPECT_EQ(message(with("fallbacks", {{{"model", "claude-x"}}}).dump())->other_models,
              std::vector<std::string>{"claude-x"})
        << "for the policy";
    EXPECT_EQ(refused(with("fallbacks", "default")), "price_unknown");
    EXPECT_EQ(refused(with("fallbacks", json(std::vector<json>(100, {{"model", "claude-x"}})))),
              "price_unknown");
    EXPECT_EQ(refused(with("tools", json(std::vector<json>(100, search())))), "price_unknown");
    EXPECT_EQ(refused(with("fallbacks", {{{"model", "claude-unknown"}}})), "price_unknown");
    EXPECT_EQ(refused(with("fallbacks", json::array({7}))), "bad_request");
    const auto edits = [](std::string_view type) {
        return with("context_management", {{"edits", {{{"type", type}}}}});
    };
    EXPECT_EQ(price_of(edits("clear_tool_uses_20250919")).nanos(), once);
    EXPECT_EQ(price_of(edits("compact_20260112")).nanos(), 2 * once + 63'000 * 15'000);
    EXPECT_EQ(refused(edits("inflate_20270101")), "price_unknown");
}

TEST(AnthropicClamp, LowersTheLimitToWhatTheAgentCanAfford) {
    MeterTerms terms = claude_terms();
    const auto full = price_of(request());
    terms.affordable = Usdc::from_nanos(full.nanos() - 1);
    const auto quote = message(simple_request, terms);
    ASSERT_TRUE(quote);
    EXPECT_EQ(quote->clamped_to, 999);
    EXPECT_EQ(quote->bound.nanos(), full.nanos() - 15'000);
    EXPECT_EQ(*quote->body,
              R"({"model":"claude-x","max_tokens":999,"messages":[{"role":"user","content":"Hello"}]})");
    terms.affordable = full;
    EXPECT_FALSE(message(simple_request, terms)->clamped_to);
    // Where even one token is too much, the request stays as it is: its bound is refused.
    terms.affordable = Usdc::from_nanos(10);
    const auto too_poor = message(simple_request, terms);
    EXPECT_FALSE(too_poor->clamped_to || too_poor->body);
    EXPECT_EQ(too_poor->bound, full);
    // Not below a thinking budget.
    terms.affordable = Usdc::from_nanos(full.nanos() - 600 * 15'000);
    EXPECT_FALSE(
        message(with("thinking", {{"type", "enabled"}, {"budget_tokens", 900}}).dump(), terms)->clamped_to);
}

}  // namespace
}  // namespace nomiqon::metering
