// Chat completions and legacy completions: the references of OpenAI and of the providers that follow it.

#include <algorithm>
#include <array>

#include "items.h"
#include "openai_models.h"
#include "openai_plan.h"
#include "openai_text.h"
#include "openai_tools.h"
#include "request_reader.h"

namespace nomiqon::metering {
namespace {

using Json = nlohmann::json;

/// OpenRouter: what else may stand for the model, or run beside it.
std::expected<void, Refusal> check_routing(const Json& document, std::string_view model) {
    const auto refused = [](std::string_view what) {
        return std::unexpected(
            price_unknown(std::string{what} + " can cost what the model's price doesn't tell"));
    };
    if (model.ends_with(":online")) return refused("a search beside the model");
    const Json& plugins = request_member(document, "plugins");
    if (!plugins.is_null() && !(plugins.is_array() && plugins.empty())) return refused("a plugin");
    if (!request_member(document, "preset").is_null()) return refused("a preset");
    return {};
}

/// Where a stream would end without its usage, the gateway asks for it, and hides what the client didn't ask
/// for.
std::expected<void, Refusal> ask_for_usage(const OpenAiRequest& request, OpenAiPlan& plan) {
    const auto streams = request_flag(request.document, "stream");
    if (!streams) return std::unexpected(streams.error());
    if (request.row.states_cost && request_member(request.document, "usage").is_null()) {
        plan.writes["usage"] = R"({"include":true})";
    }
    if (!*streams || !request.row.asks_usage) return {};
    const Json& options = request_member(request.document, "stream_options");
    if (!options.is_null() && !options.is_object())
        return std::unexpected(bad_request("stream_options is no object"));
    constexpr auto names = std::to_array<std::string_view>({"include_usage"});
    if (auto spelled = check_spelling(options, names); !spelled) return spelled;
    const auto asked = request_flag(options, "include_usage");
    if (!asked) return std::unexpected(asked.error());
    if (*asked) return {};
    Json all = options.is_object() ? options : Json::object();
    all["include_usage"] = true;
    plan.writes["stream_options"] = all.dump();
    plan.answer.hides_usage = true;
    return {};
}

std::expected<void, Refusal> read_modalities(const Json& document, OpenAiPlan& plan) {
    const Json& modalities = request_member(document, "modalities");
    if (!modalities.is_null() && !modalities.is_array())
        return std::unexpected(bad_request("modalities is no array"));
    plan.bound.audio_out = !request_member(document, "audio").is_null();
    for (const Json& modality : modalities) {
        plan.bound.audio_out = plan.bound.audio_out || modality == "audio";
        plan.bound.image_out = plan.bound.image_out || modality == "image";
    }
    return {};
}

/// A search model searches once for each answer, by itself.
std::expected<void, Refusal> plan_search(const OpenAiRequest& request, OpenAiTools& tools, OpenAiPlan& plan) {
    const bool always = searches_always(request.model);
    if (!always && request_member(request.document, "web_search_options").is_null()) return {};
    OpenAiTools search;
    if (auto added = search.add(item_web_search, request.terms, request.price, always); !added) return added;
    plan.answer.items[std::string{item_web_search}] = 1;
    if (always && search.route_fees.empty()) search.max_calls = 1;
    tools.max_calls = std::max(tools.max_calls, search.max_calls);
    tools.tokens_per_call = std::max(tools.tokens_per_call, search.tokens_per_call);
    tools.route_fees.merge(search.route_fees);
    tools.book_fees.merge(search.book_fees);
    return {};
}

}  // namespace

std::expected<OpenAiPlan, Refusal> plan_chat(const OpenAiRequest& request) {
    const Json& document = request.document;
    OpenAiPlan plan{.make_reader = make_completions_reader};
    if (request.row.routes) {
        if (auto routing = check_routing(document, request.model); !routing)
            return std::unexpected(routing.error());
    }
    if (!request_member(document, "data_sources").is_null()) {
        return std::unexpected(price_unknown("the provider searches data of its own for the answer"));
    }
    OpenAiReading reading;
    read_messages(request_member(document, "messages"), reading);
    const std::int64_t text =
        reading.text + other_text(document, {"messages", "metadata"}) + request.row.base_tokens +
        (document.contains("tools") || document.contains("functions") ? request.row.tool_base_tokens : 0);
    const auto input = input_tokens(request, reading, text);
    if (!input) return std::unexpected(input.error());
    plan.bound.input = *input;
    plan.bound.audio_in = reading.audio;
    plan.bound.image_in = reading.images + reading.large_images > 0;
    set_caching(request, plan);

    if (auto read = read_output_limit(request, request.row.chat_limits, request.row.chat_limit, plan);
        !read) {
        return std::unexpected(read.error());
    }
    if (auto read = read_modalities(document, plan); !read) return std::unexpected(read.error());
    const auto count = request_count(document, "n");
    if (!count) return std::unexpected(count.error());
    plan.outputs = *count;
    // Tokens of a prediction that the answer doesn't take are paid as if they had been written.
    const Json& prediction = request_member(document, "prediction");
    if (!prediction.is_null() &&
        __builtin_mul_overflow(rendered_tokens(prediction), *count, &plan.more_output)) {
        return std::unexpected(bad_request("n is no sensible number"));
    }

    OpenAiTools tools;
    if (auto read = read_tools(request_member(document, "tools"), request.terms, request.price, false, tools);
        !read) {
        return std::unexpected(read.error());
    }
    if (auto search = plan_search(request, tools, plan); !search) return std::unexpected(search.error());
    plan.answer.route_fees = tools.route_fees;
    if (tools.max_calls > 0) {
        tools.bound_calls(plan.bound, request.price.max_input_tokens().value_or(most_tokens));
        if (__builtin_mul_overflow(plan.outputs, tools.max_calls + 1, &plan.outputs)) {
            return std::unexpected(bad_request("n is no sensible number"));
        }
    }
    if (auto asked = ask_for_usage(request, plan); !asked) return std::unexpected(asked.error());
    return plan;
}

std::expected<OpenAiPlan, Refusal> plan_completions(const OpenAiRequest& request) {
    const Json& document = request.document;
    OpenAiPlan plan{.make_reader = make_completions_reader};
    const std::int64_t window = request.price.max_input_tokens().value_or(most_tokens);
    const Json& prompt = request_member(document, "prompt");
    std::int64_t prompts = 0;
    if (prompt.is_null()) {  // the provider's own: the end of a text
        prompts = 1;
        plan.bound.input = 1;
    } else if (!read_prompts(prompt, window, plan.bound.input, prompts)) {
        return std::unexpected(bad_request("prompt is neither a text nor tokens"));
    }
    // Each prompt is read with whatever else there is: a suffix, and the template around both.
    const std::int64_t rest = other_text(document, {"prompt"}) + request.row.base_tokens;
    std::int64_t extra = 0;
    if (__builtin_mul_overflow(rest, prompts, &extra))
        return std::unexpected(bad_request("too many prompts"));
    plan.bound.input =
        std::min(plan.bound.input + extra, window > most_tokens / prompts ? most_tokens : window * prompts);
    set_caching(request, plan);

    constexpr auto limits = std::to_array<std::string_view>({"max_tokens"});
    if (auto read = read_output_limit(request, limits, limits.front(), plan); !read)
        return std::unexpected(read.error());
    const auto count = request_count(document, "n");
    if (!count) return std::unexpected(count.error());
    const auto best = request_count(document, "best_of");
    if (!best) return std::unexpected(best.error());
    if (__builtin_mul_overflow(prompts, std::max(*count, *best), &plan.outputs)) {
        return std::unexpected(bad_request("n is no sensible number"));
    }
    // An echo is text of the prompt, which some count again.
    const auto echo = request_flag(document, "echo");
    if (!echo) return std::unexpected(echo.error());
    if (*echo) plan.more_output = plan.bound.input;
    if (auto asked = ask_for_usage(request, plan); !asked) return std::unexpected(asked.error());
    return plan;
}

}  // namespace nomiqon::metering
