#pragma once

#include <string>
#include <string_view>

#include "anthropic_meter.h"
#include "exchange.h"
#include "price_world.h"

/// A price book of round figures, and Messages requests against it.
namespace nomiqon::metering::testing {

inline std::shared_ptr<const PriceBook> claude_book() {
    static const auto book = book_of(R"({
      "claude-x": {"litellm_provider": "anthropic", "mode": "chat",
        "max_input_tokens": 200000, "max_output_tokens": 64000,
        "input_cost_per_token": 3e-06, "output_cost_per_token": 15e-06,
        "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
        "cache_read_input_token_cost": 3e-07,
        "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_medium": 0.01,
          "search_context_size_high": 0.01}},
      "claude-small": {"litellm_provider": "anthropic", "mode": "chat",
        "max_input_tokens": 1000, "max_output_tokens": 100,
        "input_cost_per_token": 1e-06, "output_cost_per_token": 5e-06},
      "claude-long": {"litellm_provider": "anthropic", "mode": "chat",
        "max_input_tokens": 1000000, "max_output_tokens": 64000,
        "input_cost_per_token": 3e-06, "input_cost_per_token_above_200k_tokens": 6e-06,
        "output_cost_per_token": 15e-06, "output_cost_per_token_above_200k_tokens": 22.5e-06,
        "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_medium": 0.01,
          "search_context_size_high": 0.01}},
      "claude-us": {"litellm_provider": "anthropic", "mode": "chat",
        "max_input_tokens": 1000, "max_output_tokens": 100,
        "input_cost_per_token": 1e-06, "output_cost_per_token": 5e-06,
        "provider_specific_entry": {"us": 1.1, "fast": 6.0}}
    })");
    return book;
}

inline MeterTerms claude_terms() {
    return {.book = claude_book()};
}

inline std::expected<Quote, Refusal> message(std::string_view body,
                                             const MeterTerms& terms = claude_terms()) {
    return ask(anthropic_meter(), terms, "POST", "/v1/messages", body);
}

/// The bound, or the refusal.
inline std::string bound(std::string_view body, const MeterTerms& terms = claude_terms()) {
    const auto quote = message(body, terms);
    return quote ? quote->bound.to_string() : refusal(quote);
}

inline std::string event(std::string_view name, std::string_view data) {
    std::string line{data};
    std::erase(line, '\n');
    return "event: " + std::string{name} + "\ndata: " + line + "\n\n";
}

inline const std::string start = event(
    "message_start", R"({"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",)"
                     R"("model":"claude-x","content":[],"stop_reason":null,"usage":{"input_tokens":100,)"
                     R"("cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}})");
inline const std::string some_text =
    event("content_block_start",
          R"({"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}})") +
    event("ping", R"({"type":"ping"})") +
    event("content_block_delta",
          R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}})") +
    event("content_block_stop", R"({"type":"content_block_stop","index":0})");
inline const std::string stop =
    event("message_delta",
          R"({"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},)"
          R"("usage":{"input_tokens":null,"output_tokens":20}})") +
    event("message_stop", R"({"type":"message_stop"})");

inline constexpr std::string_view simple_request =
    R"({"model":"claude-x","max_tokens":1000,"messages":[{"role":"user","content":"Hello"}]})";

}  // namespace nomiqon::metering::testing
