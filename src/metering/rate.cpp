#include "rate.h"

#include <algorithm>
#include <limits>

namespace nomiqon::metering {
namespace {

constexpr int rate_decimals = 21;
constexpr int nano_decimals = 9;
constexpr Wide widest = std::numeric_limits<Wide>::max();
constexpr std::int64_t dearest_rate_usd = 1'000'000;
constexpr std::int64_t largest_multiplier = 1000;
constexpr int multiplier_decimals = 4;
constexpr std::size_t kept_digits = 30;  // 10^30 fits, and is more than any rate is written with
constexpr int largest_exponent =
    1'000'000;  // keeps the sums below from overflowing; far beyond what can matter

constexpr Wide power_of_ten(int exponent) {
    Wide power = 1;
    for (int i = 0; i < exponent; ++i)
        power *= 10;
    return power;
}

/// A JSON number (RFC 8259 section 6) as digits × 10^exponent.
struct Decimal {
    Wide digits = 0;
    int exponent = 0;
    bool more = false;  ///< digits that aren't 0 follow and were cut
};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::optional<int> parse_exponent(std::string_view text) {
    if (text.empty()) return 0;
    if (text.front() != 'e' && text.front() != 'E') return std::nullopt;
    text.remove_prefix(1);
    const bool negative = text.starts_with('-');
    if (negative || text.starts_with('+')) text.remove_prefix(1);
    if (text.empty() || !std::ranges::all_of(text, is_digit)) return std::nullopt;
    int value = 0;
    for (const char c : text)
        value = std::min(largest_exponent, value * 10 + (c - '0'));
    return negative ? -value : value;
}

std::optional<Decimal> parse_decimal(std::string_view text) {
    Decimal decimal;
    std::size_t kept = 0;
    bool fraction = false, any = false;
    std::size_t at = 0;
    for (; at < text.size() && (is_digit(text[at]) || text[at] == '.'); ++at) {
        if (text[at] == '.') {
            if (fraction) return std::nullopt;
            fraction = true;
            continue;
        }
        any = true;
        if (kept == kept_digits) {
            decimal.more = decimal.more || text[at] != '0';
            if (!fraction) ++decimal.exponent;
            continue;
        }
        decimal.digits = decimal.digits * 10 + static_cast<Wide>(text[at] - '0');
        if (decimal.digits != 0) ++kept;
        if (fraction) --decimal.exponent;
    }
    const auto exponent = parse_exponent(text.substr(at));
    if (!any || !exponent) return std::nullopt;  // a minus ends here too
    decimal.exponent += *exponent;
    return decimal;
}

/// digits × 10^exponent as a whole number, rounded up.
std::optional<Wide> whole_up(const Decimal& decimal) {
    Wide digits = decimal.digits + (decimal.more ? 1 : 0);
    if (digits == 0) return Wide{0};
    int exponent = decimal.exponent;
    for (; exponent > 0; --exponent)
        if (__builtin_mul_overflow(digits, Wide{10}, &digits)) return std::nullopt;
    bool cut = false;
    for (; exponent < 0 && digits != 0; ++exponent) {
        cut = cut || digits % 10 != 0;
        digits /= 10;
    }
    return digits + (cut ? 1 : 0);
}

}  // namespace

std::optional<Rate> parse_rate(std::string_view number, std::uint32_t per) {
    auto decimal = parse_decimal(number);
    if (!decimal) return std::nullopt;
    decimal->exponent += rate_decimals;
    for (; per > 1; per /= 10)
        --decimal->exponent;
    const auto units = whole_up(*decimal);
    if (!units || *units > static_cast<Wide>(dearest_rate_usd) * power_of_ten(rate_decimals))
        return std::nullopt;
    return Rate{*units};
}

std::optional<Multiplier> parse_multiplier(std::string_view number) {
    auto decimal = parse_decimal(number);
    if (!decimal || decimal->more) return std::nullopt;
    decimal->exponent += multiplier_decimals;
    const auto numerator = whole_up(*decimal);
    std::uint32_t denominator = static_cast<std::uint32_t>(power_of_ten(multiplier_decimals));
    if (!numerator || *numerator < denominator || *numerator > Wide{denominator} * largest_multiplier)
        return std::nullopt;
    auto reduced = static_cast<std::uint32_t>(*numerator);
    for (; denominator > 1 && reduced % 10 == 0; denominator /= 10)
        reduced /= 10;
    return Multiplier{.numerator = reduced, .denominator = denominator};
}

std::optional<std::int64_t> parse_whole(std::string_view number) {
    auto decimal = parse_decimal(number);
    if (!decimal || decimal->more) return std::nullopt;
    for (; decimal->exponent < 0 && decimal->digits % 10 == 0 && decimal->digits != 0; ++decimal->exponent)
        decimal->digits /= 10;
    if (decimal->exponent < 0 && decimal->digits != 0) return std::nullopt;
    const auto whole = whole_up(*decimal);
    if (!whole || *whole > static_cast<Wide>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
    return static_cast<std::int64_t>(*whole);
}

std::string rate_text(Rate rate, std::uint64_t per) {
    Wide units = 0;
    if (__builtin_mul_overflow(rate.units, Wide{per}, &units)) return "?";
    std::string digits;
    for (; units != 0 || digits.size() <= rate_decimals; units /= 10)
        digits.push_back(static_cast<char>('0' + static_cast<int>(units % 10)));
    std::ranges::reverse(digits);
    digits.insert(digits.size() - rate_decimals, ".");
    digits.erase(digits.find_last_not_of('0') + 1);
    if (digits.ends_with('.')) digits.pop_back();
    return digits;
}

std::optional<Wide> multiply_up(Wide a, Wide b, Wide c) {
    Wide product = 0;
    if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
    return product / c + (product % c == 0 ? 0 : 1);
}

std::optional<Usdc> to_usdc(Wide units) {
    constexpr Wide one_nano = power_of_ten(rate_decimals - nano_decimals);
    const Wide nanos = units / one_nano + (units % one_nano == 0 ? 0 : 1);
    static_assert(widest / one_nano > std::numeric_limits<std::int64_t>::max());
    if (nanos > static_cast<Wide>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
    return Usdc::from_nanos(static_cast<std::int64_t>(nanos));
}

}  // namespace nomiqon::metering
