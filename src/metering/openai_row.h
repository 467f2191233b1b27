#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace nomiqon::metering {

/// What a path of an OpenAI-compatible API does.
enum class OpenAiCall : std::uint8_t {
    free,
    chat,
    completions,  ///< the legacy ones, and Mistral's fill-in-the-middle: `prompt` and `suffix`
    responses,
    embeddings,
    images,
    speech,
    transcription,
};

/// One call that a provider is known to take (rule 1). A segment `{}` of the path stands for one name; `{d}`
/// for an Azure deployment, from which the provider takes the model (rule 8).
struct OpenAiEndpoint {
    std::string_view method;
    std::string_view path;
    OpenAiCall call;
};

/// A service tier as the provider calls it, where the price book calls it otherwise.
struct OpenAiTier {
    std::string_view theirs;
    std::string_view book;
};

/// One provider that speaks OpenAI's API, and where it differs. `n` and `best_of` count for each of them: a
/// provider that doesn't know them refuses them, which costs nothing.
struct OpenAiRow {
    std::string_view name;      ///< of the meter
    std::string_view provider;  ///< of the price book
    /// Where the book keeps models of the legacy completions; empty: under `provider`.
    std::string_view completions_provider{};
    std::span<const OpenAiEndpoint> endpoints;

    // Rule 10.
    std::span<const std::string_view> chat_limits;  ///< names of the output limit in chat completions
    std::string_view chat_limit;                    ///< the one to write where the request has none
    bool reasoning_inside = true;  ///< the limit holds for reasoning too; else the model's maximum does

    // Rules 9 and 11.
    bool writes_cache = false;            ///< keeps prompts by itself, and may charge for it
    std::int64_t base_tokens = 256;       ///< more than any hidden text of its own
    std::int64_t tool_base_tokens = 512;  ///< that a request with tools adds, beside their text
    std::int64_t image_tokens = 0;        ///< at most, of one picture, whatever the model; 0: as OpenAI, or W
    std::span<const OpenAiTier> tiers{};

    // The answer.
    bool asks_usage = false;   ///< streams report no usage unless `stream_options.include_usage` asks for it
    bool states_cost = false;  ///< `usage.cost` is what is paid (rule 15)
    bool regional_hosts =
        false;  ///< `eu.` and `us.` before the host's name are regions with a price of their own

    bool routes = false;       ///< one model may stand for another: `models`, presets, plugins (rule 8)
    bool deployments = false;  ///< models go by names that the operator gave (rule 8)
    std::int64_t least_audio_ms = 0;  ///< billed for any transcription (rule 13)
};

[[nodiscard]] std::span<const OpenAiRow> openai_rows();

/// Where a call leads.
struct OpenAiTarget {
    OpenAiCall call{};
    std::optional<std::string> deployment{};
};
/// Nothing: the row doesn't know that method and path.
[[nodiscard]] std::optional<OpenAiTarget> find_target(const OpenAiRow& row, std::string_view method,
                                                      std::string_view path);

}  // namespace nomiqon::metering
