#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model_price.h"

namespace nomiqon::metering {

/// A key of a rate by the token: `cache_read_input_token_cost_above_200k_tokens_priority`.
struct TokenKey {
    Counter counter = Counter::input;
    std::string_view tier = "default";
    std::int64_t above = 0;
};
[[nodiscard]] std::optional<TokenKey> parse_token_key(std::string_view key);

/// A key of a rate by something else: `input_cost_per_second`.
struct ItemKey {
    std::string_view key;
    std::string_view item;
    std::uint32_t per = 1;  ///< how many of the item the rate is for
    bool adds =
        false;  ///< two keys of one item: both are paid. Else either is the price, and the dearer counts
};
[[nodiscard]] const ItemKey* find_item_key(std::string_view key);

/// The region of a multiplier's key: `regional_processing_uplift_multiplier_eu` → `eu`, `fedramp`; `*` for
/// every one but the global.
[[nodiscard]] std::optional<std::string_view> parse_region_key(std::string_view key);

/// Whether an unknown key speaks of money, so that an entry with it can't be priced without reading it (rule
/// 18).
[[nodiscard]] bool speaks_of_money(std::string_view key);

/// Keys without a rate that the reader looks at all the same.
[[nodiscard]] bool is_property(std::string_view key);

}  // namespace nomiqon::metering
