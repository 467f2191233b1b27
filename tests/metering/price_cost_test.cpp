#include "price_world.h"

// Every amount here was computed by hand.

namespace nomiqon::metering::testing {
namespace {

constexpr std::string_view models = R"({
  "plain": {"litellm_provider": "p", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05,
            "cache_read_input_token_cost": 1.25e-06},
  "tiers": {"litellm_provider": "p", "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06,
            "cache_read_input_token_cost": 1e-07,
            "input_cost_per_token_flex": 5e-07, "output_cost_per_token_flex": 2e-06,
            "cache_read_input_token_cost_flex": 5e-08,
            "input_cost_per_token_priority": 2e-06, "output_cost_per_token_priority": 8e-06,
            "input_cost_per_token_batches": 5e-07, "output_cost_per_token_batches": 2e-06},
  "long": {"litellm_provider": "p",
           "input_cost_per_token": 1.25e-06, "input_cost_per_token_above_200k_tokens": 2.5e-06,
           "output_cost_per_token": 1e-05, "output_cost_per_token_above_200k_tokens": 1.5e-05,
           "output_cost_per_reasoning_token": 1.2e-05,
           "cache_read_input_token_cost": 1.25e-07, "cache_read_input_token_cost_above_200k_tokens": 2.5e-07,
           "cache_creation_input_token_cost": 1.5e-06,
           "input_cost_per_token_priority": 2.25e-06, "output_cost_per_token_priority": 1.8e-05},
  "two steps": {"litellm_provider": "p",
           "input_cost_per_token": 1e-06, "input_cost_per_token_above_128k_tokens": 2e-06,
           "input_cost_per_token_above_272k_tokens": 3e-06, "output_cost_per_token": 4e-06,
           "output_cost_per_token_above_128k_tokens": 8e-06},
  "claude": {"litellm_provider": "anthropic", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
             "cache_read_input_token_cost": 3e-07, "cache_creation_input_token_cost": 3.75e-06,
             "cache_creation_input_token_cost_above_1hr": 6e-06,
             "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_medium": 0.01,
                                               "search_context_size_high": 0.01},
             "provider_specific_entry": {"us": 1.1, "fast": 6.0}},
  "audio": {"litellm_provider": "p", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05,
            "input_cost_per_audio_token": 4e-05, "output_cost_per_audio_token": 8e-05},
  "pictures": {"litellm_provider": "p", "mode": "image_generation", "input_cost_per_token": 5e-06,
               "input_cost_per_image_token": 1e-05, "output_cost_per_image_token": 4e-05,
               "cache_read_input_image_token_cost": 2.5e-06},
  "by picture": {"litellm_provider": "p", "mode": "image_generation", "input_cost_per_image": 0.167},
  "by pixel": {"litellm_provider": "p", "mode": "image_generation", "input_cost_per_pixel": 1.9e-08,
               "output_cost_per_pixel": 0.0},
  "whisper": {"litellm_provider": "p", "mode": "audio_transcription", "input_cost_per_second": 0.0001,
              "output_cost_per_second": 0.0001},
  "speech": {"litellm_provider": "p", "input_cost_per_character": 1.5e-05},
  "asks": {"litellm_provider": "p", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06,
           "input_cost_per_request": 0.005, "file_search_cost_per_1k_calls": 2.5,
           "code_interpreter_cost_per_session": 0.03, "google_maps_grounding_cost_per_query": 0.025,
           "search_context_cost_per_query": {"search_context_size_low": 0.025, "search_context_size_medium": 0.0275,
                                             "search_context_size_high": 0.03}},
  "units": {"litellm_provider": "p", "cost_per_credit": 0.008, "cost_per_read_unit": 1.6e-05,
            "cost_per_write_unit": 4e-06, "input_cost_per_query": 0.005, "ocr_cost_per_page": 0.004,
            "annotation_cost_per_page": 0.005},
  "regions": {"litellm_provider": "p", "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06,
              "regional_processing_uplift_multiplier_eu": 1.1, "fedramp_uplift_multiplier": 1.25},
  "any region": {"litellm_provider": "p", "input_cost_per_token": 1e-06,
                 "regional_endpoint_uplift_multiplier": 1.1},
  "steps": {"litellm_provider": "p", "tiered_pricing": [
      {"range": [0, 32000.0], "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
      {"range": [32000.0, 128000], "input_cost_per_token": 3e-06, "output_cost_per_token": 4e-06}]},
  "grok": {"litellm_provider": "xai", "input_cost_per_token": 2e-06, "output_cost_per_token": 6e-06,
           "input_cost_per_token_above_200k_tokens": 4e-06, "output_cost_per_token_above_200k_tokens": 1.2e-05},
  "tiny": {"litellm_provider": "p", "input_cost_per_token": 1e-12, "output_cost_per_token": 1.5e-09},
  "dear": {"litellm_provider": "p", "input_cost_per_token": 1000000},
  "free": {"litellm_provider": "p", "input_cost_per_token": 0, "output_cost_per_token": 0.0, "free": true}
})";

const PriceBook& book() {
    static const auto made = book_of(models);
    return *made;
}
std::string of(std::string_view key, const Usage& usage, const Terms& terms = {}) {
    return cost(book(), key, usage, terms);
}
Usage items(std::map<std::string, std::int64_t> counts) {
    return {.items = std::move(counts)};
}
Usage item(std::string_view name, std::int64_t count) {
    return items({{std::string{name}, count}});
}

const Terms flex{.service_tier = "flex"}, priority{.service_tier = "priority"},
    batch{.service_tier = "batch"};

TEST(Price, OfPlainTokensIsTheirSum) {
    EXPECT_EQ(of("plain", {.input = 1000, .output = 500}), "0.007500");
    EXPECT_EQ(of("plain", {.input = 1000, .cache_read = 2000, .output = 500}), "0.010000");
    EXPECT_EQ(of("plain", {}), "0.000000");
    EXPECT_EQ(of("plain", {.input = 1'000'000}), "2.500000");
}

TEST(Price, IsRoundedUpOnceAtTheEnd) {
    EXPECT_EQ(of("tiny", {.input = 1}), "0.000000001");
    EXPECT_EQ(of("tiny", {.input = 1000}), "0.000000001");
    EXPECT_EQ(of("tiny", {.input = 1001}), "0.000000002");
    EXPECT_EQ(of("tiny", {.output = 1}), "0.000000002");
    EXPECT_EQ(of("tiny", {.input = 500, .output = 1}), "0.000000002");  // 2.0 exactly, not 1 + 2
    EXPECT_EQ(of("tiny", {.output = 2}), "0.000000003");
}

TEST(Rule11Price, DependsOnTheServiceTier) {
    const Usage usage{.input = 10'000, .cache_read = 10'000, .output = 1000};
    EXPECT_EQ(of("tiers", usage), "0.015000");
    EXPECT_EQ(of("tiers", usage, {.service_tier = "default"}), "0.015000");
    EXPECT_EQ(of("tiers", usage, {.service_tier = "standard"}), "0.015000");
    EXPECT_EQ(of("tiers", usage, flex), "0.007500");
    EXPECT_EQ(of("tiers", usage, priority), "0.030000");  // a cache read gets dearer as input does: 2e-07
    EXPECT_EQ(of("tiers", usage, batch), "0.008000");     // and no cheaper where that isn't said: 1e-07
    EXPECT_EQ(of("tiers", usage, {.service_tier = "turbo"}),
              "error: `tiers` has no rate for the service tier `turbo`");
    EXPECT_EQ(of("plain", usage, flex), "error: `plain` has no rate for the service tier `flex`");
}

TEST(Rule11Price, OfALongContextHoldsForAllTokens) {
    EXPECT_EQ(of("long", {.input = 200'000, .output = 100}), "0.251000");
    EXPECT_EQ(of("long", {.input = 200'001, .output = 100}), "0.5015025");
    // All that is read counts, also from a cache.
    EXPECT_EQ(of("long", {.input = 1, .cache_read = 200'000, .output = 100}), "0.0515025");
    EXPECT_EQ(of("two steps", {.input = 128'000, .output = 1}), "0.128004");
    EXPECT_EQ(of("two steps", {.input = 128'001, .output = 1}), "0.256010");
    EXPECT_EQ(of("two steps", {.input = 272'001, .output = 1}), "0.816011");  // the output's rate stays
}

TEST(Rule11Price, WithoutARateOfTheStepGrowsAsThePlainOneDoes) {
    EXPECT_EQ(of("long", {.output_reasoning = 1000}), "0.012000");
    EXPECT_EQ(of("long", {.input = 200'001, .output_reasoning = 1000}), "0.5180025");  // 1.2e-05 × 1.5
    EXPECT_EQ(of("long", {.input = 1, .cache_write = 200'000}), "0.6000025");          // 1.5e-06 × 2
    // Long context and priority: both.
    EXPECT_EQ(of("long", {.input = 200'001}, priority), "0.9000045");
}

TEST(Rule11Price, AtTheThresholdItselfIsLongForXai) {
    EXPECT_EQ(of("grok", {.input = 199'999}), "0.399998");
    EXPECT_EQ(of("grok", {.input = 200'000}), "0.800000");
}

TEST(Price, OfTieredPricingIsThatOfTheRangeOfWhatIsRead) {
    EXPECT_EQ(of("steps", {.input = 32'000, .output = 10}), "0.032020");
    EXPECT_EQ(of("steps", {.input = 32'001, .output = 10}), "0.096043");
    EXPECT_EQ(of("steps", {.input = 200'000, .output = 10}), "0.600040");  // beyond the last: the last
}

TEST(Price, OfCacheWritesDependsOnHowLongTheyAreKept) {
    EXPECT_EQ(of("claude", {.input = 100, .cache_read = 1000, .cache_write = 2000, .output = 10}),
              "0.008250");
    EXPECT_EQ(of("claude", {.cache_write_1h = 2000}), "0.012000");
    EXPECT_EQ(of("claude", {.cache_write_12h = 1}),
              "error: `claude` has no rate for cache_write_12h tokens in the service tier `default`");
    EXPECT_EQ(of("plain", {.cache_write = 1}),
              "error: `plain` has no rate for cache_write tokens in the service tier `default`");
}

TEST(Rule11Price, FastAndRegionMultiplyTokensAndNotTools) {
    Usage usage{.input = 1000, .output = 100};
    EXPECT_EQ(of("claude", usage), "0.004500");
    EXPECT_EQ(of("claude", usage, {.fast = true}), "0.027000");
    EXPECT_EQ(of("claude", usage, {.region = "us"}), "0.004950");
    EXPECT_EQ(of("claude", usage, {.fast = true, .region = "us"}), "0.029700");
    usage.items["web_search"] = 3;
    EXPECT_EQ(of("claude", usage, {.fast = true, .region = "us"}), "0.059700");
    EXPECT_EQ(of("plain", usage, {.fast = true}), "error: `plain` has no rate for `web_search`");
    EXPECT_EQ(of("plain", {.input = 1}, {.fast = true}), "error: `plain` has no rate for the fast mode");
}

TEST(Rule11Price, KnowsARegionOrSaysSo) {
    EXPECT_EQ(of("regions", {.input = 1000}, {.region = "eu"}), "0.001100");
    EXPECT_EQ(of("regions", {.input = 1000}, {.region = "fedramp"}), "0.001250");
    EXPECT_EQ(of("regions", {.input = 1000}, {.region = "global"}), "0.001000");
    EXPECT_EQ(of("regions", {.input = 1000}, {.region = "us"}),
              "error: `regions` has no rate for the region `us`");
    EXPECT_EQ(of("any region", {.input = 1000}, {.region = "europe-west1"}), "0.001100");
    EXPECT_EQ(of("plain", {.input = 1000}, {.region = "us"}), "0.002500");  // it has none for any region
}

TEST(Price, OfReasoningIsThatOfOutputUnlessThereIsAnother) {
    EXPECT_EQ(of("plain", {.output = 10, .output_reasoning = 90}), "0.001000");
    EXPECT_EQ(of("long", {.output = 10, .output_reasoning = 90}), "0.001180");
}

TEST(Price, OfCachedTokensIsAtMostThatOfInput) {
    EXPECT_EQ(of("claude", {.cache_read = 1000}), "0.000300");
    EXPECT_EQ(of("audio", {.cache_read = 1000}), "0.002500");
    EXPECT_EQ(of("audio", {.cache_read_audio = 1000}), "0.040000");
}

TEST(Price, OfSoundAndPicturesHasRatesOfItsOwn) {
    EXPECT_EQ(of("audio", {.input = 100, .input_audio = 100, .output = 100, .output_audio = 100}),
              "0.013250");
    EXPECT_EQ(of("plain", {.input_audio = 1}),
              "error: `plain` has no rate for input_audio tokens in the service tier `default`");
    EXPECT_EQ(of("plain", {.output_audio = 1}),
              "error: `plain` has no rate for output_audio tokens in the service tier `default`");
    EXPECT_EQ(
        of("pictures", {.input = 100, .input_image = 100, .cache_read_image = 100, .output_image = 1000}),
        "0.041750");
    EXPECT_EQ(of("pictures", {.output = 1}),
              "error: `pictures` has no rate for output tokens in the service tier `default`");
}

TEST(Price, OfPicturesByThePictureAndThePixel) {
    EXPECT_EQ(of("by picture", item(item_images_out, 3)), "0.501000");
    EXPECT_EQ(of("by picture", item(item_images_in, 1)), "error: `by picture` has no rate for `images_in`");
    EXPECT_EQ(of("by pixel", item(item_pixels, 1024 * 1024)), "0.019922944");
}

TEST(Rule13Price, OfSoundByTheSecondIsExactByTheMillisecond) {
    EXPECT_EQ(of("whisper", item(item_audio_in_ms, 60'000)), "0.006000");
    EXPECT_EQ(of("whisper", item(item_audio_in_ms, 1)), "0.0000001");
    EXPECT_EQ(of("speech", item(item_characters_in, 1000)), "0.015000");
}

TEST(Rule12Price, OfToolsIsByTheCall) {
    // Every call of `asks` has 0.005 for the request itself.
    EXPECT_EQ(of("asks", {}), "0.005000");
    EXPECT_EQ(of("asks", item(item_requests, 2)), "0.010000");
    EXPECT_EQ(of("asks", item(item_web_search_low, 2)), "0.055000");
    EXPECT_EQ(of("asks", item(item_web_search_medium, 2)), "0.060000");
    EXPECT_EQ(of("asks", item(item_web_search_high, 2)), "0.065000");
    EXPECT_EQ(of("asks", item(item_web_search, 2)), "0.065000");  // size unknown: the dearest
    EXPECT_EQ(of("asks", item(item_file_search, 3)), "0.012500");
    EXPECT_EQ(of("asks", item(item_code_interpreter, 1)), "0.035000");
    EXPECT_EQ(of("asks", item(item_maps_grounding, 1)), "0.030000");
    EXPECT_EQ(of("asks", item("teleport", 1)), "error: `asks` has no rate for `teleport`");
    EXPECT_EQ(of("asks", item("teleport", 0)), "0.005000");
}

TEST(Rule14Price, OfUnitsThatAProviderSells) {
    EXPECT_EQ(of("units", items({{"credits", 2}, {"queries", 1}})), "0.021000");
    EXPECT_EQ(of("units", items({{"read_units", 5}, {"write_units", 7}})), "0.000108");
    EXPECT_EQ(of("units", items({{"pages", 3}, {"annotated_pages", 1}})), "0.017000");
    EXPECT_EQ(of("units", {.input = 1}),
              "error: `units` has no rate for input tokens in the service tier `default`");
}

TEST(Price, OfFreeModelsIsZeroForTokensAndUnknownForTools) {
    EXPECT_EQ(of("free", {.input = 5, .cache_write = 7, .output = 3, .output_audio = 1}), "0.000000");
    EXPECT_EQ(of("free", item(item_web_search, 1)), "error: `free` has no rate for `web_search`");
}

TEST(Price, BeyondWhatCanBePaidIsAnError) {
    EXPECT_EQ(of("dear", {.input = 9223}), "9223000000.000000");
    EXPECT_EQ(of("dear", {.input = 9224}), "error: the price is beyond what can be paid");
    EXPECT_EQ(of("dear", {.input = 1'000'000'000'000}), "error: the price is beyond what can be paid");
    EXPECT_EQ(of("plain", {.input = 1'000'000'000'001}), "error: no call uses that many tokens: input");
    EXPECT_EQ(of("plain", {.input = std::numeric_limits<std::int64_t>::max(),
                           .cache_read = std::numeric_limits<std::int64_t>::max()}),
              "error: no call uses that many tokens: input");
    EXPECT_EQ(of("plain", {.output = -1}), "error: no call uses that many tokens: output");
    EXPECT_EQ(of("plain", item(item_web_search, -1)), "error: no call uses that many: web_search");
}

TEST(Rule11Bound, OfAnOpenServiceTierIsTheDearestButOfBatches) {
    const auto& tiers = *book().entry("tiers");
    const Usage usage{.input = 1000};
    EXPECT_EQ(text(bound_price(tiers, usage, {})), "0.002000");
    EXPECT_EQ(text(bound_price(tiers, usage, {.service_tier = "auto"})), "0.002000");
    EXPECT_EQ(text(bound_price(tiers, usage, flex)), "0.000500");
    EXPECT_EQ(text(bound_price(tiers, usage, {.service_tier = "default"})), "0.001000");
    EXPECT_EQ(text(bound_price(tiers, usage, {.service_tier = "turbo"})),
              "error: `tiers` has no rate for the service tier `turbo`");
    EXPECT_EQ(text(bound_price(*book().entry("claude"), usage, {.fast = true})), "0.018000");
    EXPECT_EQ(text(dearest(tiers, usage, {})),
              "error: `tiers` has no rate for any terms that the call could be served under");
}

TEST(ModelPrice, SaysWhatItHasRatesFor) {
    const auto& tiers = *book().entry("tiers");
    EXPECT_EQ((std::vector<std::string>{tiers.tiers().begin(), tiers.tiers().end()}),
              (std::vector<std::string>{"default", "batch", "flex", "priority"}));
    EXPECT_TRUE(tiers.has_tier("") && tiers.has_tier("standard") && tiers.has_tier("flex"));
    EXPECT_FALSE(tiers.has_tier("ultrafast"));
    EXPECT_TRUE(tiers.has_rate(Counter::cache_read));
    EXPECT_TRUE(tiers.has_rate(Counter::cache_read, "priority"));
    EXPECT_FALSE(tiers.has_rate(Counter::cache_write));
    EXPECT_FALSE(tiers.has_rate(Counter::input, "ultrafast"));
    EXPECT_EQ(book().entry("long")->long_context_above(), 200'000);
    EXPECT_EQ(tiers.long_context_above(), std::nullopt);
    EXPECT_EQ(book().entry("asks")->item_fee(item_file_search), Usdc::from_nanos(2'500'000));
    EXPECT_EQ(tiers.item_fee(item_file_search), std::nullopt);
    EXPECT_TRUE(book().entry("claude")->has_fast() && book().entry("claude")->has_region("us"));
}

}  // namespace
}  // namespace nomiqon::metering::testing
