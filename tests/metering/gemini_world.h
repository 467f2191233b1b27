#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "exchange.h"
#include "gemini_meter.h"
#include "price_world.h"

/// A price book of round figures, and requests to the Gemini API against it.
namespace nomiqon::metering::testing {

inline std::shared_ptr<const PriceBook> gemini_book() {
    static const auto book = book_of(R"({
      "gemini/gemini-3-x": {"litellm_provider": "gemini", "mode": "chat", "supports_vision": true,
        "max_input_tokens": 100000, "max_output_tokens": 8000,
        "input_cost_per_token": 1e-06, "input_cost_per_audio_token": 3e-06, "output_cost_per_token": 4e-06,
        "output_cost_per_reasoning_token": 4e-06,
        "cache_read_input_token_cost": 1e-07, "cache_read_input_audio_token_cost": 3e-07},
      "gemini/gemini-2.5-x": {"litellm_provider": "gemini", "mode": "chat",
        "max_input_tokens": 100000, "max_output_tokens": 8000,
        "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06,
        "input_cost_per_token_priority": 2e-06, "output_cost_per_token_priority": 8e-06,
        "input_cost_per_token_flex": 5e-07, "output_cost_per_token_flex": 2e-06},
      "gemini/gemini-3-image": {"litellm_provider": "gemini", "mode": "image_generation",
        "max_input_tokens": 100000, "max_output_tokens": 8000,
        "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06, "output_cost_per_image_token": 1e-04},
      "gemini/embed-x": {"litellm_provider": "gemini", "mode": "embedding", "max_input_tokens": 2000,
        "input_cost_per_token": 1e-07}
    })");
    return book;
}

inline MeterTerms gemini_terms() {
    return {.book = gemini_book()};
}

inline std::expected<Quote, Refusal> generate(
    std::string_view body, const MeterTerms& terms = gemini_terms(),
    std::string_view path = "/v1beta/models/gemini-3-x:generateContent", std::string_view query = {}) {
    return ask(gemini_meter(), terms, "POST", path, body, query);
}

inline constexpr std::string_view hello =
    R"({"contents":[{"role":"user","parts":[{"text":"Hello"}]}],"generationConfig":{"maxOutputTokens":1000}})";

}  // namespace nomiqon::metering::testing
