#pragma once

#include <cstdint>
#include <expected>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "anthropic_tools.h"
#include "nomiqon/core/refusal.h"
#include "nomiqon/metering/meter.h"
#include "price.h"

namespace nomiqon::metering {

/// One of a request's runs of a model: the request itself, a fallback, a compaction.
struct PlannedRun {
    const ModelPrice* price = nullptr;
    Terms terms{};
    Usage read{};                          ///< with the items, without what is written
    std::int64_t rounds = 1;               ///< each may write as much as the limit
    std::int64_t least_output = 0;         ///< of a round, whatever the limit (a thinking budget)
    std::optional<std::int64_t> output{};  ///< of a round, where the request's own limit doesn't hold for it
};

/// What a Messages request may cost.
struct AnthropicPlan {
    std::string model{};
    std::vector<std::string> fallbacks{};  ///< models that may serve it instead
    Terms terms{};
    std::optional<std::int64_t> max_tokens{};  ///< as the request says
    std::int64_t output = 0;                   ///< that it leads to
    std::int64_t least_output = 1;             ///< below which the provider refuses the request
    AnthropicTools tools{};
    std::vector<PlannedRun> runs{};

    /// Its price with `limit` as its `max_tokens`. The error says what can't be priced.
    [[nodiscard]] std::expected<Usdc, std::string> bound(std::int64_t limit) const;
};

/// Refusals: `bad_request`, `price_unknown`.
[[nodiscard]] std::expected<AnthropicPlan, Refusal> plan_anthropic(const nlohmann::json& body,
                                                                   const MeterTerms& terms,
                                                                   const std::string& provider);

}  // namespace nomiqon::metering
