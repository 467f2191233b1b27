#pragma once

#include <algorithm>
#include <cstdint>
#include <expected>
#include <optional>
#include <ranges>
#include <string>
#include <string_view>

#include "nomiqon/core/usdc.h"

/// Exact prices of single units: far below 1e-9 USD each, and summed before anything is rounded.
namespace nomiqon::metering {

/// std::ranges::contains, which this standard library doesn't have yet.
template <class Range, class Value>
[[nodiscard]] constexpr bool is_one_of(const Range& range, const Value& value) {
    return std::ranges::find(range, value) != std::ranges::end(range);
}

__extension__ using Wide = unsigned __int128;

/// USD per unit, counted in 1e-21 USD: a rate by the second can be divided by 1000 and stay exact. Digits
/// behind are rounded up when it is read. Never a floating number.
struct Rate {
    Wide units = 0;
    friend constexpr auto operator<=>(const Rate&, const Rate&) = default;
};

/// A factor such as 1.1, as a fraction with a power of ten below: exact.
struct Multiplier {
    std::uint32_t numerator = 1;
    std::uint32_t denominator = 1;
    friend constexpr bool operator==(const Multiplier&, const Multiplier&) = default;
};

/// Reads a JSON number's own text, such as `2.5e-06`, divided by `per` (a power of ten: 1, 1000). Nothing:
/// negative, or above a million USD.
[[nodiscard]] std::optional<Rate> parse_rate(std::string_view number, std::uint32_t per = 1);
/// Up to 4 decimals, from 1 to 1000: none makes a price lower than the rates. Nothing otherwise.
[[nodiscard]] std::optional<Multiplier> parse_multiplier(std::string_view number);
/// A JSON number that is a whole one that 63 bits hold, however it is written (`128000.0`). Nothing
/// otherwise.
[[nodiscard]] std::optional<std::int64_t> parse_whole(std::string_view number);

/// Decimal USD of `units` of 1e-21 × `per`, without trailing zeros: for tables. `per`: of a million tokens,
/// 1000000.
[[nodiscard]] std::string rate_text(Rate rate, std::uint64_t per = 1);

/// a × b / c, rounded up; nothing when it doesn't fit. `c` isn't 0.
[[nodiscard]] std::optional<Wide> multiply_up(Wide a, Wide b, Wide c);

/// In 1e-9 USDC, rounded up; nothing when Usdc can't hold it.
[[nodiscard]] std::optional<Usdc> to_usdc(Wide units);

}  // namespace nomiqon::metering
