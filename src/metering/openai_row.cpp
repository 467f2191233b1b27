// The providers' references of their HTTP APIs, as they were in November 2026; the free ones are told by each
// of them to cost nothing, or are not on any price list.

#include "openai_row.h"

#include <algorithm>

#include "endpoint.h"

namespace nomiqon::metering {
namespace {

using enum OpenAiCall;

// What only reads, counts, stops or deletes. `GET` of a response, a batch, a video or a job is free: what
// made it was paid when it was asked for (rule 3). Not here, and so unpriced: batches, fine-tuning, videos,
// realtime, containers, vector stores, assistants, evals, `/v1/responses/compact`, picture edits and
// variations.
constexpr auto openai_endpoints = std::to_array<OpenAiEndpoint>({
    {"POST", "/v1/chat/completions", chat},
    {"GET", "/v1/chat/completions", free},
    {"GET", "/v1/chat/completions/{}", free},
    {"POST", "/v1/chat/completions/{}", free},
    {"DELETE", "/v1/chat/completions/{}", free},
    {"GET", "/v1/chat/completions/{}/messages", free},
    {"POST", "/v1/responses", responses},
    {"POST", "/v1/responses/input_tokens", free},
    {"GET", "/v1/responses/{}", free},
    {"DELETE", "/v1/responses/{}", free},
    {"POST", "/v1/responses/{}/cancel", free},
    {"GET", "/v1/responses/{}/input_items", free},
    {"POST", "/v1/conversations", free},
    {"GET", "/v1/conversations/{}", free},
    {"POST", "/v1/conversations/{}", free},
    {"DELETE", "/v1/conversations/{}", free},
    {"GET", "/v1/conversations/{}/items", free},
    {"POST", "/v1/conversations/{}/items", free},
    {"GET", "/v1/conversations/{}/items/{}", free},
    {"DELETE", "/v1/conversations/{}/items/{}", free},
    {"POST", "/v1/completions", completions},
    {"POST", "/v1/embeddings", embeddings},
    {"POST", "/v1/images/generations", images},
    {"POST", "/v1/audio/speech", speech},
    {"POST", "/v1/audio/transcriptions", transcription},
    {"POST", "/v1/audio/translations", transcription},
    {"POST", "/v1/moderations", free},
    {"GET", "/v1/models", free},
    {"GET", "/v1/models/{}", free},
    {"GET", "/v1/files", free},
    {"POST", "/v1/files", free},
    {"GET", "/v1/files/{}", free},
    {"GET", "/v1/files/{}/content", free},
    {"DELETE", "/v1/files/{}", free},
    {"POST", "/v1/uploads", free},
    {"POST", "/v1/uploads/{}/parts", free},
    {"POST", "/v1/uploads/{}/complete", free},
    {"POST", "/v1/uploads/{}/cancel", free},
    {"GET", "/v1/batches", free},
    {"GET", "/v1/batches/{}", free},
    {"POST", "/v1/batches/{}/cancel", free},
    {"GET", "/v1/fine_tuning/jobs", free},
    {"GET", "/v1/fine_tuning/jobs/{}", free},
    {"GET", "/v1/fine_tuning/jobs/{}/events", free},
    {"POST", "/v1/fine_tuning/jobs/{}/cancel", free},
    {"GET", "/v1/videos/{}", free},
    {"GET", "/v1/videos/{}/content", free},
    {"DELETE", "/v1/videos/{}", free},
});

constexpr auto azure_endpoints = std::to_array<OpenAiEndpoint>({
    {"POST", "/openai/deployments/{d}/chat/completions", chat},
    {"POST", "/openai/deployments/{d}/completions", completions},
    {"POST", "/openai/deployments/{d}/embeddings", embeddings},
    {"POST", "/openai/deployments/{d}/images/generations", images},
    {"POST", "/openai/deployments/{d}/audio/speech", speech},
    {"POST", "/openai/deployments/{d}/audio/transcriptions", transcription},
    {"POST", "/openai/deployments/{d}/audio/translations", transcription},
    {"POST", "/openai/responses", responses},
    {"GET", "/openai/responses/{}", free},
    {"DELETE", "/openai/responses/{}", free},
    {"POST", "/openai/responses/{}/cancel", free},
    {"GET", "/openai/responses/{}/input_items", free},
    {"GET", "/openai/models", free},
    {"GET", "/openai/models/{}", free},
    {"POST", "/openai/v1/chat/completions", chat},
    {"POST", "/openai/v1/completions", completions},
    {"POST", "/openai/v1/responses", responses},
    {"GET", "/openai/v1/responses/{}", free},
    {"DELETE", "/openai/v1/responses/{}", free},
    {"POST", "/openai/v1/responses/{}/cancel", free},
    {"GET", "/openai/v1/responses/{}/input_items", free},
    {"POST", "/openai/v1/embeddings", embeddings},
    {"POST", "/openai/v1/images/generations", images},
    {"POST", "/openai/v1/audio/speech", speech},
    {"POST", "/openai/v1/audio/transcriptions", transcription},
    {"POST", "/openai/v1/audio/translations", transcription},
    {"GET", "/openai/v1/models", free},
    {"GET", "/openai/v1/models/{}", free},
});

constexpr auto mistral_endpoints = std::to_array<OpenAiEndpoint>({
    {"POST", "/v1/chat/completions", chat},
    {"POST", "/v1/fim/completions", completions},
    {"POST", "/v1/embeddings", embeddings},
    {"GET", "/v1/models", free},
    {"GET", "/v1/models/{}", free},
    {"GET", "/v1/files", free},
    {"GET", "/v1/files/{}", free},
    {"DELETE", "/v1/files/{}", free},
});

constexpr auto groq_endpoints = std::to_array<OpenAiEndpoint>({
    {"POST", "/openai/v1/chat/completions", chat},
    {"POST", "/openai/v1/responses", responses},
    {"POST", "/openai/v1/embeddings", embeddings},
    {"POST", "/openai/v1/audio/speech", speech},
    {"POST", "/openai/v1/audio/transcriptions", transcription},
    {"POST", "/openai/v1/audio/translations", transcription},
    {"GET", "/openai/v1/models", free},
    {"GET", "/openai/v1/models/{}", free},
});

constexpr auto deepseek_endpoints = std::to_array<OpenAiEndpoint>({
    {"POST", "/chat/completions", chat},
    {"POST", "/v1/chat/completions", chat},
    {"POST", "/beta/chat/completions", chat},
    {"POST", "/beta/completions", completions},
    {"GET", "/models", free},
    {"GET", "/v1/models", free},
    {"GET", "/user/balance", free},
});

constexpr auto together_endpoints = std::to_array<OpenAiEndpoint>({
    {"POST", "/v1/chat/completions", chat},
    {"POST", "/v1/completions", completions},
    {"POST", "/v1/embeddings", embeddings},
    {"GET", "/v1/models", free},
});

constexpr auto openrouter_endpoints = std::to_array<OpenAiEndpoint>({
    {"POST", "/api/v1/chat/completions", chat},
    {"GET", "/api/v1/models", free},
    {"GET", "/api/v1/models/{}/{}/endpoints", free},
    {"GET", "/api/v1/generation", free},
    {"GET", "/api/v1/credits", free},
    {"GET", "/api/v1/key", free},
});

constexpr auto both_limits = std::to_array<std::string_view>({"max_completion_tokens", "max_tokens"});

// Fast mode goes by two names, and comes back as `priority`.
constexpr auto openai_tiers = std::to_array<OpenAiTier>({{"fast", "priority"}});
// Flex costs what on-demand does, and is served only where there is room.
constexpr auto groq_tiers = std::to_array<OpenAiTier>({{"flex", "default"}});

// Templates of open models add a system prompt and instructions for tools of their own.
constexpr std::int64_t template_tokens = 1024;

constexpr auto rows = std::to_array<OpenAiRow>({
    {.name = "openai",
     .provider = "openai",
     .completions_provider = "text-completion-openai",
     .endpoints = openai_endpoints,
     .chat_limits = both_limits,
     .chat_limit = "max_completion_tokens",
     .writes_cache = true,
     .tiers = openai_tiers,
     .asks_usage = true,
     .regional_hosts = true},
    {.name = "azure",
     .provider = "azure",
     .completions_provider = "azure_text",
     .endpoints = azure_endpoints,
     .chat_limits = both_limits,
     .chat_limit = "max_completion_tokens",
     .writes_cache = true,
     .tiers = openai_tiers,
     .asks_usage = true,
     .deployments = true},
    // Pictures: at most 1540 × 1540 in patches of 14, merged by two, and one token a row; Pixtral 12B 1024 ×
    // 1024 in patches of 16.
    {.name = "mistral",
     .provider = "mistral",
     .endpoints = mistral_endpoints,
     .chat_limits = both_limits,
     .chat_limit = "max_tokens",
     .base_tokens = template_tokens,
     .tool_base_tokens = template_tokens,
     .image_tokens = 4224},
    {.name = "groq",
     .provider = "groq",
     .endpoints = groq_endpoints,
     .chat_limits = both_limits,
     .chat_limit = "max_completion_tokens",
     .base_tokens = template_tokens,
     .tool_base_tokens = template_tokens,
     .tiers = groq_tiers,
     .least_audio_ms = 10'000},
    {.name = "deepseek",
     .provider = "deepseek",
     .endpoints = deepseek_endpoints,
     .chat_limits = both_limits,
     .chat_limit = "max_tokens",
     .writes_cache = true,
     .base_tokens = template_tokens,
     .tool_base_tokens = template_tokens,
     .asks_usage = true},
    {.name = "together",
     .provider = "together_ai",
     .endpoints = together_endpoints,
     .chat_limits = both_limits,
     .chat_limit = "max_tokens",
     .base_tokens = template_tokens,
     .tool_base_tokens = template_tokens,
     .asks_usage = true},
    // Every answer of OpenRouter's has its usage and cost, asked for or not.
    {.name = "openrouter",
     .provider = "openrouter",
     .endpoints = openrouter_endpoints,
     .chat_limits = both_limits,
     .chat_limit = "max_tokens",
     .writes_cache = true,
     .base_tokens = template_tokens,
     .tool_base_tokens = template_tokens,
     .tiers = openai_tiers,
     .states_cost = true,
     .routes = true},
});

std::string_view take_segment(std::string_view& path) {
    const auto end = std::min(path.find('/', 1), path.size());
    const std::string_view segment = path.substr(0, end);
    path.remove_prefix(end);
    return segment;
}

/// Whether `path` is what the row writes as `pattern`; `deployment` receives the name at `{d}`.
bool matches(std::string_view pattern, std::string_view path, std::optional<std::string>& deployment) {
    deployment.reset();
    while (!pattern.empty() && !path.empty()) {
        const std::string_view wanted = take_segment(pattern);
        const std::string_view found = take_segment(path);
        if (wanted == "/{}" || wanted == "/{d}") {
            if (!found.starts_with('/') || !is_plain_segment(found.substr(1))) return false;
            if (wanted == "/{d}") deployment = found.substr(1);
        } else if (wanted != found) {
            return false;
        }
    }
    return pattern.empty() && path.empty();
}

}  // namespace

std::span<const OpenAiRow> openai_rows() {
    return rows;
}

std::optional<OpenAiTarget> find_target(const OpenAiRow& row, std::string_view method,
                                        std::string_view path) {
    if (method == "HEAD") method = "GET";  // costs as GET (rule 1)
    OpenAiTarget target;
    // A fixed path goes before one with a name in it: /v1/responses/input_tokens is no response's id.
    for (const OpenAiEndpoint& endpoint : row.endpoints) {
        if (endpoint.method != method || !matches(endpoint.path, path, target.deployment)) continue;
        target.call = endpoint.call;
        return target;
    }
    return std::nullopt;
}

}  // namespace nomiqon::metering
