#include "clamp.h"

namespace nomiqon::metering {

std::optional<std::int64_t> clamp_output(
    std::int64_t least, std::int64_t asked, Usdc affordable,
    const std::function<std::expected<Usdc, std::string>(std::int64_t)>& bound) {
    const auto fits = [&](std::int64_t limit) {
        const auto cost = bound(limit);
        return cost && *cost <= affordable;
    };
    if (least > asked || !fits(least)) return std::nullopt;
    std::int64_t fitting = least;
    while (fitting < asked) {
        const std::int64_t middle = fitting + (asked - fitting + 1) / 2;
        if (fits(middle)) {
            fitting = middle;
        } else {
            asked = middle - 1;
        }
    }
    return fitting;
}

}  // namespace nomiqon::metering
