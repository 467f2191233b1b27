#include "nomiqon/core/usdc.h"

namespace nomiqon {
namespace {

constexpr std::int64_t nanos_per_usdc = 1'000'000'000;
constexpr int max_decimals = 9;
constexpr int shown_decimals = 6;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/// total = total × 10 + digit, unless that leaves 64 bits.
bool append_digit(std::int64_t& total, char digit) {
    return !__builtin_mul_overflow(total, 10, &total) && !__builtin_add_overflow(total, digit - '0', &total);
}

}  // namespace

std::optional<Usdc> Usdc::parse(std::string_view text) noexcept {
    std::size_t at = 0;
    std::int64_t nanos = 0;
    while (at < text.size() && is_digit(text[at])) {
        if (!append_digit(nanos, text[at++])) return std::nullopt;
    }
    if (at == 0 || (at > 1 && text[0] == '0')) return std::nullopt;

    int decimals = 0;
    if (at < text.size()) {
        if (text[at++] != '.' || at == text.size()) return std::nullopt;
        for (; at < text.size(); ++at, ++decimals) {
            if (!is_digit(text[at]) || decimals == max_decimals) return std::nullopt;
            if (!append_digit(nanos, text[at])) return std::nullopt;
        }
    }
    for (; decimals < max_decimals; ++decimals) {
        if (!append_digit(nanos, '0')) return std::nullopt;
    }
    return from_nanos(nanos);
}

std::string Usdc::to_string() const {
    // The magnitude of the most negative value fits only an unsigned integer.
    const bool negative = nanos_ < 0;
    const auto magnitude =
        negative ? std::uint64_t{0} - static_cast<std::uint64_t>(nanos_) : static_cast<std::uint64_t>(nanos_);
    std::string fraction = std::to_string(magnitude % nanos_per_usdc);
    fraction.insert(0, max_decimals - fraction.size(), '0');
    while (fraction.size() > shown_decimals && fraction.back() == '0')
        fraction.pop_back();
    return (negative ? "-" : "") + std::to_string(magnitude / nanos_per_usdc) + '.' + fraction;
}

}  // namespace nomiqon
