#include "gemini_meter.h"

#include <gtest/gtest.h>

#include "gemini_world.h"

// Rules 1 to 12 of requests to the Gemini API. Rates of gemini-3-x a million tokens: 1 read, 3 of audio, 4
// written.

namespace nomiqon::metering {
namespace {

using namespace testing;
using nlohmann::json;

constexpr std::string_view flash = "/v1beta/models/gemini-2.5-x:generateContent";
constexpr std::string_view image = "/v1beta/models/gemini-3-image:generateContent";
constexpr std::string_view usual = "/v1beta/models/gemini-3-x:generateContent";

json with(std::string_view name, const json& value) {
    json changed = json::parse(hello);
    changed[name] = value;
    return changed;
}
json part(const json& value) {
    return with("contents", json::array({{{"parts", json::array({value})}}}));
}
json config(const json& value) {
    return with("generationConfig", value);
}

std::int64_t nanos(const json& body, std::string_view path = usual,
                   const MeterTerms& terms = gemini_terms()) {
    const auto quote = generate(body.dump(), terms, path);
    EXPECT_TRUE(quote) << refusal(quote) << body;
    return quote ? quote->bound.nanos() : 0;
}
std::string refused(const json& body, std::string_view path = usual,
                    const MeterTerms& terms = gemini_terms()) {
    return refusal(generate(body.dump(), terms, path));
}

std::string path(std::string_view method, std::string_view path) {
    const auto quote = ask(gemini_meter(), gemini_terms(), method, path, hello);
    return !quote ? refusal(quote) : quote->free ? "free" : "paid";
}

TEST(GeminiRule1, KnowsExactMethodsAndPaths) {
    for (const std::string_view paid :
         {"/v1beta/models/gemini-3-x:generateContent", "/v1/models/gemini-3-x:generateContent",
          "/v1beta/models/gemini-3-x:streamGenerateContent"}) {
        EXPECT_EQ(path("POST", paid), "paid") << paid;
    }
    for (const std::string_view free : {"/v1beta/models", "/v1/models/gemini-3-x", "/v1beta/files/a",
                                        "/v1beta/files", "/v1beta/cachedContents/a", "/v1beta/batches/a"}) {
        EXPECT_EQ(path("GET", free), "free") << free;
        EXPECT_EQ(path("HEAD", free), "free") << free;
    }
    EXPECT_EQ(path("POST", "/v1beta/models/gemini-3-x:countTokens"), "free");
    EXPECT_EQ(path("POST", "/upload/v1beta/files"), "free");
    EXPECT_EQ(path("DELETE", "/v1beta/files/a"), "free");
    for (const std::string_view unknown :
         {"/v1beta/models/gemini-3-x:generatecontent", "/v1beta/models/gemini-3-x:generateContent/",
          "/v2/models/gemini-3-x:generateContent", "/v1beta/tunedModels/a:generateContent",
          "/v1beta/models/gemini-3-x:batchGenerateContent", "/v1beta/models/a:predictLongRunning",
          "/v1beta/cachedContents", "/v1beta/openai/chat/completions", "/v1beta/models/a:b:generateContent",
          "/v1beta/models/../models/gemini-3-x:generateContent",
          "/v1beta/models/gemini-3-x%3AgenerateContent", "/v1beta/interactions",
          "/models/gemini-3-x:generateContent"}) {
        EXPECT_EQ(path("POST", unknown), "price_unknown") << unknown;
    }
    EXPECT_EQ(path("GET", "/v1beta/models/gemini-3-x:generateContent"), "price_unknown");
    EXPECT_EQ(path("PATCH", "/v1beta/cachedContents/a"), "price_unknown");
}

TEST(GeminiRule6, BothFormsOfANameAreReadButNotAtOnce) {
    const json snake{{"contents", {{"parts", {{"text", "Hello"}}}}},
                     {"generation_config", {{"max_output_tokens", 1000}, {"candidate_count", 2}}}};
    const json camel{{"contents", {{"parts", {{"text", "Hello"}}}}},
                     {"generationConfig", {{"maxOutputTokens", 1000}, {"candidateCount", 2}}}};
    EXPECT_GE(nanos(snake), 2 * 1000 * 4000);
    EXPECT_LT(std::abs(nanos(snake) - nanos(camel)), 20 * 1000);
    for (
        const std::string_view body :
        {R"({"contents":[],"generationConfig":{"maxOutputTokens":9},"generation_config":{"maxOutputTokens":1}})",
         R"({"contents":[],"generationConfig":{"maxOutputTokens":9,"max_output_tokens":1}})",
         R"({"contents":[],"generationConfig":{"MaxOutputTokens":9}})",
         R"({"contents":[],"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":9}})",
         R"({"contents":[],"generationConfig":{"maxOutputTokens":-5}})",
         R"({"contents":[],"generationConfig":{"maxOutputTokens":"5"}})",
         R"({"contents":[],"generationConfig":{"candidateCount":1000}})",
         R"({"contents":[],"generationConfig":{"thinkingConfig":{"thinkingBudget":-2}}})",
         R"({"contents":[{"parts":[{"inlineData":{},"inline_data":{}}]}]})", "[]"}) {
        EXPECT_EQ(refusal(generate(body)), "bad_request") << body;
    }
    EXPECT_EQ(refused(with("newWayToSpend", 1)), "price_unknown");
}

TEST(GeminiRule6, AnAnswerIsNotAskedForInParts) {
    for (const std::string_view query :
         {"fields=candidates", "$fields=candidates", "%24fields=a", "key=k&%66ields=a", "alt=proto",
          "callback=f", "$httpMethod=GET", "key=k;fields=a", "Fields=a"}) {
        EXPECT_EQ(refusal(generate(hello, gemini_terms(), usual, query)), "bad_request") << query;
    }
    for (const std::string_view query :
         {"", "key=secret", "alt=sse", "alt=json&prettyPrint=false", "%24alt=sse"}) {
        EXPECT_EQ(refusal(generate(hello, gemini_terms(), usual, query)), "none") << query;
    }
}

TEST(GeminiRule8, TheModelIsThePathsAndTheBodysMustBeTheSame) {
    EXPECT_EQ(generate(hello)->model, "gemini-3-x");
    EXPECT_EQ(refused(with("model", "models/gemini-3-x")), "none");
    EXPECT_EQ(refused(with("model", "gemini-3-x")), "none");
    EXPECT_EQ(refused(with("model", "models/gemini-2.5-x")), "bad_request");
    EXPECT_EQ(refused(with("model", 7)), "bad_request");
    EXPECT_EQ(refused(json::parse(hello), "/v1beta/models/gemini-9:generateContent"), "price_unknown");
}

TEST(GeminiRule9, TextIsBoundByItsBytesAndPicturesByTheirMaximum) {
    const auto plain = nanos(json::parse(hello));
    EXPECT_EQ(
        nanos(part({{"text", std::string(1100, 'a')}})) - nanos(part({{"text", std::string(100, 'a')}})),
        1000 * 1000);
    const json picture{{"inlineData", {{"mimeType", "image/png"}, {"data", std::string(200'000, 'A')}}}};
    EXPECT_GT(nanos(part(picture)), 2'240 * 1000 + 1000 * 4000);
    EXPECT_LT(nanos(part(picture)), plain + 3'000 * 1000);
    const json snake{{"inline_data", {{"mime_type", "image/jpeg"}, {"data", "AAAA"}}}};
    EXPECT_EQ(nanos(part(snake)), nanos(part(picture)));
    // Not more than the model reads.
    EXPECT_EQ(nanos(part({{"text", std::string(500'000, 'a')}})), 100'000'000 + 4'000'000);
}

TEST(GeminiRule9, WhatOnlyTheProviderCanMeasureIsTheWholeWindowAtTheDearestRate) {
    const std::int64_t window = 100'000 * 3000 + 1000 * 4000;  // audio
    for (const json& value : {json{{"inlineData", {{"mimeType", "audio/mp3"}, {"data", "AA"}}}},
                              json{{"inlineData", {{"mimeType", "application/pdf"}, {"data", "AA"}}}},
                              json{{"inlineData", {{"data", "AA"}}}}, json{{"inlineData", 7}},
                              json{{"fileData", {{"fileUri", "https://a.example"}}}}, json{{"file_data", 1}},
                              json{{"newKind", 1}}}) {
        EXPECT_EQ(nanos(part(value)), window) << value;
    }
    EXPECT_EQ(nanos(with("cachedContent", "cachedContents/a")), window);
    const json response{{"functionResponse", {{"name", "f"}, {"parts", {{{"fileData", 1}}}}}}};
    EXPECT_EQ(nanos(part(response)), window);
}

TEST(GeminiRule10, OutputIsTheLimitTimesTheCandidates) {
    const auto text = nanos(json::parse(hello)) - 1000 * 4000;
    const auto output = [&](const json& value) {
        return static_cast<int>((nanos(config(value)) - text) / 4000);
    };
    EXPECT_NEAR(output({{"maxOutputTokens", 500}}), 500, 20);
    EXPECT_NEAR(output({{"maxOutputTokens", 500}, {"candidateCount", 3}}), 1500, 20);
    EXPECT_NEAR(output(json::object()), 8000, 20);
    EXPECT_NEAR(output({{"maxOutputTokens", nullptr}}), 8000, 20);
    EXPECT_NEAR(output({{"maxOutputTokens", 500}, {"thinkingConfig", {{"thinkingBudget", 400}}}}), 500, 40);
    EXPECT_NEAR(output({{"maxOutputTokens", 500}, {"thinkingConfig", {{"thinkingBudget", 4000}}}}), 4000, 40);
    EXPECT_NEAR(output({{"maxOutputTokens", 500}, {"thinkingConfig", {{"thinkingBudget", -1}}}}), 500, 40);
}

TEST(GeminiRule10, TheDearestModalityThatTheRequestPermits) {
    EXPECT_GE(nanos(json::parse(hello), image), 5'040 * 100'000);
    EXPECT_GE(nanos(config({{"responseModalities", {"TEXT", "IMAGE"}}}), image), 8'000 * 100'000);
    EXPECT_LT(nanos(config({{"responseModalities", {"TEXT"}}, {"maxOutputTokens", 1000}}), image),
              10'000'000);
}

TEST(GeminiRule11, TheDearestTierThatTheRequestPermits) {
    const auto open = nanos(json::parse(hello), flash);
    EXPECT_EQ(open, nanos(with("serviceTier", "priority"), flash));
    EXPECT_EQ(open, 2 * nanos(with("service_tier", "SERVICE_TIER_STANDARD"), flash));
    EXPECT_EQ(open, 4 * nanos(with("serviceTier", "flex"), flash));
    EXPECT_EQ(refused(with("serviceTier", "flex")), "price_unknown");
    EXPECT_EQ(refused(with("serviceTier", 7)), "bad_request");
}

TEST(GeminiRule12, ToolsOfTheProvidersNeedTermsOfTheRoute) {
    const auto tool = [](std::string_view name) {
        return with("tools", json::array({{{name, json::object()}}}));
    };
    for (const auto& [member, name] :
         {std::pair{"googleSearch", "google_search"}, std::pair{"google_search_retrieval", "google_search"},
          std::pair{"codeExecution", "code_execution"}, std::pair{"url_context", "url_context"},
          std::pair{"googleMaps", "google_maps"}, std::pair{"fileSearch", "file_search"}}) {
        EXPECT_EQ(refused(tool(member)), "price_unknown") << member;
        MeterTerms terms = gemini_terms();
        terms.tools[name] = {.fee = Usdc::from_nanos(7), .max_calls = 2, .tokens_per_call = 1000};
        const auto bound = nanos(tool(member), usual, terms);
        EXPECT_GT(bound, 3 * 1000 * 4000 + (1000 + 2000) * 1000);
        EXPECT_EQ(bound % 1000, 14);
    }
    EXPECT_EQ(refused(tool("teleporter")), "price_unknown");
    EXPECT_EQ(refused(with("tools", json::array({7}))), "bad_request");
    const json functions = with("tools", {{"functionDeclarations", {{{"name", "f"}}}}});
    EXPECT_LT(nanos(functions), nanos(json::parse(hello)) + 200'000);
}

TEST(GeminiClamp, LowersTheLimitInTheFormThatTheRequestHas) {
    const auto clamp = [](std::string_view body) {
        MeterTerms terms = gemini_terms();
        terms.affordable = Usdc::from_nanos(generate(body)->bound.nanos() - 4000);
        const auto quote = generate(body, terms);
        EXPECT_LE(quote->bound, *terms.affordable);
        return std::to_string(quote->clamped_to.value_or(0)) + " " + quote->body.value_or("");
    };
    EXPECT_EQ(clamp(R"({"contents":[],"generationConfig":{"topP":0.5,"maxOutputTokens":1000}})"),
              R"(999 {"contents":[],"generationConfig":{"topP":0.5,"maxOutputTokens":999}})");
    EXPECT_EQ(clamp(R"({"generation_config":{"max_output_tokens":1000},"contents":[]})"),
              R"(999 {"generation_config":{"max_output_tokens":999},"contents":[]})");
    EXPECT_EQ(clamp(R"({"contents":[]})"),
              R"(7999 {"generationConfig":{"maxOutputTokens":7999},"contents":[]})");
}

TEST(GeminiEmbeddings, AreBoundByTheirText) {
    const auto embed = [](std::string_view body, std::string_view action) {
        return generate(body, gemini_terms(), "/v1beta/models/embed-x:" + std::string{action});
    };
    const std::string one =
        R"({"model":"models/embed-x","content":{"parts":[{"text":"Hello"}]},"taskType":"A"})";
    const auto single = embed(one, "embedContent");
    ASSERT_TRUE(single) << single.error().detail;
    const auto three = embed(R"({"requests":[)" + one + "," + one + "," + one + "]}", "batchEmbedContents");
    ASSERT_TRUE(three);
    EXPECT_EQ(three->bound.nanos(), 3 * single->bound.nanos());
    EXPECT_EQ(
        refusal(embed(R"({"requests":[{"model":"models/gemini-3-x","content":{}}]})", "batchEmbedContents")),
        "bad_request");
    EXPECT_EQ(refusal(embed(R"({"requests":[7]})", "batchEmbedContents")), "bad_request");
    // Rule 16: their answers report no use, or only what was read.
    EXPECT_EQ(text(settle(*single->answer, {.body = R"({"embedding":{"values":[0.1,0.2]}})"})),
              "in full " + single->bound.to_string());
    EXPECT_EQ(text(settle(*three->answer, {.body = R"({"embeddings":[{"values":[0.1]}],
                                                       "usageMetadata":{"promptTokenCount":30}})"})),
              "cost 0.000003");
}

}  // namespace
}  // namespace nomiqon::metering
