#include "price_keys.h"

#include <algorithm>
#include <array>

#include "rate.h"

// Keys of LiteLLM's model_prices_and_context_window.json, as its cost calculators read them. A rate by the
// token is a base name, then in any order `_above_200k_tokens` and a service tier. A cache write's time is in
// its name as well: `cache_creation_input_token_cost_above_1hr_above_200k_tokens`.

namespace nomiqon::metering {
namespace {

struct TokenBase {
    std::string_view name;
    Counter counter;
};

// Where one name begins another, the longer one stands before it.
constexpr std::array token_bases{
    TokenBase{"input_cost_per_token_cache_hit", Counter::cache_read},  // DeepSeek's and Tencent's
    TokenBase{"input_cost_per_token", Counter::input},
    TokenBase{"input_cost_per_audio_token", Counter::input_audio},
    TokenBase{"input_cost_per_image_token", Counter::input_image},
    TokenBase{"input_cost_per_video_token", Counter::input_video},
    TokenBase{"cache_read_input_token_cost", Counter::cache_read},
    TokenBase{"cache_read_input_audio_token_cost", Counter::cache_read_audio},
    TokenBase{"cache_read_input_image_token_cost", Counter::cache_read_image},
    TokenBase{"cache_creation_input_token_cost_above_12hr", Counter::cache_write_12h},
    TokenBase{"cache_creation_input_token_cost_above_1hr", Counter::cache_write_1h},
    TokenBase{"cache_creation_input_token_cost", Counter::cache_write},
    TokenBase{"output_cost_per_token", Counter::output},
    TokenBase{"output_cost_per_reasoning_token", Counter::output_reasoning},
    TokenBase{"output_cost_per_audio_token", Counter::output_audio},
    TokenBase{"output_cost_per_image_token", Counter::output_image},
};

struct Tier {
    std::string_view suffix, name;
};
constexpr std::array tiers{Tier{"_flex", "flex"},         Tier{"_priority", "priority"},
                           Tier{"_batches", "batch"},     Tier{"_ultrafast", "ultrafast"},
                           Tier{"_balanced", "balanced"}, Tier{"_decisions", "decisions"}};

constexpr std::array item_keys{
    ItemKey{"google_maps_grounding_cost_per_query", item_maps_grounding},
    ItemKey{"file_search_cost_per_1k_calls", item_file_search, 1000},
    ItemKey{"code_interpreter_cost_per_session", item_code_interpreter},
    ItemKey{"input_cost_per_image", item_images_in},
    ItemKey{"output_cost_per_image", item_images_out},
    ItemKey{"input_cost_per_pixel", item_pixels, 1, true},
    ItemKey{"output_cost_per_pixel", item_pixels, 1, true},
    ItemKey{"input_cost_per_second", item_audio_in_ms, 1000},
    ItemKey{"input_cost_per_audio_per_second", item_audio_in_ms, 1000},
    ItemKey{"output_cost_per_second", item_audio_out_ms, 1000},
    ItemKey{"input_cost_per_video_per_second", item_video_in_ms, 1000},
    ItemKey{"output_cost_per_video_per_second", item_video_out_ms, 1000},
    ItemKey{"input_cost_per_character", item_characters_in},
    ItemKey{"output_cost_per_character", item_characters_out},
    ItemKey{"input_cost_per_request", item_requests},
    ItemKey{"input_cost_per_query", item_queries},
    ItemKey{"ocr_cost_per_page", item_pages},
    ItemKey{"annotation_cost_per_page", item_annotated_pages},
    ItemKey{"ocr_cost_per_credit", item_credits},
    ItemKey{"cost_per_credit", item_credits},
    ItemKey{"cost_per_read_unit", item_read_units},
    ItemKey{"cost_per_write_unit", item_write_units},
};

constexpr std::array<std::string_view, 7> money_words{"cost",   "price",     "pricing", "multiplier",
                                                      "uplift", "surcharge", "fee"};

// `web_search_billing_unit` says whether searches are counted by the query or by the call: a meter's matter.
constexpr std::array<std::string_view, 10> properties{"litellm_provider",     "mode",
                                                      "max_tokens",           "max_input_tokens",
                                                      "max_output_tokens",    "free",
                                                      "supports_vision",      "supports_audio_input",
                                                      "supports_video_input", "web_search_billing_unit"};

/// `_above_200k_tokens` or `_above_200000_tokens` at the front of `rest`, taken off.
std::optional<std::int64_t> take_threshold(std::string_view& rest) {
    constexpr std::string_view before = "_above_", after = "_tokens";
    if (!rest.starts_with(before)) return std::nullopt;
    const auto end = rest.find(after, before.size());
    if (end == std::string_view::npos) return std::nullopt;
    std::string_view number = rest.substr(before.size(), end - before.size());
    const bool thousands = number.ends_with('k');
    if (thousands) number.remove_suffix(1);
    if (number.empty() || number.size() > 9 ||
        !std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; }))
        return std::nullopt;
    rest.remove_prefix(end + after.size());
    const auto value = parse_whole(number);
    return value ? std::optional{*value * (thousands ? 1000 : 1)} : std::nullopt;
}

std::optional<std::string_view> take_tier(std::string_view& rest) {
    for (const auto& tier : tiers) {
        if (!rest.starts_with(tier.suffix)) continue;
        rest.remove_prefix(tier.suffix.size());
        return tier.name;
    }
    return std::nullopt;
}

}  // namespace

std::optional<TokenKey> parse_token_key(std::string_view key) {
    const auto* const base =
        std::ranges::find_if(token_bases, [&](const TokenBase& each) { return key.starts_with(each.name); });
    if (base == token_bases.end()) return std::nullopt;
    std::string_view rest = key.substr(base->name.size());
    TokenKey parsed{.counter = base->counter};
    bool has_tier = false;
    while (!rest.empty()) {
        if (const auto above = take_threshold(rest)) {
            if (*above == 0 || parsed.above != 0) return std::nullopt;
            parsed.above = *above;
        } else if (const auto tier = take_tier(rest)) {
            if (has_tier) return std::nullopt;
            parsed.tier = *tier;
            has_tier = true;
        } else {
            return std::nullopt;
        }
    }
    return parsed;
}

const ItemKey* find_item_key(std::string_view key) {
    const auto* const found = std::ranges::find(item_keys, key, &ItemKey::key);
    return found == item_keys.end() ? nullptr : found;
}

std::optional<std::string_view> parse_region_key(std::string_view key) {
    constexpr std::string_view processing = "regional_processing_uplift_multiplier_";
    if (key == "fedramp_uplift_multiplier") return "fedramp";
    if (key == "regional_endpoint_uplift_multiplier") return "*";
    if (key.starts_with(processing) && key.size() > processing.size()) return key.substr(processing.size());
    return std::nullopt;
}

bool speaks_of_money(std::string_view key) {
    std::string lower{key};
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return std::ranges::any_of(money_words,
                               [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

bool is_property(std::string_view key) {
    return is_one_of(properties, key);
}

}  // namespace nomiqon::metering
