// ULIDs (github.com/ulid/spec) in lower case: 10 characters of time, 16 of randomness, Crockford's base 32.

#include "nomiqon/core/ids.h"

#include <sodium.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

#include "nomiqon/core/sodium.h"

namespace nomiqon {
namespace {

constexpr std::string_view digits = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t time_length = 10;
constexpr std::size_t random_length = 16;
constexpr std::size_t ulid_length = time_length + random_length;

std::uint64_t milliseconds_of(std::chrono::system_clock::time_point time) {
    using std::chrono::milliseconds;
    return static_cast<std::uint64_t>(std::chrono::floor<milliseconds>(time).time_since_epoch().count());
}

std::string ulid_of(std::uint64_t time) {
    std::string ulid(ulid_length, digits[0]);
    for (std::size_t i = time_length; i-- > 0; time >>= 5)
        ulid[i] = digits[time & 31];
    return ulid;
}

// Now, or the latest that was asked for before: a clock that is set back sets no id back.
std::uint64_t latest_millisecond() {
    static std::atomic<std::uint64_t> latest{0};
    const std::uint64_t now = milliseconds_of(std::chrono::system_clock::now());
    std::uint64_t before = latest.load(std::memory_order_relaxed);
    while (before < now && !latest.compare_exchange_weak(before, now, std::memory_order_relaxed)) {
    }
    return std::max(before, now);
}

}  // namespace

std::string first_ulid(std::chrono::system_clock::time_point time) {
    return ulid_of(milliseconds_of(time));
}

std::string new_ulid() {
    ensure_sodium();
    std::string ulid = ulid_of(latest_millisecond());

    // Five bytes are eight characters.
    std::array<std::uint8_t, 10> random{};
    randombytes_buf(random.data(), random.size());
    for (std::size_t half = 0; half < 2; ++half) {
        std::uint64_t bits = 0;
        for (std::size_t i = 0; i < 5; ++i)
            bits = (bits << 8) | random[half * 5 + i];
        for (std::size_t i = 8; i-- > 0; bits >>= 5)
            ulid[time_length + half * 8 + i] = digits[bits & 31];
    }
    return ulid;
}

bool is_ulid(std::string_view text) noexcept {
    // 26 characters hold 130 bits: the first may be no more than 7.
    return text.size() == ulid_length && text[0] >= '0' && text[0] <= '7' &&
           std::ranges::all_of(text, [](char c) { return digits.contains(c); });
}

}  // namespace nomiqon
