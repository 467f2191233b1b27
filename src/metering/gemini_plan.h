#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "gemini_request.h"
#include "nomiqon/core/refusal.h"
#include "nomiqon/metering/meter.h"
#include "price.h"

namespace nomiqon::metering {

/// What a request to the Gemini API may cost.
struct GeminiPlan {
    const ModelPrice* price = nullptr;
    Terms terms{};
    GeminiInput input{};
    std::int64_t window = 0;  ///< W

    std::optional<std::int64_t> limit{};  ///< `maxOutputTokens`
    bool embeds = false;                  ///< nothing is written
    std::int64_t output = 0;              ///< that it leads to
    std::int64_t least_output = 0;        ///< whatever the limit: an explicit thinking budget, a picture
    std::int64_t candidates = 1;
    bool pictures_out = false;  ///< may be written
    bool audio_out = false;

    std::int64_t rounds = 1;  ///< rule 12
    std::int64_t tokens_per_call = 0;
    Usdc fees{};  ///< of all calls of tools
    std::map<std::string, Usdc> route_fees{};

    /// Its price with `output_limit` as its `maxOutputTokens`. The error says what can't be priced.
    [[nodiscard]] std::expected<Usdc, std::string> bound(std::int64_t output_limit) const;
};

/// `model` is the path's. Refusals: `bad_request`, `price_unknown`.
[[nodiscard]] std::expected<GeminiPlan, Refusal> plan_gemini_content(const nlohmann::json& request,
                                                                     const std::string& model,
                                                                     const MeterTerms& terms,
                                                                     const std::string& provider);
/// One embedding; `request` is that of `embedContent`.
[[nodiscard]] std::expected<GeminiPlan, Refusal> plan_gemini_embedding(const nlohmann::json& request,
                                                                       const std::string& model,
                                                                       const MeterTerms& terms,
                                                                       const std::string& provider);

}  // namespace nomiqon::metering
