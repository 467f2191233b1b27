#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <vector>

#include "basis.h"
#include "price.h"

namespace nomiqon::metering {

/// What a call can use at most, where the request leaves open as what it is counted (rule 10): each kind of
/// token that may come is tried, and the dearest counts.
struct OpenAiBound {
    std::int64_t input = 0;
    bool text_in = true;
    bool audio_in = false;
    bool image_in = false;
    bool cached = true;  ///< a part may be read from the provider's cache
    bool writes_cache = false;
    bool keeps_cache = false;  ///< for half a day: dearer than the usual

    std::int64_t output = 0;
    bool text_out = true;
    bool reasoning_out = true;
    bool audio_out = false;
    bool image_out = false;

    std::map<std::string, std::int64_t> items{};  ///< at the book's fees
    std::vector<RouteFee> fees{};                 ///< at the route's
};

/// The price of the dearest call within `bound` under any terms that `asked` leaves open (rule 11), and what
/// it would be counted as. The error says what has no price.
struct BoundPrice {
    Usdc cost{};
    Terms terms{};
    Usage usage{};
};
[[nodiscard]] std::expected<BoundPrice, std::string> dearest_of(const ModelPrice& model,
                                                                const OpenAiBound& bound, const Terms& asked);

}  // namespace nomiqon::metering
