// The Responses API: OpenAI's reference, November 2026.

#include <algorithm>
#include <array>

#include "openai_plan.h"
#include "openai_text.h"
#include "openai_tools.h"
#include "request_reader.h"

namespace nomiqon::metering {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t least_output = 16;  // that `max_output_tokens` may be

std::unexpected<Refusal> unknown(const char* why) {
    return std::unexpected(price_unknown(why));
}

/// What makes a response cost more than its own members tell.
std::expected<void, Refusal> check_modes(const Json& document) {
    const Json& reasoning = request_member(document, "reasoning");
    constexpr auto reasoning_names = std::to_array<std::string_view>({"mode"});
    if (auto spelled = check_spelling(reasoning, reasoning_names); !spelled) return spelled;
    const Json& mode = request_member(reasoning, "mode");
    if (!mode.is_null() && mode != "standard")
        return unknown("a reasoning mode that is read and paid several times");
    const Json& program = request_member(request_member(document, "access_programs"), "cyber");
    if (!program.is_null() && program != "standard")
        return unknown("an access program with models of its own");
    // A stored prompt may bring tools that nobody bounded. Those of the request go before them.
    if (!request_member(document, "prompt").is_null() && !request_member(document, "tools").is_array()) {
        return unknown("a stored prompt without `tools` in the request");
    }
    return {};
}

/// Compaction reads the context once more and writes a shorter one (rule 12).
void add_compaction(const OpenAiRequest& request, std::int64_t input, OpenAiPlan& plan) {
    const Json& management = request_member(request.document, "context_management");
    if (management.is_null() || (management.is_array() && management.empty())) return;
    plan.bound.input += std::max(input, request.price.max_input_tokens().value_or(input));
    plan.more_output += request.price.max_output_tokens().value_or(plan.output);
}

/// What the provider has kept and reads again: the request doesn't tell how much that is.
bool reads_kept(const Json& document) {
    constexpr auto kept = std::to_array<std::string_view>({"previous_response_id", "conversation", "prompt"});
    return std::ranges::any_of(
        kept, [&](std::string_view name) { return !request_member(document, name).is_null(); });
}

std::expected<void, Refusal> plan_tools(const OpenAiRequest& request, OpenAiPlan& plan) {
    OpenAiTools tools;
    const bool from_book = request.row.provider == "openai" || request.row.deployments;
    if (auto read = read_tools(request_member(request.document, "tools"), request.terms, request.price,
                               from_book, tools);
        !read) {
        return read;
    }
    const auto asked = read_limit(request.document, "max_tool_calls");
    if (!asked) return std::unexpected(asked.error());
    if (tools.max_calls == 0) return {};
    if (*asked && **asked <= tools.max_calls) {
        tools.max_calls = std::max<std::int64_t>(1, **asked);
    } else {
        plan.writes["max_tool_calls"] = std::to_string(tools.max_calls);
    }
    plan.answer.route_fees = tools.route_fees;
    plan.outputs = tools.max_calls + 1;
    tools.bound_calls(plan.bound, request.price.max_input_tokens().value_or(most_tokens));
    return {};
}

}  // namespace

std::expected<OpenAiPlan, Refusal> plan_responses(const OpenAiRequest& request) {
    const Json& document = request.document;
    OpenAiPlan plan{.make_reader = make_responses_reader};
    if (auto modes = check_modes(document); !modes) return std::unexpected(modes.error());
    const auto deferred = request_flag(document, "background");
    if (!deferred) return std::unexpected(deferred.error());
    if (*deferred && !request.terms.allow_deferred)
        return unknown("what runs in the background spends later");
    plan.deferred = *deferred;
    if (auto streams = request_flag(document, "stream"); !streams) return std::unexpected(streams.error());

    OpenAiReading reading{.opaque = reads_kept(document)};
    read_items(request_member(document, "input"), reading);
    const std::int64_t text = reading.text + other_text(document, {"input", "metadata"}) +
                              request.row.base_tokens +
                              (document.contains("tools") ? request.row.tool_base_tokens : 0);
    const auto input = input_tokens(request, reading, text);
    if (!input) return std::unexpected(input.error());
    plan.bound.input = *input;
    plan.bound.audio_in = reading.audio;
    plan.bound.image_in = reading.opaque || reading.images + reading.large_images > 0;
    set_caching(request, plan);

    constexpr auto limits = std::to_array<std::string_view>({"max_output_tokens"});
    if (auto read = read_output_limit(request, limits, limits.front(), plan); !read)
        return std::unexpected(read.error());
    if (plan.limit) plan.limit->least = least_output;
    if (auto tools = plan_tools(request, plan); !tools) return std::unexpected(tools.error());
    add_compaction(request, *input, plan);
    return plan;
}

}  // namespace nomiqon::metering
