#include <gtest/gtest.h>

#include "openai_world.h"

namespace nomiqon::metering::testing {
namespace {

constexpr std::int64_t micro = 1000;                 // 1e-6 USDC
constexpr std::int64_t window = 10'000 * micro;      // of `plain`, read in full
constexpr std::int64_t answer = 1'000 * 10 * micro;  // of `plain`, at its maximum

std::int64_t chat_bound(std::string_view model, const Json& more = Json::object()) {
    return bound_of(chat(chat_request(model, more)));
}
std::int64_t response_bound(std::string_view model, const Json& more = Json::object(),
                            const MeterTerms& terms = openai_terms()) {
    return bound_of(respond(response_request(model, more), terms));
}
Json message(const Json& content) {
    return {{"messages", {{{"role", "user"}, {"content", content}}}}};
}

TEST(OpenAiBound, Rule9TextByBytesAndNeverMoreThanTheModelReads) {
    const std::int64_t small = chat_bound("plain");
    EXPECT_GT(small, answer);
    EXPECT_LT(small, answer + 1000 * micro);  // two letters, and what may surround them
    const std::int64_t longer = chat_bound("plain", message(std::string(1000, 'x')));
    EXPECT_GE(longer - small, 998 * micro);
    EXPECT_LE(longer - small, 1'000 * micro);
    EXPECT_EQ(chat_bound("plain", message(std::string(50'000, 'x'))), window + answer);
}

TEST(OpenAiBound, Rule9EveryPlaceOfTextCounts) {
    const std::string text(500, 'x');
    const std::int64_t none = chat_bound("plain");
    for (const Json& more : {
             message({{{"type", "text"}, {"text", text}}}),
             Json{{"tools", {{{"type", "function"}, {"function", {{"name", "f"}, {"description", text}}}}}}},
             Json{{"functions", {{{"name", "f"}, {"description", text}}}}},
             Json{{"response_format",
                   {{"type", "json_schema"},
                    {"json_schema", {{"name", "s"}, {"schema", {{"title", text}}}}}}}},
             Json{{"messages", {{{"role", "user"}, {"name", text}, {"content", "hi"}}}}},
             Json{{"messages",
                   {{{"role", "assistant"}, {"tool_calls", {{{"function", {{"arguments", text}}}}}}}}}},
             Json{{"messages", {{{"role", "tool"}, {"content", text}}}}},
         }) {
        EXPECT_GE(chat_bound("plain", more) - none, 450 * micro) << more.dump();
    }
    const std::int64_t response = response_bound("plain");
    for (const Json& more :
         {Json{{"instructions", text}}, Json{{"input", text}},
          Json{{"input", {{{"type", "function_call_output"}, {"call_id", "c"}, {"output", text}}}}},
          Json{{"text", {{"format", {{"schema", text}}}}}}}) {
        EXPECT_GE(response_bound("plain", more) - response, 450 * micro) << more.dump();
    }
}

TEST(OpenAiBound, Rule9PicturesByTheModelsMaximumAndBase64NeverAsText) {
    const std::string data = "data:image/png;base64," + std::string(200'000, 'A');
    const auto picture = [&](std::string_view detail) {
        return message({{{"type", "image_url"}, {"image_url", {{"url", data}, {"detail", detail}}}}});
    };
    const std::int64_t none = chat_bound("gpt-4o");
    EXPECT_LE(chat_bound("gpt-4o", picture("high")) - none, 2'100 * 2'500);
    EXPECT_GE(chat_bound("gpt-4o", picture("high")) - none, 1'445 * 2'500);
    // Not known of this model: all that it can read.
    EXPECT_EQ(chat_bound("plain", picture("low")), window + answer);
}

TEST(OpenAiBound, Rule9WhatTheRequestDoesNotTellIsAllThatTheModelReads) {
    for (const Json& more : {
             message({{{"type", "file"}, {"file", {{"file_id", "f"}}}}}),
             message({{{"type", "file"}, {"file", {{"file_data", "JVBERi0="}}}}}),
             message({{{"type", "video_url"}, {"video_url", {{"url", "https://a"}}}}}),
             message({{{"type", "of tomorrow"}}}),
         }) {
        EXPECT_EQ(chat_bound("plain", more), window + answer) << more.dump();
    }
    for (const Json& more : {
             Json{{"previous_response_id", "resp_1"}},
             Json{{"conversation", "conv_1"}},
             Json{{"prompt", {{"id", "pmpt_1"}}}, {"tools", Json::array()}},
             Json{{"input", {{{"type", "item_reference"}, {"id", "msg_1"}}}}},
             Json{{"input", {{{"type", "reasoning"}, {"id", "rs_1"}, {"summary", Json::array()}}}}},
             Json{{"input",
                   {{{"role", "user"}, {"content", {{{"type", "input_file"}, {"file_url", "https://a"}}}}}}}},
         }) {
        EXPECT_EQ(response_bound("plain", more), window + answer) << more.dump();
    }
    // What is whole is counted.
    EXPECT_LT(
        response_bound("plain",
                       {{"input", {{{"type", "reasoning"}, {"id", "rs_1"}, {"encrypted_content", "abc"}}}}}),
        window + answer);
    // A stored prompt may bring tools.
    EXPECT_EQ(response_bound("plain", {{"prompt", {{"id", "pmpt_1"}}}}), -1);
}

TEST(OpenAiBound, Rule9AudioCountsAsTheDearerKind) {
    const Json heard =
        message({{{"type", "input_audio"}, {"input_audio", {{"data", "AAAA"}, {"format", "wav"}}}}});
    EXPECT_EQ(chat_bound("audio", heard), 10 * window + answer);
    EXPECT_EQ(chat_bound("plain", heard), -1);  // it has no price of audio
    const std::int64_t spoken =
        chat_bound("audio", {{"modalities", {"text", "audio"}}, {"audio", {{"voice", "a"}}}});
    EXPECT_GE(spoken, 10 * answer);
}

TEST(OpenAiBound, Rule9EmbeddingsByBytesTokensAndTexts) {
    const auto embed = [](const Json& input) {
        return bound_of(post("openai", "/v1/embeddings", {{"model", "embed"}, {"input", input}}));
    };
    EXPECT_EQ(embed("hello"), 21 * micro);
    EXPECT_EQ(embed(std::string(500, 'x')), 100 * micro);  // none is longer than the model reads
    EXPECT_EQ(embed({std::string(500, 'x'), std::string(500, 'y')}), 200 * micro);
    EXPECT_EQ(embed({1, 2, 3}), 19 * micro);
    EXPECT_EQ(embed({{1, 2}, {3}}), 35 * micro);
    EXPECT_EQ(embed({{"a", 1}}), -1);
    EXPECT_EQ(embed(Json::array()), -1);
}

TEST(OpenAiBound, Rule9WritingACacheCountsWhereTheProviderDoesItByItself) {
    const std::int64_t written = chat_bound("caching", message(std::string(50'000, 'x')));
    EXPECT_GE(written, 2 * 50'000 * micro + answer);
    const std::int64_t kept = response_bound(
        "caching", {{"input", std::string(50'000, 'x')}, {"prompt_cache_options", {{"ttl", "12h"}}}});
    EXPECT_GE(kept, 4 * 50'000 * micro + answer);
}

TEST(OpenAiBound, Rule10OutputIsTheLimitTimesTheChoices) {
    const std::int64_t one = chat_bound("plain", {{"max_completion_tokens", 100}});
    const std::int64_t base = one - 100 * 10 * micro;
    const auto output = [&](const Json& more) {
        return static_cast<double>(chat_bound("plain", more) - base) / (10 * micro);
    };
    EXPECT_NEAR(output({{"max_tokens", 100}}), 100, 2);
    EXPECT_NEAR(output({{"max_tokens", 100}, {"n", 3}}), 300, 2);
    EXPECT_NEAR(output({{"max_tokens", 100}, {"max_completion_tokens", 200}}), 200, 6);
    EXPECT_NEAR(output({{"max_tokens", 1'000'000'000}}), 1000, 6);  // more than the model writes
    EXPECT_NEAR(output({{"max_tokens", 0}}), 1000, 6);
    EXPECT_NEAR(output(Json::object()), 1000, 6);
    const Json prediction{{"max_tokens", 100},
                          {"prediction", {{"type", "content"}, {"content", std::string(300, 'x')}}}};
    EXPECT_GE(output(prediction), 400);
    EXPECT_EQ(chat_bound("plain", {{"n", 9'000'000'000'000'000'000}}), -1);
    EXPECT_GE(response_bound("plain", {{"max_output_tokens", 100}}), 100 * 10 * micro);
}

TEST(OpenAiBound, Rule10LegacyCompletionsCountPromptsAndBestOf) {
    const auto bound = [](const Json& more) {
        Json request{{"model", "legacy"}, {"prompt", "a"}, {"max_tokens", 10}};
        request.update(more);
        return bound_of(post("openai", "/v1/completions", request));
    };
    const std::int64_t read = 100 * micro;  // all that the model reads: the template's bound is above
    const std::int64_t token = 2 * micro;
    EXPECT_EQ(bound(Json::object()), read + 10 * token);
    EXPECT_EQ(bound({{"n", 2}, {"best_of", 5}}), read + 50 * token);
    EXPECT_EQ(bound({{"prompt", {"a", "b", "c"}}, {"n", 2}}), 3 * read + 60 * token);
    EXPECT_EQ(bound({{"max_tokens", nullptr}}), read + 50 * token);
    EXPECT_EQ(bound({{"prompt", {{"a", 1}}}}), -1);
}

TEST(OpenAiBound, Rule11TheDearestTierThatTheRequestLeavesOpen) {
    const std::int64_t by_default = chat_bound("tiered", {{"service_tier", "default"}});
    const auto tier = [&](const Json& name) { return chat_bound("tiered", {{"service_tier", name}}); };
    EXPECT_NEAR(static_cast<double>(chat_bound("tiered")), 2.0 * static_cast<double>(by_default), 1e5);
    EXPECT_NEAR(static_cast<double>(tier("auto")), 2.0 * static_cast<double>(by_default), 1e5);
    EXPECT_NEAR(static_cast<double>(tier("priority")), 2.0 * static_cast<double>(by_default), 1e5);
    EXPECT_NEAR(static_cast<double>(tier("fast")), 2.0 * static_cast<double>(by_default), 1e5);
    EXPECT_NEAR(static_cast<double>(tier("flex")), 0.5 * static_cast<double>(by_default), 1e5);
    EXPECT_EQ(tier("scale"), -1);
    EXPECT_EQ(tier(7), -1);
    EXPECT_EQ(chat_bound("plain", {{"service_tier", "flex"}}), -1);
    EXPECT_NE(bound_of(post("groq", "/openai/v1/chat/completions",
                            chat_request("fast", {{"service_tier", "flex"}}))),
              -1);
    EXPECT_EQ(bound_of(post("groq", "/openai/v1/chat/completions",
                            chat_request("fast", {{"service_tier", "performance"}}))),
              -1);
}

TEST(OpenAiBound, Rule11LongContextRatesFromWhatMayBeRead) {
    const Json more{{"service_tier", "default"}, {"max_tokens", 100}};
    Json request = chat_request("tiered", message(std::string(300'000, 'x')));
    request.update(more);
    EXPECT_GE(bound_of(chat(request)), 300'000 * 2 * micro + 100 * 20 * micro);
}

TEST(OpenAiBound, Rule12ToolsThatTheProviderRunsNeedTerms) {
    for (const std::string_view type :
         {"file_search", "code_interpreter", "image_generation", "mcp", "computer_use_preview", "shell",
          "tool_search", "programmatic_tool_calling", "of_tomorrow"}) {
        EXPECT_EQ(response_bound("plain", {{"tools", {{{"type", type}}}}}), -1) << type;
    }
    for (const Json& tool :
         {Json{{"type", "function"}, {"name", "f"}}, Json{{"type", "custom"}, {"name", "f"}},
          Json{{"type", "local_shell"}}, Json{{"type", "apply_patch"}},
          Json{{"type", "shell"}, {"environment", {{"type", "local"}}}},
          Json{{"type", "tool_search"}, {"execution", "client"}},
          Json{{"type", "namespace"}, {"name", "n"}, {"tools", {{{"type", "function"}, {"name", "f"}}}}}}) {
        EXPECT_NE(response_bound("plain", {{"tools", {tool}}}), -1) << tool.dump();
    }
    EXPECT_EQ(response_bound("plain", {{"tools", {{{"type", "namespace"}, {"tools", {{{"type", "mcp"}}}}}}}}),
              -1);
    EXPECT_EQ(chat_bound("plain", {{"tools", {{{"type", "browser_search"}}}}}), -1);
    EXPECT_EQ(chat_bound("plain", {{"web_search_options", Json::object()}}), -1);
    EXPECT_EQ(response_bound("plain", {{"reasoning", {{"mode", "pro"}}}}), -1);
    EXPECT_EQ(response_bound("plain", {{"access_programs", {{"cyber", "daybreak_red"}}}}), -1);
}

TEST(OpenAiBound, Rule12WebSearchLoopsReadTheContextAgain) {
    const Json more{{"tools", {{{"type", "web_search"}}}}, {"max_output_tokens", 100}};
    auto quote = respond(response_request("plain", more));
    ASSERT_TRUE(quote);
    // Five calls of a cent; six passes, each at most what the model reads; six outputs.
    EXPECT_EQ(Json::parse(*quote->body).at("max_tool_calls"), 5);
    EXPECT_GE(quote->bound.nanos(), 5 * 10'000 * micro + 5 * window + 6 * 100 * 10 * micro);
    EXPECT_LE(quote->bound.nanos(), 5 * 10'000 * micro + 6 * window + 6 * 100 * 10 * micro);
    EXPECT_LT(response_bound("plain", {{"tools", {{{"type", "web_search_preview"}}}}, {"max_tool_calls", 1}}),
              response_bound("plain", more) + 2 * answer);

    Json fewer = more;
    fewer["max_tool_calls"] = 2;
    EXPECT_FALSE(respond(response_request("plain", fewer))->body);
    fewer["max_tool_calls"] = 50;
    EXPECT_EQ(Json::parse(*respond(response_request("plain", fewer))->body).at("max_tool_calls"), 5);
}

TEST(OpenAiBound, Rule12TheRoutesTermsGoBeforeTheBooks) {
    MeterTerms terms = openai_terms();
    terms.tools["web_search"] = {.fee = Usdc::from_nanos(1'000'000), .max_calls = 2, .tokens_per_call = 100};
    terms.tools["mcp"] = {.fee = Usdc{}, .max_calls = 3, .tokens_per_call = 10};
    Json request =
        response_request("plain", {{"tools", {{{"type", "web_search"}}}}, {"max_output_tokens", 100}});
    auto quote = respond(request, terms);
    ASSERT_TRUE(quote);
    EXPECT_EQ(Json::parse(*quote->body).at("max_tool_calls"), 2);
    EXPECT_GE(quote->bound.nanos(), 2'000'000 + 300 * micro + 300 * 10 * micro);
    EXPECT_LE(quote->bound.nanos(), 2'000'000 + 3 * 1'500 * micro + 300 * 10 * micro);
    EXPECT_NE(bound_of(respond(response_request("plain", {{"tools", {{{"type", "mcp"}}}}}), terms)), -1);

    const std::string searched = R"({"model":"plain","status":"completed","output":[
        {"type":"web_search_call","action":{"type":"search"}},{"type":"web_search_call","action":{"type":"open_page"}},
        {"type":"message","content":[]}],"usage":{"input_tokens":10,"output_tokens":1,"total_tokens":11}})";
    EXPECT_EQ(text(settle(*quote->answer, {.body = searched})), "cost 0.001020");
}

TEST(OpenAiBound, Rule12SearchModelsSearchOnceForEachAnswer) {
    auto quote = chat(chat_request("gpt-4o-search-preview", {{"max_tokens", 10}}));
    ASSERT_TRUE(quote);
    EXPECT_GE(quote->bound.nanos(), 25'000 * micro + 10'000 * micro + 2 * 10 * 10 * micro);
    EXPECT_EQ(
        text(settle(*quote->answer,
                    {.body = R"({"model":"gpt-4o-search-preview","choices":[{"message":{"content":"a"}}],
                            "usage":{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11}})"})),
        "cost 0.025020");
}

TEST(OpenAiBound, Rule12CompactionIsAPassMore) {
    const std::int64_t without = response_bound("plain");
    const std::int64_t with = response_bound("plain", {{"context_management", {{{"type", "compaction"}}}}});
    EXPECT_GE(with, without + window + answer);
    EXPECT_LE(with, without + window + answer + 100 * micro);  // the bytes of the member itself
}

TEST(OpenAiBound, PicturesBySizeAndQuality) {
    const auto bound = [](const Json& more) {
        Json request{{"model", "gpt-image-1"}, {"prompt", "a cat"}};
        request.update(more);
        return bound_of(post("openai", "/v1/images/generations", request));
    };
    const std::int64_t one = bound(Json::object());
    EXPECT_GE(one, 6'240 * 40 * micro);
    EXPECT_LE(one, 7'000 * 40 * micro);
    EXPECT_LT(bound({{"quality", "low"}}), one / 5);
    EXPECT_GE(bound({{"n", 4}}), 4 * 6'240 * 40 * micro);
    EXPECT_EQ(bound({{"quality", "max"}}), -1);
    EXPECT_EQ(bound({{"output_format", "svg"}}), -1);
}

TEST(OpenAiBound, PicturesPaidByTheirSizeHaveAnEntryForEach) {
    const auto quote =
        post("openai", "/v1/images/generations",
             {{"model", "by-size"}, {"prompt", "a cat"}, {"quality", "hd"}, {"size", "1024x1792"}, {"n", 2}});
    ASSERT_TRUE(quote);
    EXPECT_EQ(quote->bound.nanos(), 2 * 120'000 * micro);
    EXPECT_EQ(quote->model, "by-size");
    EXPECT_EQ(bound_of(post("openai", "/v1/images/generations", {{"model", "by-size"}, {"prompt", "a cat"}})),
              -1);
}

TEST(OpenAiBound, SpeechByTheCharacter) {
    auto quote =
        post("openai", "/v1/audio/speech", {{"model", "letters"}, {"input", "é·a"}, {"voice", "alloy"}});
    ASSERT_TRUE(quote);
    EXPECT_EQ(quote->bound.nanos(), 3 * 10 * micro);
    EXPECT_EQ(text(settle(*quote->answer, {.type = "audio/mpeg", .body = "ID3..."})), "cost 0.000030");
}

}  // namespace
}  // namespace nomiqon::metering::testing
