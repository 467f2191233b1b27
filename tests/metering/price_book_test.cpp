#include <cstdio>
#include <filesystem>
#include <fstream>

#include "nomiqon/metering/price_table.h"
#include "price_world.h"

namespace nomiqon::metering::testing {
namespace {

constexpr std::string_view one_rate = R"("input_cost_per_token": 1e-06)";

std::string entry(std::string_view key, std::string_view provider) {
    return '"' + std::string{key} + R"(": {"litellm_provider": ")" + std::string{provider} +
           R"(", "input_cost_per_token": 1e-06})";
}

std::string key_of(const ModelPrice* price) {
    return price == nullptr ? "none" : price->key();
}

std::shared_ptr<const PriceBook> names() {
    std::string json;
    for (const auto& [key, provider] :
         std::vector<std::pair<const char*, const char*>>{{"gpt-4o", "openai"},
                                                          {"gpt-4o-2024-08-06", "openai"},
                                                          {"openai/container", "openai"},
                                                          {"ft:gpt-4o-2024-08-06", "openai"},
                                                          {"azure/gpt-4o", "azure"},
                                                          {"gemini/gemini-2.5-pro", "gemini"},
                                                          {"claude-sonnet-4-5", "anthropic"},
                                                          {"claude-opus-5@20260101", "vertex"},
                                                          {"claude-opus-5", "vertex"},
                                                          {"x/both", "x"},
                                                          {"both", "x"},
                                                          {"o3", "openai"}})
        json += (json.empty() ? "{" : ", ") + entry(key, provider);
    return book_of(json + "}");
}

TEST(Rule18, AModelIsFoundUnderItsProviderOnly) {
    const auto book = names();
    EXPECT_EQ(key_of(book->find("openai", "gpt-4o")), "gpt-4o");
    EXPECT_EQ(key_of(book->find("azure", "gpt-4o")), "azure/gpt-4o");
    EXPECT_EQ(key_of(book->find("gemini", "gemini-2.5-pro")), "gemini/gemini-2.5-pro");
    EXPECT_EQ(key_of(book->find("gemini", "gemini/gemini-2.5-pro")), "gemini/gemini-2.5-pro");
    EXPECT_EQ(key_of(book->find("anthropic", "gpt-4o")), "none");
    EXPECT_EQ(key_of(book->find("openai", "azure/gpt-4o")), "none");
    EXPECT_EQ(key_of(book->find("", "gpt-4o")), "none");
    EXPECT_EQ(key_of(book->find("openai", "")), "none");
    EXPECT_EQ(key_of(book->find("x", "both")), "both");  // as `model` first, then `<provider>/model`
}

TEST(Rule18, NamesAreExact) {
    const auto book = names();
    for (const auto* const model :
         {"gpt-4", "gpt-4o-", "GPT-4o", "gpt-4o ", "gpt-4o-mini", "gpt-4o-2024-05-13", "o3-pro"})
        EXPECT_EQ(key_of(book->find("openai", model)), "none") << model;
}

TEST(Rule18, AFineTunedModelIsItsBaseWithThePrefix) {
    const auto book = names();
    EXPECT_EQ(key_of(book->find("openai", "ft:gpt-4o-2024-08-06:my-org::abc")), "ft:gpt-4o-2024-08-06");
    EXPECT_EQ(key_of(book->find("openai", "ft:gpt-4o-2024-08-06")), "ft:gpt-4o-2024-08-06");
    EXPECT_EQ(key_of(book->find("openai", "ft:o3:my-org::abc")), "none");      // o3 is no ft:o3
    EXPECT_EQ(key_of(book->find("openai", "ft:gpt-4o:my-org::abc")), "none");  // no date is added
    EXPECT_EQ(key_of(book->find("openai", "ft:")), "none");
    EXPECT_EQ(key_of(book->find("openai", "gpt-4o:my-org")), "none");
}

TEST(Rule18, ADateIsStrippedFromTheAnswerOnlyWhenTheUndatedNameWasAsked) {
    const auto book = names();
    const auto answered = [&](const char* asked, const char* name) {
        return key_of(book->find_answered("openai", asked, name));
    };
    EXPECT_EQ(answered("gpt-4o", ""), "gpt-4o");
    EXPECT_EQ(answered("gpt-4o", "gpt-4o"), "gpt-4o");
    EXPECT_EQ(answered("gpt-4o", "gpt-4o-2024-08-06"), "gpt-4o-2024-08-06");  // the book has it
    EXPECT_EQ(answered("gpt-4o", "gpt-4o-2024-11-20"), "gpt-4o");
    EXPECT_EQ(answered("o3", "o3-20250416"), "o3");
    EXPECT_EQ(answered("o3", "gpt-4o-2024-11-20"), "none");
    EXPECT_EQ(answered("gpt-4o-2024-08-06", "gpt-4o-2024-11-20"), "none");
    EXPECT_EQ(answered("gpt-4o-2024-08-06", "gpt-4o"), "gpt-4o");
    for (const auto* const name :
         {"gpt-4o-2024-13-20", "gpt-4o-2024-00-01", "gpt-4o-1924-11-20", "gpt-4o-2024-11-2x",
          "gpt-4o2024-11-20", "gpt-4o-0613", "gpt-4o-latest", "-2024-11-20"})
        EXPECT_EQ(answered("gpt-4o", name), "none") << name;
    EXPECT_EQ(key_of(book->find_answered("vertex", "claude-opus-5", "claude-opus-5@20260101")),
              "claude-opus-5@20260101");
    EXPECT_EQ(key_of(book->find_answered("vertex", "claude-opus-5", "claude-opus-5@20260202")),
              "claude-opus-5");
    EXPECT_EQ(key_of(book->find_answered("anthropic", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929")),
              "claude-sonnet-4-5");
}

TEST(Rule18, AMissingOrZeroRateIsNoPrice) {
    constexpr std::string_view none = "it has no rate above zero, and isn't marked \"free\": true";
    EXPECT_EQ(problem_with(R"("mode": "chat")"), none);
    EXPECT_EQ(problem_with(R"("input_cost_per_token": 0, "output_cost_per_token": 0.0)"), none);
    EXPECT_EQ(problem_with(R"("input_cost_per_token": null)"), none);
    EXPECT_EQ(problem_with(R"("input_cost_per_token": 0, "free": true)"), "");
    EXPECT_EQ(problem_with(R"("input_cost_per_token": 0, "free": false)"), none);
    EXPECT_EQ(problem_with(R"("input_cost_per_token": 1e-6, "free": 1)"), "`free` is neither true nor false");
    const auto book = book_with(R"("input_cost_per_token": 1e-06, "output_cost_per_token": 0)");
    EXPECT_EQ(cost(*book, "m", {.output = 1}),
              "error: `m` has no rate for output tokens in the service tier `default`");
}

TEST(Rule18, AKeyThatSpeaksOfMoneyAndIsNotReadLeavesTheEntryUnpriced) {
    for (const auto* const key :
         {"citation_cost_per_token", "output_cost_per_video_token", "input_cost_per_token_turbo",
          "input_cost_per_token_above_1hr", "input_cost_per_token_above_200k_tokens_above_300k_tokens",
          "input_cost_per_token_flex_priority", "input_cost_per_second_flex", "output_cost_per_image_4K",
          "cache_creation_input_token_cost_above_2hr", "weekend_multiplier", "some_uplift",
          "inputCostPerToken", "pricing", "surcharge", "regional_processing_uplift_multiplier_"})
        EXPECT_EQ(problem_with(std::string{one_rate} + ", \"" + key + "\": 2"),
                  '`' + std::string{key} + "` isn't read, so that what it adds would be missing");
    EXPECT_EQ(problem_with(std::string{one_rate} + R"(, "provider_specific_entry": {"slow": 2})"),
              "`provider_specific_entry.slow` isn't read");
    EXPECT_EQ(problem_with(std::string{one_rate} + R"(, "citation_cost_per_token": 0.0)"), "");
    EXPECT_EQ(problem_with(std::string{one_rate} + R"(, "citation_cost_per_token": null)"), "");
}

TEST(Rule18, OtherKeysDoNoHarm) {
    EXPECT_EQ(
        problem_with(
            std::string{one_rate} +
            R"(, "rpm": 10, "tpm": 5.0, "source": "x", "supports_reasoning": true, "metadata": {"notes": "a"},
                               "supported_regions": ["global"], "deprecation_date": "2027-01-01",
                               "search_free_requests": {"count": 1}, "prompt_cache_min_tokens": 1024,
                               "provider_specific_entry": {"realtime_ga_only": 1}, "web_search_billing_unit": "per_query")"),
        "");
}

TEST(PriceBook, TellsBadNumbersWithTheirKey) {
    const auto rate = [](std::string_view number) {
        return problem_with(R"("input_cost_per_token": )" + std::string{number});
    };
    constexpr std::string_view none = "`input_cost_per_token` is no rate: a number from 0 to a million";
    for (const auto* const number : {"-1e-06", "\"1e-06\"", "true", "[1]", "{}", "1000001"})
        EXPECT_EQ(rate(number), none) << number;
    EXPECT_EQ(problem_with(R"("input_cost_per_token": 1e-6, "max_input_tokens": "many")"),
              "`max_input_tokens` is no number of tokens");
    EXPECT_EQ(problem_with(R"("input_cost_per_token": 1e-6, "max_output_tokens": 1.5)"),
              "`max_output_tokens` is no number of tokens");
    EXPECT_EQ(problem_with(R"("input_cost_per_token": 1e-6, "provider_specific_entry": {"us": 0.5})"),
              "the multiplier of the region `us` is none from 1 to 1000");
    EXPECT_EQ(problem_with(R"("tiered_pricing": [{"range": [0, 10], "input_cost_per_token": 1e-6},
                                                {"range": [20, 30], "input_cost_per_token": 1e-6}])"),
              "`tiered_pricing` has no ranges that follow one another from 0 on");
}

TEST(PriceBook, TellsWhatIsThereTwice) {
    EXPECT_EQ(problem_with(R"("input_cost_per_token": 1e-06, "input_cost_per_token": 2e-06)"),
              "`input_cost_per_token` is there twice");
    const auto book = book_of("{" + entry("a", "p") + ", " + entry("a", "p") + ", " + entry("b", "p") + "}");
    ASSERT_EQ(book->check().size(), 1U);
    EXPECT_EQ(book->check().front().entry, "a");
    EXPECT_EQ(book->check().front().message, "the entry is there twice");
    EXPECT_EQ(book->entry("a"), nullptr);
    EXPECT_EQ(key_of(book->find("p", "b")), "b");
}

TEST(PriceBook, NeedsAProviderAndSkipsTheSpecification) {
    const auto book = book_of(R"({"sample_spec": {"input_cost_per_token": 0, "litellm_provider": "one of …"},
                                  "a": {"input_cost_per_token": 1e-06}, "b": 7,
                                  "c": {"litellm_provider": "p", "alias_of": "x"}})");
    const auto problems = book->check();
    ASSERT_EQ(problems.size(), 3U);
    EXPECT_EQ(problems[0].message, "`litellm_provider` is missing");
    EXPECT_EQ(problems[1].message, "the entry is no JSON object");
    EXPECT_TRUE(problems[2].message.starts_with("an alias"));
    EXPECT_TRUE(book->keys().empty());
}

TEST(PriceBook, RefusesWhatIsNoDocument) {
    for (const auto* const json : {"", "[]", "7", "{", "{} x", "{\"a\": 1e999}", "{}", "{\"a\": \"\xff\"}",
                                   R"({"a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{"i":1}}}}}}}}})"}) {
        const auto book = PriceBook::parse(json);
        ASSERT_FALSE(book) << json;
        EXPECT_FALSE(book.error().front().message.empty());
    }
}

TEST(PriceBook, TakesTheLegacyLimitForTheOutput) {
    const auto limits = [](std::string_view members) {
        const auto book = book_with(std::string{one_rate} + ", " + std::string{members});
        return std::pair{book->entry("m")->max_input_tokens(), book->entry("m")->max_output_tokens()};
    };
    using Pair = std::pair<std::optional<std::int64_t>, std::optional<std::int64_t>>;
    EXPECT_EQ(limits(R"("max_tokens": 10, "max_input_tokens": 128000.0)"), (Pair{128000, 10}));
    EXPECT_EQ(limits(R"("max_tokens": 10, "max_output_tokens": 20)"), (Pair{std::nullopt, 20}));
    EXPECT_EQ(limits(R"("max_input_tokens": 0)"), (Pair{std::nullopt, std::nullopt}));
}

TEST(PriceBook, GivesNoDiscountByTheHour) {
    EXPECT_EQ(problem_with(R"("input_cost_per_token": 2e-06,
                              "off_peak_pricing": {"input_cost_per_token": 1e-06, "windows": []})"),
              "");
    EXPECT_EQ(
        problem_with(R"("input_cost_per_token": 2e-06, "off_peak_pricing": {"input_cost_per_token": 3e-06})"),
        "`off_peak_pricing` is dearer in `input_cost_per_token`");
    EXPECT_EQ(problem_with(R"("ocr_cost_per_page": 0.004, "ocr_cost_per_page_batches": 0.002)"), "");
    EXPECT_EQ(problem_with(R"("ocr_cost_per_page": 0.004, "ocr_cost_per_page_batches": 0.005)"),
              "`ocr_cost_per_page_batches` is no discount");
}

TEST(PriceBook, WhatAModelTakesCostsWhatTextCostsWhereNothingElseIsSaid) {
    const auto silent = book_with(one_rate);
    EXPECT_FALSE(silent->entry("m")->has_rate(Counter::input_image));
    const auto book =
        book_with(std::string{one_rate} +
                  R"(, "supports_vision": true, "supports_audio_input": true, "supports_video_input": true)");
    EXPECT_EQ(
        cost(*book, "m", {.input_audio = 10, .input_image = 10, .input_video = 10, .cache_read_image = 10}),
        "0.000040");
}

TEST(PriceBook, ALongContextRateIsNeverBelowTheShortOne) {
    const auto book =
        book_with(R"("input_cost_per_token": 2e-06, "input_cost_per_token_above_200k_tokens": 1e-06)");
    EXPECT_EQ(cost(*book, "m", {.input = 300'000}), "0.600000");
}

TEST(PriceBook, TwoKeysOfOneRateMeanTheDearer) {
    EXPECT_EQ(
        cost(*book_with(R"("cache_read_input_token_cost": 1e-06, "input_cost_per_token_cache_hit": 2e-06)"),
             "m", {.cache_read = 1000}),
        "0.002000");
    EXPECT_EQ(
        cost(
            *book_with(
                R"("input_cost_per_token": 1e-06, "input_cost_per_token_priority_above_200k_tokens": 3e-06)"),
            "m", {.input = 300'000}, {.service_tier = "priority"}),
        "0.900000");
}

TEST(Rule19, AVersionIsThatOfTheDocumentsBytes) {
    const auto one = book_of("{" + entry("a", "p") + "}"), same = book_of("{" + entry("a", "p") + "}");
    const auto other = book_of("{" + entry("a", "p") + " }");
    EXPECT_EQ(one->version(), same->version());
    EXPECT_NE(one->version(), other->version());
    EXPECT_EQ(one->version().size(), 19U);
    EXPECT_TRUE(one->version().starts_with("pb_"));
    EXPECT_EQ(one->document(), "{" + entry("a", "p") + "}");
}

TEST(PriceBook, IsReadFromAFile) {
    const auto file = std::filesystem::path{::testing::TempDir()} / "price_book_test.json";
    std::ofstream{file} << "{" << entry("a", "p") << "}";
    const auto book = PriceBook::load(file);
    std::filesystem::remove(file);
    ASSERT_TRUE(book);
    EXPECT_EQ((*book)->keys(), std::vector<std::string>{"a"});
    EXPECT_FALSE(PriceBook::load(file));
    EXPECT_FALSE(PriceBook::load(::testing::TempDir()));
}

TEST(BuiltInPrices, AreAllPriced) {
    const auto book = PriceBook::built_in();
    for (const auto& problem : book->check())
        ADD_FAILURE() << problem.entry << ": " << problem.message;
    EXPECT_GT(book->keys().size(), 120U);
    std::ifstream stream{NOMIQON_SOURCE_DIR "/config/prices/models.json"};
    EXPECT_EQ(book->document(), (std::string{std::istreambuf_iterator<char>{stream}, {}}));
}

TEST(BuiltInPrices, KnowTheModelsOfEveryMeter) {
    const auto book = PriceBook::built_in();
    for (const auto& [provider, model] :
         std::vector<std::pair<const char*, const char*>>{{"openai", "gpt-4o"},
                                                          {"openai", "gpt-4o-mini-2024-07-18"},
                                                          {"openai", "ft:gpt-4o-2024-08-06:org::id"},
                                                          {"openai", "text-embedding-3-small"},
                                                          {"openai", "whisper-1"},
                                                          {"azure", "gpt-4o"},
                                                          {"anthropic", "claude-sonnet-4-5"},
                                                          {"gemini", "gemini-2.5-flash"},
                                                          {"mistral", "mistral-large-latest"},
                                                          {"groq", "openai/gpt-oss-120b"},
                                                          {"deepseek", "deepseek-chat"},
                                                          {"together_ai", "openai/gpt-oss-20b"},
                                                          {"openrouter", "anthropic/claude-sonnet-4.5"},
                                                          {"tavily", "tavily"},
                                                          {"pinecone", "standard"}})
        EXPECT_NE(book->find(provider, model), nullptr) << provider << ' ' << model;
    EXPECT_EQ(text(price(*book->find("openai", "gpt-4o"), {.input = 1000, .output = 1000}, {})), "0.012500");
    EXPECT_EQ(text(price(*book->find("anthropic", "claude-sonnet-4-5"),
                         {.cache_write_1h = 1000, .output = 1000}, {})),
              "0.021000");
}

TEST(BuiltInPrices, CanBeBoundWithoutLimitsGiven) {
    const auto book = PriceBook::built_in();
    for (const auto& key : book->keys()) {
        const auto& model = *book->entry(key);
        if (model.mode() != "chat" || !model.has_rate(Counter::input)) continue;
        EXPECT_TRUE(model.max_input_tokens()) << key;
        EXPECT_TRUE(model.max_output_tokens()) << key;
        const auto bound = bound_price(
            model,
            {.input = model.max_input_tokens().value_or(0), .output = model.max_output_tokens().value_or(0)},
            {});
        EXPECT_TRUE(bound) << key << ": " << text(bound);
    }
}

TEST(PriceImport, KeepsWhatCanBePricedAsItIsWritten) {
    constexpr std::string_view litellm = R"({"sample_spec": {"x": 1},
        "b": {"source": "s", "output_cost_per_token": 0.00001000, "input_cost_per_token": 2.5e-06, "mode": "chat",
              "litellm_provider": "p", "rpm": 7, "supports_vision": true, "supports_pdf_input": true,
              "cache_creation_input_token_cost": 0.0},
        "a": {"litellm_provider": "q", "input_cost_per_token": 1e-6},
        "c": {"litellm_provider": "p", "input_cost_per_token": 1e-6, "odd_cost": 1}})";
    const auto all = import_prices(litellm, {});
    ASSERT_TRUE(all);
    EXPECT_EQ(all->document, R"({
  "a": {"litellm_provider": "q", "input_cost_per_token": 1e-6},
  "b": {"litellm_provider": "p", "mode": "chat", "supports_vision": true, "input_cost_per_token": 2.5e-06, "output_cost_per_token": 0.00001000}
}
)");
    EXPECT_EQ(all->kept, 2U);
    ASSERT_EQ(all->left_out.size(), 1U);
    EXPECT_EQ(all->left_out.front().entry, "c");
    EXPECT_EQ(import_prices(all->document, {})->document, all->document);
    const auto some = import_prices(litellm, {.providers = {"p"}, .models = {"b*"}});
    EXPECT_EQ(some->kept, 1U);
    EXPECT_TRUE(some->left_out.empty());
    EXPECT_FALSE(import_prices("{", {}));
}

TEST(PriceImport, LeavesTheBuiltInBookAsItIs) {
    const auto& document = PriceBook::built_in()->document();
    EXPECT_EQ(import_prices(document, {})->document, document);
}

TEST(PriceTable, ShowsRatesByTheMillion) {
    const auto book = book_with(R"("input_cost_per_token": 2.5e-06, "input_cost_per_second": 0.0001,
                                   "input_cost_per_query": 0.005, "provider_specific_entry": {"us": 1.1, "fast": 2})");
    const auto entry = describe(*book, "m");
    ASSERT_TRUE(entry);
    std::string rows;
    for (const auto& row : entry->rows)
        rows += row.what + ' ' + row.usd + ' ' + row.per + '\n';
    EXPECT_EQ(rows,
              "input 2.5 1M tokens\ncache_read 2.5 1M tokens\naudio_in 0.0001 second\nqueries 0.005 one\n");
    ASSERT_EQ(entry->factors.size(), 2U);
    EXPECT_EQ(entry->factors[0].factor, "2");
    EXPECT_EQ(entry->factors[1].factor, "1.1");
    EXPECT_FALSE(describe(*book, "n"));
}

}  // namespace
}  // namespace nomiqon::metering::testing
