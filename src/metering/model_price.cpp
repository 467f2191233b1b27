#include "model_price.h"

#include <algorithm>

namespace nomiqon::metering {
namespace {

struct CounterRow {
    std::string_view name;
    std::int64_t Usage::* member;
};

// In the order of `Counter`.
constexpr std::array<CounterRow, counters> rows{{
    {"input", &Usage::input},
    {"input_audio", &Usage::input_audio},
    {"input_image", &Usage::input_image},
    {"input_video", &Usage::input_video},
    {"cache_read", &Usage::cache_read},
    {"cache_read_audio", &Usage::cache_read_audio},
    {"cache_read_image", &Usage::cache_read_image},
    {"cache_write", &Usage::cache_write},
    {"cache_write_1h", &Usage::cache_write_1h},
    {"cache_write_12h", &Usage::cache_write_12h},
    {"output", &Usage::output},
    {"output_reasoning", &Usage::output_reasoning},
    {"output_audio", &Usage::output_audio},
    {"output_image", &Usage::output_image},
}};

}  // namespace

std::string_view name_of(Counter counter) {
    return rows[static_cast<std::size_t>(counter)].name;
}

std::int64_t count_of(const Usage& usage, Counter counter) {
    return usage.*rows[static_cast<std::size_t>(counter)].member;
}

std::optional<Counter> find_counter(std::string_view name) {
    const auto* const found = std::ranges::find(rows, name, &CounterRow::name);
    if (found == rows.end()) return std::nullopt;
    return static_cast<Counter>(found - rows.begin());
}

void set_count(Usage& usage, Counter counter, std::int64_t count) {
    usage.*rows[static_cast<std::size_t>(counter)].member = count;
}

std::string_view canonical_tier(std::string_view service_tier) {
    if (service_tier.empty() || service_tier == "standard" || service_tier == "on_demand") return "default";
    return service_tier;
}

bool ModelPrice::has_tier(std::string_view service_tier) const {
    return is_one_of(tiers_, canonical_tier(service_tier));
}

bool ModelPrice::has_rate(Counter counter, std::string_view service_tier) const {
    const RateSheet* const found = sheet(service_tier, 0);
    return found != nullptr && found->rates[static_cast<std::size_t>(counter)].has_value();
}

bool ModelPrice::has_item(std::string_view item) const {
    return items_.contains(item);
}

std::optional<Usdc> ModelPrice::item_fee(std::string_view item) const {
    const auto rate = item_rate(item);
    return rate ? to_usdc(rate->units) : std::nullopt;
}

std::optional<std::int64_t> ModelPrice::long_context_above() const {
    const auto& steps = sheets_.front();
    return steps.size() > 1 ? std::optional{steps[1].above} : std::nullopt;
}

bool ModelPrice::has_region(std::string_view region) const {
    return regions_.contains(region) || (!region.empty() && region != "global" && regions_.contains("*"));
}

const RateSheet* ModelPrice::sheet(std::string_view service_tier, std::int64_t tokens_read) const {
    const auto tier = std::ranges::find(tiers_, canonical_tier(service_tier));
    if (tier == tiers_.end()) return nullptr;
    const auto& steps = sheets_[static_cast<std::size_t>(tier - tiers_.begin())];
    const RateSheet* found = &steps.front();
    for (const auto& step : steps)
        if (tokens_read > step.above || (threshold_inclusive_ && tokens_read == step.above)) found = &step;
    return found;
}

std::optional<Rate> ModelPrice::item_rate(std::string_view item) const {
    const auto found = items_.find(item);
    return found == items_.end() ? std::nullopt : std::optional{found->second};
}

std::optional<Multiplier> ModelPrice::region(std::string_view region) const {
    if (region.empty() || region == "global" || region == "not_available" || regions_.empty())
        return Multiplier{};
    if (const auto found = regions_.find(region); found != regions_.end()) return found->second;
    if (const auto any = regions_.find("*"); any != regions_.end()) return any->second;
    return std::nullopt;
}

}  // namespace nomiqon::metering
