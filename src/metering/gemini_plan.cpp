#include "gemini_plan.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "request_reader.h"

namespace nomiqon::metering {

namespace {

using nlohmann::json;

/// What a request may have. Another member could be a new way to spend: unpriced until somebody looked.
constexpr auto content_members = std::to_array<std::string_view>(
    {"contents", "systemInstruction", "generationConfig", "safetySettings", "tools", "toolConfig",
     "cachedContent", "model", "labels", "serviceTier", "store"});
constexpr auto embedding_members = std::to_array<std::string_view>(
    {"content", "model", "taskType", "title", "outputDimensionality", "embedContentConfig"});

/// Tools that the provider runs; the others are the client's.
struct ServerTool {
    std::string_view member;
    std::string_view name;  ///< as routes name it
};
constexpr auto server_tools = std::to_array<ServerTool>({{"googleSearch", "google_search"},
                                                         {"googleSearchRetrieval", "google_search"},
                                                         {"enterpriseWebSearch", "google_search"},
                                                         {"googleMaps", "google_maps"},
                                                         {"codeExecution", "code_execution"},
                                                         {"urlContext", "url_context"},
                                                         {"fileSearch", "file_search"},
                                                         {"mcpServers", "mcp"}});
/// What the definition of the computer, which the client runs, adds.
constexpr std::int64_t computer_tokens = 6'000;
constexpr std::int64_t default_calls = 5;
constexpr std::int64_t default_tokens_per_call = 25'000;
constexpr std::int64_t most_calls = 1'000;
constexpr std::int64_t most_candidates = 64;
/// A picture is written whole: at most 2,520 tokens of one in the provider's tables, here of two.
constexpr std::int64_t picture_output = 5'040;

std::unexpected<Refusal> unpriced(std::string why) {
    return std::unexpected(price_unknown(std::move(why)));
}

std::expected<void, Refusal> check_members(const json& request, std::span<const std::string_view> members) {
    for (const auto& item : request.items()) {
        const std::string name = to_camel(item.key());
        if (std::ranges::find(members, name) == members.end()) {
            return unpriced("the request has a member that is not known");
        }
        if (auto checked = check_gemini_names(request, {name}); !checked) return checked;
    }
    return {};
}

/// Rule 8: the body's own model, where it has one, is the path's.
std::expected<void, Refusal> check_model(const json& request, const std::string& model) {
    const json* named = gemini_member(request, "model");
    if (named == nullptr || *named == model || *named == "models/" + model) return {};
    return std::unexpected(bad_request("the body's model is another one than the path's"));
}

std::expected<std::optional<std::int64_t>, Refusal> limit_of(const json* holder, std::string_view camel) {
    const json* value = holder == nullptr ? nullptr : gemini_member(*holder, camel);
    if (value == nullptr) return std::nullopt;
    return read_limit(json{{"limit", *value}}, "limit");
}

std::expected<GeminiPlan, Refusal> plan_model(const json& request, const std::string& model,
                                              const MeterTerms& terms, const std::string& provider) {
    GeminiPlan plan{.price = terms.book->find(provider, model)};
    if (plan.price == nullptr) return unpriced("the price book doesn't have the model");
    const auto window = plan.price->max_input_tokens();
    if (!window) return unpriced("the price book doesn't say how much the model reads");
    plan.window = *window;
    auto input = measure_gemini_input(request, model);
    if (!input) return std::unexpected(input.error());
    plan.input = *input;
    return plan;
}

std::expected<void, Refusal> plan_server_tool(std::string_view name, const MeterTerms& terms,
                                              GeminiPlan& plan) {
    const auto route = terms.tools.find(std::string{name});
    if (route == terms.tools.end())
        return unpriced("nothing bounds the provider's tool " + std::string{name});
    const ToolTerms& given = route->second;
    const std::int64_t calls = given.max_calls > 0 ? given.max_calls : default_calls;
    if (calls > most_calls - plan.rounds) return unpriced("too many calls of tools");
    plan.rounds += calls;
    plan.tokens_per_call = std::max(
        plan.tokens_per_call, given.tokens_per_call > 0 ? given.tokens_per_call : default_tokens_per_call);
    for (std::int64_t i = 0; i < calls; ++i) {
        const auto fees = plan.fees.plus(given.fee);
        if (!fees) return unpriced("the fees are beyond what can be paid");
        plan.fees = *fees;
    }
    plan.route_fees[std::string{name}] = given.fee;
    return {};
}

std::expected<void, Refusal> plan_tools(const json& request, const MeterTerms& terms, GeminiPlan& plan) {
    std::expected<void, Refusal> result;
    const auto tool = [&](const json& tool) {
        if (!tool.is_object()) {
            if (result) result = std::unexpected(bad_request("a tool is no object"));
            return;
        }
        for (const auto& item : tool.items()) {
            const std::string name = to_camel(item.key());
            const auto known = std::ranges::find(server_tools, std::string_view{name}, &ServerTool::member);
            if (known != server_tools.end()) {
                if (result) result = plan_server_tool(known->name, terms, plan);
            } else if (name == "computerUse") {
                plan.input.text += computer_tokens;
            } else if (name != "functionDeclarations" && result) {
                result = unpriced("a tool that is not known");
            }
            if (result) result = check_gemini_names(tool, {name});
        }
    };
    each_gemini_value(gemini_member(request, "tools"), tool);
    return result;
}

/// What the request lets the model write beside text.
void plan_modalities(const json* config, GeminiPlan& plan) {
    const json* modalities = config == nullptr ? nullptr : gemini_member(*config, "responseModalities");
    plan.pictures_out = plan.audio_out = modalities == nullptr;
    each_gemini_value(modalities, [&plan](const json& modality) {
        plan.pictures_out = plan.pictures_out || modality != "TEXT";
        plan.audio_out = plan.audio_out || modality != "TEXT";
    });
    plan.pictures_out = plan.pictures_out && plan.price->has_rate(Counter::output_image);
    plan.audio_out = plan.audio_out && plan.price->has_rate(Counter::output_audio);
}

std::expected<void, Refusal> plan_output(const json& request, GeminiPlan& plan) {
    const json* config = gemini_member(request, "generationConfig");
    if (config != nullptr) {
        auto checked = check_gemini_names(
            *config, {"maxOutputTokens", "candidateCount", "thinkingConfig", "responseModalities"});
        if (!checked) return checked;
    }
    const json* thinking = config == nullptr ? nullptr : gemini_member(*config, "thinkingConfig");
    if (thinking != nullptr) {
        if (auto checked = check_gemini_names(*thinking, {"thinkingBudget"}); !checked) return checked;
    }
    const auto limit = limit_of(config, "maxOutputTokens");
    if (!limit) return std::unexpected(limit.error());
    const auto candidates = limit_of(config, "candidateCount");
    if (!candidates) return std::unexpected(candidates.error());
    // -1 leaves it to the model.
    const json* given = thinking == nullptr ? nullptr : gemini_member(*thinking, "thinkingBudget");
    const auto budget = given != nullptr && *given == -1 ? std::optional<std::int64_t>{}
                                                         : limit_of(thinking, "thinkingBudget");
    if (!budget) return std::unexpected(budget.error());

    const auto most = plan.price->max_output_tokens();
    if (!*limit && !most) return unpriced("the price book doesn't say how much the model writes");
    plan.limit = *limit;
    plan.output = limit->value_or(most.value_or(0));
    // The limit holds for thoughts too: so it was measured of Gemini 2.5, 3 and 3.6, whatever the
    // documentation leaves open.
    plan.least_output = budget->value_or(0);
    plan.candidates = std::max(candidates->value_or(1), std::int64_t{1});
    if (plan.candidates > most_candidates) return std::unexpected(bad_request("too many candidates"));
    plan_modalities(config, plan);
    if (plan.pictures_out && plan.price->mode() == "image_generation") {
        plan.least_output = std::max(plan.least_output, picture_output);
    }
    return {};
}

std::expected<void, Refusal> plan_tier(const json& request, GeminiPlan& plan) {
    const json* tier = gemini_member(request, "serviceTier");
    if (tier == nullptr) return {};
    if (!tier->is_string()) return std::unexpected(bad_request("serviceTier is no string"));
    std::string name = tier->get<std::string>();
    std::ranges::transform(name, name.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    constexpr std::string_view prefix = "service_tier_";
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
    plan.terms.service_tier = name == "unspecified" ? std::string{} : name;
    if (!plan.terms.service_tier.empty() && !plan.price->has_tier(name))
        return unpriced("a service tier without a rate");
    return {};
}

/// The ways in which what is read may be counted, of which the dearest is the bound.
std::vector<Usage> readings(const GeminiPlan& plan) {
    const auto rounds = [&plan](std::int64_t first) {
        std::int64_t sum = 0;
        for (std::int64_t i = 0; i < plan.rounds; ++i)
            sum += std::min(plan.window, first + i * plan.tokens_per_call);
        return sum;
    };
    const std::int64_t measured = plan.input.text + plan.input.pictures;
    if (!plan.input.unmeasured && measured <= plan.window) {
        std::vector<Usage> ways(1);
        ways[0].input = rounds(measured);
        if (plan.input.pictures > 0) {
            ways.emplace_back();
            ways[1].input_image = plan.input.pictures;
            ways[1].input = ways[0].input - plan.input.pictures;
        }
        return ways;
    }
    const std::int64_t all = rounds(plan.window);
    std::vector<Usage> ways{{.input = all}};
    if (!plan.input.unmeasured && plan.input.pictures == 0) return ways;
    if (plan.price->has_rate(Counter::input_image)) ways.push_back({.input_image = all});
    if (plan.price->has_rate(Counter::input_audio)) ways.push_back({.input_audio = all});
    if (plan.price->has_rate(Counter::input_video)) ways.push_back({.input_video = all});
    return ways;
}

}  // namespace

std::expected<Usdc, std::string> GeminiPlan::bound(std::int64_t output_limit) const {
    const std::string too_much = "the bound is beyond what can be paid";
    std::int64_t written = embeds ? 0 : std::max(output_limit, least_output);
    if (__builtin_mul_overflow(written, candidates, &written) ||
        __builtin_mul_overflow(written, rounds, &written)) {
        return std::unexpected(too_much);
    }
    std::vector<std::int64_t Usage::*> kinds{&Usage::output};
    if (price->has_rate(Counter::output_reasoning)) kinds.push_back(&Usage::output_reasoning);
    if (pictures_out) kinds.push_back(&Usage::output_image);
    if (audio_out) kinds.push_back(&Usage::output_audio);
    Usdc most;
    for (Usage usage : readings(*this)) {
        for (const auto kind : kinds) {
            Usage whole = usage;
            whole.*kind = written;
            const auto cost = bound_price(*price, whole, terms);
            if (!cost) return cost;
            most = std::max(most, *cost);
        }
    }
    const auto sum = most.plus(fees);
    if (!sum) return std::unexpected(too_much);
    return *sum;
}

std::expected<GeminiPlan, Refusal> plan_gemini_content(const json& request, const std::string& model,
                                                       const MeterTerms& terms, const std::string& provider) {
    if (auto checked = check_members(request, content_members); !checked)
        return std::unexpected(checked.error());
    if (auto checked = check_model(request, model); !checked) return std::unexpected(checked.error());
    auto plan = plan_model(request, model, terms, provider);
    if (!plan) return plan;
    if (auto planned = plan_tools(request, terms, *plan); !planned) return std::unexpected(planned.error());
    if (auto planned = plan_output(request, *plan); !planned) return std::unexpected(planned.error());
    if (auto planned = plan_tier(request, *plan); !planned) return std::unexpected(planned.error());
    return plan;
}

std::expected<GeminiPlan, Refusal> plan_gemini_embedding(const json& request, const std::string& model,
                                                         const MeterTerms& terms,
                                                         const std::string& provider) {
    if (auto checked = check_members(request, embedding_members); !checked)
        return std::unexpected(checked.error());
    if (auto checked = check_model(request, model); !checked) return std::unexpected(checked.error());
    auto plan = plan_model(request, model, terms, provider);
    if (plan) plan->embeds = true;
    return plan;
}

}  // namespace nomiqon::metering
