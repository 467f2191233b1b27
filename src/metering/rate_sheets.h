#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model_price.h"

/// Fills in the rates that an entry doesn't state, always so that nothing gets cheaper than the provider can
/// mean (docs/prices.md, "What a missing rate means"):
///
/// - Above a long-context threshold, and in a dearer service tier, a rate without one of its own rises as the
/// rate
///   for plain input or output does. A cheaper tier (`flex`, `batch`) takes nothing off where it doesn't say
///   so.
/// - Reading a cache costs at most what reading without one does; thinking is output. Pictures, sound and
/// film cost
///   what text costs where the entry says that the model takes them and names no rate. A cache write, and
///   what is written in sound or pictures, has a rate of its own or none.
/// - A long-context rate is never below the short one: a bound for many tokens must hold for few.
namespace nomiqon::metering {

struct OwnRate {
    Counter counter = Counter::input;
    std::string tier;
    std::int64_t above = 0;
    Rate rate{};
};

struct RateRules {
    bool takes_images = false, takes_audio = false, takes_video = false;
    bool free = false;  ///< what is missing costs nothing
};

struct RateSheets {
    std::vector<std::string> tiers;              ///< `default` first, the others by name
    std::vector<std::vector<RateSheet>> sheets;  ///< one list a tier, by `above` ascending; the first is 0
};

[[nodiscard]] RateSheets make_rate_sheets(const std::vector<OwnRate>& own, const RateRules& rules);

}  // namespace nomiqon::metering
