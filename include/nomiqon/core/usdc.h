#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nomiqon {

/// An amount of USDC, counted in 1e-9 USDC in a signed 64-bit integer. Never a floating number.
///
/// Range: ±9,223,372,036.854775807 USDC. Arithmetic is checked: what would overflow is `nullopt`, so that a
/// caller must say what that means (always: refuse). A value type, free to copy and share between threads.
class Usdc {
  public:
    constexpr Usdc() = default;
    static constexpr Usdc from_nanos(std::int64_t nanos) { return Usdc{nanos}; }

    /// Reads `(0|[1-9][0-9]*)(\.[0-9]{1,9})?` and nothing else: no sign, no exponent, no spaces. Zero is an
    /// amount.
    static std::optional<Usdc> parse(std::string_view text) noexcept;

    [[nodiscard]] constexpr std::int64_t nanos() const { return nanos_; }
    [[nodiscard]] constexpr bool is_zero() const { return nanos_ == 0; }

    [[nodiscard]] constexpr std::optional<Usdc> plus(Usdc other) const {
        std::int64_t sum = 0;
        if (__builtin_add_overflow(nanos_, other.nanos_, &sum)) return std::nullopt;
        return Usdc{sum};
    }
    [[nodiscard]] constexpr std::optional<Usdc> minus(Usdc other) const {
        std::int64_t difference = 0;
        if (__builtin_sub_overflow(nanos_, other.nanos_, &difference)) return std::nullopt;
        return Usdc{difference};
    }

    /// Decimal with 6 to 9 decimals, as the API writes amounts: `5.000000`, `0.0012345`, `-1.000000`.
    [[nodiscard]] std::string to_string() const;

    friend constexpr auto operator<=>(Usdc, Usdc) = default;

  private:
    constexpr explicit Usdc(std::int64_t nanos) : nanos_(nanos) {}
    std::int64_t nanos_ = 0;
};

}  // namespace nomiqon
