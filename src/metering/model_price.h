#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "items.h"
#include "nomiqon/core/usdc.h"
#include "nomiqon/metering/usage.h"
#include "rate.h"

namespace nomiqon::metering {

/// The counters of Usage that a price book has rates for, each with one rate a token.
enum class Counter : std::uint8_t {
    input,
    input_audio,
    input_image,
    input_video,
    cache_read,
    cache_read_audio,
    cache_read_image,
    cache_write,
    cache_write_1h,
    cache_write_12h,
    output,
    output_reasoning,
    output_audio,
    output_image,
};
inline constexpr std::size_t counters = 14;

[[nodiscard]] std::string_view name_of(Counter counter);
[[nodiscard]] std::optional<Counter> find_counter(std::string_view name);
[[nodiscard]] std::int64_t count_of(const Usage& usage, Counter counter);
void set_count(Usage& usage, Counter counter, std::int64_t count);

/// The name of a service tier as the book has it, for one as providers write it: empty, `standard` and
/// `on_demand` are `default`. Others as they are: `flex`, `priority`, `batch`, `ultrafast`, …
[[nodiscard]] std::string_view canonical_tier(std::string_view service_tier);

/// The rates of one service tier for calls that read more than `above` tokens.
struct RateSheet {
    std::int64_t above = 0;
    std::array<std::optional<Rate>, counters> rates{};
};

/// One entry of a price book that can be priced. Immutable; lives as long as its book.
///
/// A rate that the entry does not have is no price (rule 18), but for what can only err against the spender;
/// see docs/prices.md, "What a missing rate means". `"free": true` makes all that are missing or zero a price
/// of 0.
class ModelPrice {
  public:
    [[nodiscard]] const std::string& key() const { return key_; }
    [[nodiscard]] const std::string& provider() const { return provider_; }  ///< `litellm_provider`
    [[nodiscard]] const std::string& mode() const { return mode_; }  ///< `chat`, `embedding`, …; may be empty
    [[nodiscard]] bool is_free() const { return free_; }

    /// W, the most tokens that the model reads; nothing where the book doesn't know.
    [[nodiscard]] std::optional<std::int64_t> max_input_tokens() const { return max_input_; }
    [[nodiscard]] std::optional<std::int64_t> max_output_tokens() const { return max_output_; }

    /// The service tiers with a rate of their own, `default` first: `flex`, `priority`, `batch`, …
    [[nodiscard]] std::span<const std::string> tiers() const { return tiers_; }
    [[nodiscard]] bool has_tier(std::string_view service_tier) const;
    /// Whether tokens of this counter can be priced in a tier (empty: `default`), also by a rate that another
    /// one stands for.
    [[nodiscard]] bool has_rate(Counter counter, std::string_view service_tier = {}) const;
    /// Whether an item (items.h) can be priced.
    [[nodiscard]] bool has_item(std::string_view item) const;
    /// What one of an item costs, rounded up; nothing where it can't be priced.
    [[nodiscard]] std::optional<Usdc> item_fee(std::string_view item) const;

    /// The number of tokens read above which long-context rates begin; nothing where there are none.
    [[nodiscard]] std::optional<std::int64_t> long_context_above() const;
    [[nodiscard]] bool has_fast() const { return fast_.has_value(); }
    /// Whether calls served in a region cost more.
    [[nodiscard]] bool has_region(std::string_view region) const;

    // For price.cpp.
    /// Null: the entry has no rates for that tier.
    [[nodiscard]] const RateSheet* sheet(std::string_view service_tier, std::int64_t tokens_read) const;
    [[nodiscard]] std::optional<Rate> item_rate(std::string_view item) const;
    [[nodiscard]] std::optional<Multiplier> fast() const { return fast_; }
    /// 1 where the entry has no multiplier for any region; nothing where it has some, but not for this one.
    [[nodiscard]] std::optional<Multiplier> region(std::string_view region) const;

    // For price_table.cpp.
    [[nodiscard]] std::span<const RateSheet> sheets(std::size_t tier) const { return sheets_[tier]; }
    [[nodiscard]] const std::map<std::string, Rate, std::less<>>& items() const { return items_; }
    [[nodiscard]] const std::map<std::string, Multiplier, std::less<>>& regions() const { return regions_; }

  private:
    friend class ModelPriceReader;  // model_price_reader.cpp

    std::string key_, provider_, mode_;
    bool free_ = false;
    bool threshold_inclusive_ = false;  // xAI's long-context rates begin at the threshold itself
    std::optional<std::int64_t> max_input_, max_output_;
    std::vector<std::string> tiers_;
    std::vector<std::vector<RateSheet>> sheets_;  // one list a tier, by `above` ascending; the first is 0
    std::map<std::string, Rate, std::less<>> items_;
    std::optional<Multiplier> fast_;
    std::map<std::string, Multiplier, std::less<>> regions_;  // `*`: every one but the global
};

}  // namespace nomiqon::metering
