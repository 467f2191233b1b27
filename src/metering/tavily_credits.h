#pragma once

#include <cstdint>
#include <expected>
#include <nlohmann/json_fwd.hpp>

#include "nomiqon/core/refusal.h"

namespace nomiqon::metering {

enum class TavilyCall : std::uint8_t { free, search, extract, map, crawl, research };

/// The credits that a request costs at most (rule 14). Refusals: `bad_request`, and `price_unknown` for a
/// depth or model that has no known price.
[[nodiscard]] std::expected<std::int64_t, Refusal> most_credits(TavilyCall call,
                                                                const nlohmann::json& request);

}  // namespace nomiqon::metering
