#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace nomiqon::metering {

/// What a call used, or can use at most, in the units that a price book has rates for. Every token stands in
/// exactly one counter: `input` is what was read and has no cheaper or dearer rate of its own.
struct Usage {
    // Tokens read.
    std::int64_t input = 0;
    std::int64_t input_audio = 0;
    std::int64_t input_image = 0;
    std::int64_t input_video = 0;
    std::int64_t cache_read = 0;
    std::int64_t cache_read_audio = 0;
    std::int64_t cache_read_image = 0;
    std::int64_t cache_write = 0;      ///< kept for the provider's shortest time (Anthropic: five minutes)
    std::int64_t cache_write_1h = 0;   ///< kept for an hour
    std::int64_t cache_write_12h = 0;  ///< kept for half a day or longer (OpenAI: `24h`)

    // Tokens written.
    std::int64_t output = 0;
    std::int64_t output_reasoning = 0;
    std::int64_t output_audio = 0;
    std::int64_t output_image = 0;

    /// What is no token: calls of the provider's tools, pictures, seconds, credits, … by the names of
    /// src/metering/items.h.
    std::map<std::string, std::int64_t> items{};

    /// All tokens read: decides which of a model's long-context rates apply.
    [[nodiscard]] std::int64_t tokens_read() const {
        return input + input_audio + input_image + input_video + cache_read + cache_read_audio +
               cache_read_image + cache_write + cache_write_1h + cache_write_12h;
    }
    [[nodiscard]] std::int64_t tokens_written() const {
        return output + output_reasoning + output_audio + output_image;
    }
    friend bool operator==(const Usage&, const Usage&) = default;
};

/// Under what terms a provider serves a call, where that changes the rates.
struct Terms {
    std::string service_tier{};  ///< `default`, `flex`, `priority`, `batch`; empty: not said
    bool fast = false;           ///< Anthropic's `speed: "fast"`
    std::string
        region{};  ///< where a region has a multiplier (Anthropic's `inference_geo: "us"`); empty: none
    friend bool operator==(const Terms&, const Terms&) = default;
};

/// One pass of a model over a call. An answer has one, or one for each of its fallbacks and iterations.
struct Pass {
    std::string model{};  ///< as the answer names it; empty: the request's
    Terms terms{};
    Usage usage{};
};

}  // namespace nomiqon::metering
