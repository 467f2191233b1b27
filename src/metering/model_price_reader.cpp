#include "model_price_reader.h"

#include <algorithm>
#include <array>
#include <set>

#include "price_keys.h"

namespace nomiqon::metering {
namespace {

constexpr std::string_view off_peak = "off_peak_pricing";
constexpr std::string_view batches = "_batches";

std::string named(std::string_view key) {
    return '`' + std::string{key} + '`';
}

bool is_zero_or_null(const RawValue& value) {
    if (value.kind == RawValue::Kind::null) return true;
    const auto rate = value.kind == RawValue::Kind::number ? parse_rate(value.text) : std::nullopt;
    return rate && rate->units == 0;
}

std::expected<Rate, std::string> rate_of(std::string_view key, const RawValue& value, std::uint32_t per = 1) {
    if (value.kind == RawValue::Kind::number)
        if (const auto rate = parse_rate(value.text, per)) return *rate;
    return std::unexpected(named(key) + " is no rate: a number from 0 to a million");
}

/// Makes pictures or film and nothing else, so that LiteLLM's `input_cost_per_image` means those made.
bool makes_pictures(std::string_view mode) {
    return mode == "image_generation" || mode == "image_edit";
}

}  // namespace

std::expected<ModelPrice, std::string> ModelPriceReader::read(const std::string& key, const RawValue& entry) {
    if (entry.kind != RawValue::Kind::object) return std::unexpected("the entry is no JSON object");
    ModelPriceReader reader{key};
    std::set<std::string_view> seen;
    for (const auto& member : entry.members) {
        if (!seen.insert(member.name).second) return std::unexpected(named(member.name) + " is there twice");
        if (auto problem = reader.read_member(member); !problem.empty()) return std::unexpected(problem);
    }
    if (auto problem = reader.finish(entry); !problem.empty()) return std::unexpected(problem);
    return std::move(reader.price_);
}

ModelPriceReader::Problem ModelPriceReader::read_member(const RawMember& member) {
    if (is_property(member.name)) return read_property(member);
    if (member.value.kind == RawValue::Kind::null) return {};
    if (parse_token_key(member.name)) return read_token_rate(member.name, member.value, 0);
    if (find_item_key(member.name) != nullptr) return read_item(member);
    if (member.name == "search_context_cost_per_query") return read_searches(member.value);
    if (member.name == "provider_specific_entry") return read_provider_entry(member.value);
    if (member.name == "tiered_pricing") return read_steps(member.value);
    if (const auto region = parse_region_key(member.name)) return read_region(*region, member.value);
    return read_unknown(member);
}

ModelPriceReader::Problem ModelPriceReader::read_property(const RawMember& member) {
    const auto& [name, value] = member;
    if (name.starts_with("max_")) return read_limit(member);
    if (name == "litellm_provider" || name == "mode") {
        if (value.kind != RawValue::Kind::string) return named(name) + " is no text";
        (name == "mode" ? price_.mode_ : price_.provider_) = value.text;
        return {};
    }
    const bool yes = value.kind == RawValue::Kind::boolean && value.boolean;
    if (name == "free") {
        if (value.kind != RawValue::Kind::boolean) return "`free` is neither true nor false";
        price_.free_ = yes;
    }
    if (name == "supports_vision") takes_images_ = yes;
    if (name == "supports_audio_input") takes_audio_ = yes;
    if (name == "supports_video_input") takes_video_ = yes;
    return {};
}

ModelPriceReader::Problem ModelPriceReader::read_limit(const RawMember& member) {
    if (member.value.kind == RawValue::Kind::null) return {};
    const auto limit =
        member.value.kind == RawValue::Kind::number ? parse_whole(member.value.text) : std::nullopt;
    if (!limit) return named(member.name) + " is no number of tokens";
    const auto known = *limit > 0 ? limit : std::nullopt;  // LiteLLM writes 0 where there is no such thing
    if (member.name == "max_input_tokens") price_.max_input_ = known;
    if (member.name == "max_output_tokens") price_.max_output_ = known;
    if (member.name == "max_tokens") max_tokens_ = known;
    return {};
}

ModelPriceReader::Problem ModelPriceReader::read_item(const RawMember& member) {
    const ItemKey& key = *find_item_key(member.name);
    const auto rate = rate_of(member.name, member.value, key.per);
    if (!rate) return rate.error();
    const auto [found, is_new] = price_.items_.emplace(std::string{key.item}, *rate);
    if (is_new) return {};
    if (key.adds) {
        found->second.units += rate->units;  // each is a million USD at most
    } else {
        found->second = std::max(found->second, *rate);
    }
    return {};
}

ModelPriceReader::Problem ModelPriceReader::read_searches(const RawValue& value) {
    constexpr std::array<std::pair<std::string_view, std::string_view>, 3> sizes{{
        {"search_context_size_low", item_web_search_low},
        {"search_context_size_medium", item_web_search_medium},
        {"search_context_size_high", item_web_search_high},
    }};
    if (value.kind != RawValue::Kind::object) return "`search_context_cost_per_query` is no JSON object";
    for (const auto& [name, rate_value] : value.members) {
        const auto* const size =
            std::ranges::find(sizes, std::string_view{name}, [](const auto& s) { return s.first; });
        if (size == sizes.end()) {
            if (!is_zero_or_null(rate_value)) return named(name) + " isn't read";
            continue;
        }
        if (rate_value.kind == RawValue::Kind::null) continue;
        const auto rate = rate_of(name, rate_value);
        if (!rate) return rate.error();
        for (const auto item : {size->second, item_web_search}) {
            auto& slot = price_.items_[std::string{item}];
            slot = std::max(slot, *rate);
        }
    }
    return {};
}

/// Multipliers of speed and region, and settings of LiteLLM's own.
ModelPriceReader::Problem ModelPriceReader::read_provider_entry(const RawValue& value) {
    constexpr std::array<std::string_view, 4> settings{"realtime_ga_only", "transcription_json_or_text_only",
                                                       "transcription_usage_duration",
                                                       "bedrock_invocation_schema"};
    if (value.kind != RawValue::Kind::object) return "`provider_specific_entry` is no JSON object";
    for (const auto& [name, multiplier] : value.members) {
        if (is_one_of(settings, name)) continue;
        const bool region =
            name.size() == 2 && std::ranges::all_of(name, [](char c) { return c >= 'a' && c <= 'z'; });
        if (name != "fast" && !region) return "`provider_specific_entry." + name + "` isn't read";
        if (region) {
            if (auto problem = read_region(name, multiplier); !problem.empty()) return problem;
            continue;
        }
        const auto parsed =
            multiplier.kind == RawValue::Kind::number ? parse_multiplier(multiplier.text) : std::nullopt;
        if (!parsed) return "`provider_specific_entry.fast` is no multiplier from 1 to 1000";
        price_.fast_ = parsed;
    }
    return {};
}

ModelPriceReader::Problem ModelPriceReader::read_region(std::string_view region, const RawValue& value) {
    const auto parsed = value.kind == RawValue::Kind::number ? parse_multiplier(value.text) : std::nullopt;
    if (!parsed) return "the multiplier of the region " + named(region) + " is none from 1 to 1000";
    if (!price_.regions_.emplace(std::string{region}, *parsed).second)
        return "the region " + named(region) + " has two multipliers";
    return {};
}

/// `tiered_pricing`: [{"range": [0, 32000], "input_cost_per_token": …}, …]; all tokens of a call cost what
/// the range says in which its tokens read lie, its start excluded.
ModelPriceReader::Problem ModelPriceReader::read_steps(const RawValue& value) {
    constexpr std::string_view gap = "`tiered_pricing` has no ranges that follow one another from 0 on";
    if (value.kind != RawValue::Kind::array) return "`tiered_pricing` is no list";
    std::int64_t expected = 0;
    for (const auto& step : value.items) {
        const RawValue* const range = step.find("range");
        if (range == nullptr || range->items.size() != 2) return std::string{gap};
        const auto from = parse_whole(range->items[0].text), to = parse_whole(range->items[1].text);
        if (from != expected || !to || *to <= expected) return std::string{gap};
        std::set<std::string_view> seen;
        for (const auto& [name, rate] : step.members) {
            if (!seen.insert(name).second) return "`tiered_pricing` has " + named(name) + " twice";
            if (name == "range") continue;
            const auto key = parse_token_key(name);
            if (!key || key->above != 0) return "`tiered_pricing` has " + named(name) + ", which isn't read";
            if (auto problem = read_token_rate(name, rate, *from); !problem.empty()) return problem;
        }
        expected = *to;
    }
    return {};
}

ModelPriceReader::Problem ModelPriceReader::read_token_rate(std::string_view key, const RawValue& value,
                                                            std::int64_t above_at_least) {
    if (value.kind == RawValue::Kind::null) return {};
    const auto rate = rate_of(key, value);
    if (!rate) return rate.error();
    const auto parsed = *parse_token_key(key);
    own_.push_back({.counter = parsed.counter,
                    .tier = std::string{parsed.tier},
                    .above = std::max(parsed.above, above_at_least),
                    .rate = *rate});
    return {};
}

ModelPriceReader::Problem ModelPriceReader::read_unknown(const RawMember& member) const {
    if (!speaks_of_money(member.name) || is_zero_or_null(member.value)) return {};
    if (member.name == off_peak) return {};  // looked at in `finish`, when the rates are known
    const auto& name = member.name;
    if (name.ends_with(batches) && find_item_key(name.substr(0, name.size() - batches.size())) != nullptr)
        return {};
    return named(name) + " isn't read, so that what it adds would be missing";
}

/// A discount by the hour, or of a batch, isn't given: the charge is what the provider takes at most.
ModelPriceReader::Problem ModelPriceReader::check_discount(const RawMember& member) const {
    if (member.name == off_peak) {
        for (const auto& [name, value] : member.value.members) {
            const auto key = parse_token_key(name);
            if (!key) {
                if (speaks_of_money(name))
                    return "`off_peak_pricing` has " + named(name) + ", which isn't read";
                continue;
            }
            const auto rate = rate_of(name, value);
            const auto own = std::ranges::find_if(own_, [&](const OwnRate& each) {
                return each.counter == key->counter && each.tier == key->tier && each.above == key->above;
            });
            if (!rate) return rate.error();
            if (own == own_.end() || own->rate < *rate)
                return "`off_peak_pricing` is dearer in " + named(name);
        }
        return {};
    }
    if (!member.name.ends_with(batches) || parse_token_key(member.name)) return {};
    const ItemKey* const key =
        find_item_key(std::string_view{member.name}.substr(0, member.name.size() - batches.size()));
    if (key == nullptr) return {};
    const auto rate = rate_of(member.name, member.value, key->per);
    const auto normal = price_.items_.find(key->item);
    if (!rate) return rate.error();
    if (normal == price_.items_.end() || normal->second < *rate)
        return named(member.name) + " is no discount";
    return {};
}

ModelPriceReader::Problem ModelPriceReader::finish(const RawValue& entry) {
    if (price_.provider_.empty()) return "`litellm_provider` is missing";
    for (const auto& member : entry.members)
        if (auto problem = check_discount(member); !problem.empty()) return problem;
    if (!price_.free_) {
        std::erase_if(own_, [](const OwnRate& rate) { return rate.rate.units == 0; });
        std::erase_if(price_.items_, [](const auto& item) { return item.second.units == 0; });
        if (own_.empty() && price_.items_.empty())
            return entry.find("alias_of") != nullptr
                       ? "an alias (`alias_of`) has no rates of its own; name the entry that it stands for"
                       : "it has no rate above zero, and isn't marked \"free\": true";
    }
    settle_items();
    // A limit that is missing is bounded by the legacy one, which is the output's, or the whole context's.
    if (!price_.max_output_) price_.max_output_ = max_tokens_;
    price_.threshold_inclusive_ = price_.provider_ == "xai";
    auto sheets = make_rate_sheets(own_, {.takes_images = takes_images_,
                                          .takes_audio = takes_audio_,
                                          .takes_video = takes_video_,
                                          .free = price_.free_});
    price_.tiers_ = std::move(sheets.tiers);
    price_.sheets_ = std::move(sheets.sheets);
    return {};
}

void ModelPriceReader::settle_items() {
    auto& items = price_.items_;
    const auto move = [&](std::string_view from, std::string_view to) {
        const auto found = items.find(from);
        if (found == items.end() || items.contains(to)) return;
        const Rate rate = found->second;
        items.erase(found);
        items.emplace(std::string{to}, rate);
    };
    // Only the searches' sizes that the entry names have a rate; any size costs the dearest at most.
    if (const auto any = items.find(item_web_search); any != items.end()) {
        const Rate rate = any->second;
        for (const auto size : {item_web_search_low, item_web_search_medium, item_web_search_high})
            items.emplace(std::string{size}, rate);
    }
    if (makes_pictures(price_.mode_)) move(item_images_in, item_images_out);
    if (price_.mode_ == "audio_transcription") move(item_audio_out_ms, item_audio_in_ms);
    if (price_.mode_ == "video_generation") move(item_audio_out_ms, item_video_out_ms);
}

}  // namespace nomiqon::metering
