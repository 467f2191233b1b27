#pragma once

#include <nlohmann/json.hpp>

#include "exchange.h"
#include "price_world.h"

/// A price book of round figures and calls of OpenAI's kind, for the tests of its meters.
namespace nomiqon::metering::testing {

/// Rates a token: input 1e-6, output 1e-5; other tiers, long contexts and kinds stand out by a factor.
inline std::shared_ptr<const PriceBook> openai_book() {
    static const auto book = book_of(R"({
      "plain": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 10000, "max_output_tokens": 1000,
        "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-5, "cache_read_input_token_cost": 1e-7,
        "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_medium": 0.01,
          "search_context_size_high": 0.01}},
      "gpt-4o": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 128000, "max_output_tokens": 16384,
        "input_cost_per_token": 2.5e-6, "output_cost_per_token": 1e-5, "cache_read_input_token_cost": 1.25e-6},
      "tiered": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 1000000, "max_output_tokens": 1000,
        "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-5, "input_cost_per_token_flex": 5e-7,
        "output_cost_per_token_flex": 5e-6, "input_cost_per_token_priority": 2e-6, "output_cost_per_token_priority": 2e-5,
        "input_cost_per_token_above_272k_tokens": 2e-6, "output_cost_per_token_above_272k_tokens": 2e-5},
      "caching": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 100000, "max_output_tokens": 1000,
        "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-5, "cache_read_input_token_cost": 1e-7,
        "cache_creation_input_token_cost": 2e-6, "cache_creation_input_token_cost_above_12hr": 4e-6},
      "audio": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 10000, "max_output_tokens": 1000,
        "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-5, "input_cost_per_audio_token": 1e-5,
        "output_cost_per_audio_token": 1e-4},
      "gpt-4o-search-preview": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 128000,
        "max_output_tokens": 1000, "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-5,
        "search_context_cost_per_query": {"search_context_size_low": 0.025, "search_context_size_medium": 0.025,
          "search_context_size_high": 0.025}},
      "embed": {"litellm_provider": "openai", "mode": "embedding", "max_input_tokens": 100, "input_cost_per_token": 1e-6},
      "gpt-image-1": {"litellm_provider": "openai", "mode": "image_generation", "input_cost_per_token": 5e-6,
        "input_cost_per_image_token": 1e-5, "output_cost_per_image_token": 4e-5},
      "hd/1024-x-1792/by-size": {"litellm_provider": "openai", "mode": "image_generation",
        "output_cost_per_image": 0.12},
      "legacy": {"litellm_provider": "text-completion-openai", "mode": "completion", "max_input_tokens": 100,
        "max_output_tokens": 50, "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6},
      "seconds": {"litellm_provider": "openai", "mode": "audio_transcription", "input_cost_per_second": 1e-4},
      "letters": {"litellm_provider": "openai", "mode": "audio_speech", "input_cost_per_character": 1e-5},
      "groq/fast": {"litellm_provider": "groq", "mode": "chat", "max_input_tokens": 10000, "max_output_tokens": 1000,
        "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-5},
      "groq/whisper": {"litellm_provider": "groq", "mode": "audio_transcription", "input_cost_per_second": 1e-4},
      "deepseek/chat": {"litellm_provider": "deepseek", "mode": "chat", "max_input_tokens": 10000,
        "max_output_tokens": 1000, "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-5,
        "cache_read_input_token_cost": 1e-7},
      "mistral/small": {"litellm_provider": "mistral", "mode": "chat", "max_input_tokens": 10000,
        "max_output_tokens": 1000, "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-5},
      "azure/gpt-4o": {"litellm_provider": "azure", "mode": "chat", "max_input_tokens": 128000,
        "max_output_tokens": 1000, "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-5},
      "openrouter/a/cheap": {"litellm_provider": "openrouter", "mode": "chat", "max_input_tokens": 10000,
        "max_output_tokens": 1000, "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-5},
      "openrouter/b/dear": {"litellm_provider": "openrouter", "mode": "chat", "max_input_tokens": 10000,
        "max_output_tokens": 1000, "input_cost_per_token": 5e-6, "output_cost_per_token": 5e-5}
    })");
    return book;
}

inline MeterTerms openai_terms() {
    return {.book = openai_book()};
}

using Json = nlohmann::json;

/// A chat request of `model`, with `more` members.
inline Json chat_request(std::string_view model, const Json& more = Json::object()) {
    Json request{{"model", model}, {"messages", {{{"role", "user"}, {"content", "hi"}}}}};
    request.update(more);
    return request;
}
inline Json response_request(std::string_view model, const Json& more = Json::object()) {
    Json request{{"model", model}, {"input", "hi"}};
    request.update(more);
    return request;
}

inline std::expected<Quote, Refusal> post(std::string_view meter, std::string_view path, const Json& body,
                                          const MeterTerms& terms = openai_terms()) {
    return ask(*find_meter(meter), terms, "POST", path, body.dump());
}
inline std::expected<Quote, Refusal> chat(const Json& body, const MeterTerms& terms = openai_terms()) {
    return post("openai", "/v1/chat/completions", body, terms);
}
inline std::expected<Quote, Refusal> respond(const Json& body, const MeterTerms& terms = openai_terms()) {
    return post("openai", "/v1/responses", body, terms);
}

/// In 1e-9 USDC; -1: refused.
inline std::int64_t bound_of(const std::expected<Quote, Refusal>& quote) {
    return quote ? quote->bound.nanos() : -1;
}

}  // namespace nomiqon::metering::testing
