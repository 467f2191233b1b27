#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace nomiqon::metering {

/// What a request gives the model to read (rule 9).
struct OpenAiReading {
    std::int64_t text = 0;          ///< tokens at most, by bytes
    std::int64_t images = 0;        ///< pictures that the provider makes smaller: `detail` is `low` or `high`
    std::int64_t large_images = 0;  ///< that it may read as they are
    bool audio = false;             ///< some of it may be audio
    bool opaque = false;  ///< something whose size the request doesn't tell: counts as the model's maximum
};

// Why bytes bound tokens: see text_tokens.h; and the few tokens that frame each message, tool or part are
// fewer than the bytes that JSON frames them with.

/// Of a JSON value that the provider writes out again, or puts into a template: some do it as JSON.
[[nodiscard]] std::int64_t rendered_tokens(const nlohmann::json& value);

/// The messages of chat completions.
void read_messages(const nlohmann::json& messages, OpenAiReading& reading);
/// `input` of the Responses API: a text, or items.
void read_items(const nlohmann::json& input, OpenAiReading& reading);
/// `input` of embeddings, or `prompt`: a text, texts, tokens, or lists of tokens. Each is read alone, so that
/// none counts more than `most` tokens. How many there are goes to `texts`. False: none of these.
[[nodiscard]] bool read_prompts(const nlohmann::json& input, std::int64_t most, std::int64_t& tokens,
                                std::int64_t& texts);

}  // namespace nomiqon::metering
