#include "anthropic_plan.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "anthropic_input.h"
#include "items.h"
#include "request_reader.h"

namespace nomiqon::metering {

namespace {

using nlohmann::json;

/// What a Messages request may have. Another member could be a new way to spend: unpriced until somebody
/// looked.
constexpr auto members = std::to_array<std::string_view>(
    {"model",           "messages",         "max_tokens",     "system",      "tools",
     "tool_choice",     "cache_control",    "service_tier",   "speed",       "inference_geo",
     "mcp_servers",     "container",        "stream",         "thinking",    "context_management",
     "output_config",   "output_format",    "stop_sequences", "temperature", "top_k",
     "top_p",           "metadata",         "fallbacks",      "diagnostics", "fallback_credit_token",
     "user_profile_id", "anthropic_version"});

/// Of a model, in one request: each measures all that is read.
constexpr std::size_t most_runs = 16;

std::expected<void, Refusal> check_members(const json& body) {
    if (auto spelled = check_spelling(body, members); !spelled) return spelled;
    for (const auto& member : body.items()) {
        if (std::ranges::find(members, member.key()) == members.end()) {
            return std::unexpected(price_unknown("the request has a member that is not known"));
        }
    }
    return {};
}

/// A string that may be absent or null.
std::expected<std::string, Refusal> read_word(const json& body, std::string_view name) {
    const auto found = body.find(name);
    if (found == body.end() || found->is_null()) return std::string{};
    if (!found->is_string()) return std::unexpected(bad_request(std::string{name} + " is no string"));
    return found->get<std::string>();
}

std::expected<bool, Refusal> read_fast(const json& body) {
    const auto speed = read_word(body, "speed");
    if (!speed) return std::unexpected(speed.error());
    if (speed->empty() || *speed == "standard") return false;
    if (*speed == "fast") return true;
    return std::unexpected(price_unknown("a speed that is not known"));
}

std::expected<Terms, Refusal> read_terms(const json& body) {
    Terms terms;
    const auto tier = read_word(body, "service_tier");
    if (!tier) return std::unexpected(tier.error());
    if (*tier == "standard_only") {
        terms.service_tier = "default";
    } else if (!tier->empty() && *tier != "auto") {
        return std::unexpected(price_unknown("a service tier that is not known"));
    }
    const auto fast = read_fast(body);
    if (!fast) return std::unexpected(fast.error());
    terms.fast = *fast;
    auto region = read_word(body, "inference_geo");
    if (!region) return std::unexpected(region.error());
    terms.region = std::move(*region);
    return terms;
}

/// Thinking between tool calls may have a budget above `max_tokens`.
std::expected<std::int64_t, Refusal> read_budget(const json& holder) {
    const auto thinking = holder.find("thinking");
    if (thinking == holder.end() || !thinking->is_object()) return 0;
    const auto budget = read_limit(*thinking, "budget_tokens");
    if (!budget) return std::unexpected(budget.error());
    return budget->value_or(0);
}

/// What all runs of a request have in common.
struct Shape {
    const json& body;
    const AnthropicTools& tools;
    Terms terms;
    std::int64_t rounds;
};

/// Rule 12: in each round the model reads what came before again, with what the calls have added.
std::int64_t tokens_of_rounds(std::int64_t first, std::int64_t window, std::int64_t step,
                              std::int64_t rounds) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < rounds; ++i)
        sum += std::min(window, first + i * step);
    return sum;
}

std::expected<PlannedRun, Refusal> plan_run(const Shape& shape, const std::string& model,
                                            const MeterTerms& terms, const std::string& provider) {
    const ModelPrice* price = terms.book->find(provider, model);
    if (price == nullptr) return std::unexpected(price_unknown("the price book doesn't have the model"));
    const AnthropicInput input = measure_anthropic_input(shape.body, model);
    const auto window = price->max_input_tokens();
    if (!window) return std::unexpected(price_unknown("the price book doesn't say how much the model reads"));
    const std::int64_t first =
        input.unmeasured ? *window : std::min(*window, input.tokens + shape.tools.client_tokens);
    const std::int64_t read = tokens_of_rounds(first, *window, shape.tools.tokens_per_call(), shape.rounds);
    PlannedRun run{.price = price, .terms = shape.terms, .rounds = shape.rounds};
    (input.caches_hour ? run.read.cache_write_1h
     : input.caches    ? run.read.cache_write
                       : run.read.input) = read;
    for (const ServerTool& tool : shape.tools.server) {
        if (!tool.fee && tool.name == item_web_search) run.read.items[tool.name] += tool.calls;
    }
    return run;
}

std::expected<std::int64_t, Refusal> most_output(const ModelPrice& price) {
    if (const auto most = price.max_output_tokens()) return *most;
    return std::unexpected(price_unknown("the price book doesn't say how much the model writes"));
}

/// A fallback runs the whole request again, on its own model and with limits of its own.
std::expected<void, Refusal> plan_fallbacks(const Shape& shape, const MeterTerms& terms,
                                            const std::string& provider, AnthropicPlan& plan) {
    const auto fallbacks = shape.body.find("fallbacks");
    if (fallbacks == shape.body.end() || fallbacks->is_null()) return {};
    if (!fallbacks->is_array()) return std::unexpected(price_unknown("the provider chooses the fallback"));
    if (fallbacks->size() > most_runs) return std::unexpected(price_unknown("too many fallbacks"));
    for (const json& fallback : *fallbacks) {
        if (!fallback.is_object()) return std::unexpected(bad_request("a fallback is no object"));
        const auto model = read_word(fallback, "model");
        const auto limit = read_limit(fallback, "max_tokens");
        const auto fast = read_fast(fallback);
        const auto budget = read_budget(fallback);
        if (!model || model->empty() || !limit || !budget) {
            return std::unexpected(bad_request("a fallback can't be read"));
        }
        if (!fast) return std::unexpected(fast.error());
        auto run = plan_run(shape, *model, terms, provider);
        if (!run) return std::unexpected(run.error());
        run->terms.fast = run->terms.fast || *fast;
        run->output = *limit;
        run->least_output = std::max(plan.runs.front().least_output, *budget);
        plan.runs.push_back(std::move(*run));
        plan.fallbacks.push_back(*model);
    }
    return {};
}

/// A compaction reads all and writes a summary, which the request's limit doesn't hold for.
std::expected<void, Refusal> plan_compaction(const Shape& shape, AnthropicPlan& plan) {
    const auto management = shape.body.find("context_management");
    if (management == shape.body.end() || !management->is_object()) return {};
    const auto edits = management->find("edits");
    if (edits == management->end() || !edits->is_array()) return {};
    if (edits->size() > most_runs) return std::unexpected(price_unknown("too many edits of the context"));
    for (const json& edit : *edits) {
        const auto type = edit.is_object() ? read_word(edit, "type") : std::string{};
        if (!type) return std::unexpected(type.error());
        if (type->starts_with("clear_")) continue;
        if (!type->starts_with("compact_")) {
            return std::unexpected(price_unknown("an edit of the context that is not known"));
        }
        PlannedRun run = plan.runs.front();
        const auto output = most_output(*run.price);
        if (!output) return std::unexpected(output.error());
        run.read.items.clear();
        run.output = *output;
        plan.runs.push_back(std::move(run));
    }
    return {};
}

}  // namespace

std::expected<Usdc, std::string> AnthropicPlan::bound(std::int64_t limit) const {
    Usdc sum;
    const auto add = [&sum](Usdc amount) {
        const auto next = sum.plus(amount);
        sum = next.value_or(sum);
        return next.has_value();
    };
    const std::unexpected<std::string> too_much{"the bound is beyond what can be paid"};
    for (const PlannedRun& run : runs) {
        // All rounds as one pass: where an answer tells only their sum, long-context rates may apply to that.
        Usage usage = run.read;
        const std::int64_t of_round = std::max(run.output.value_or(limit), run.least_output);
        if (__builtin_mul_overflow(of_round, run.rounds, &usage.output)) return too_much;
        // Where the request names no region, the workspace's own is taken.
        std::vector<Terms> permitted = permitted_terms(*run.price, run.terms);
        if (run.terms.region.empty() && run.price->has_region("us")) {
            for (Terms& each : permitted)
                each.region = "us";
        }
        const auto cost = dearest(*run.price, usage, permitted);
        if (!cost) return cost;
        if (!add(*cost)) return too_much;
    }
    for (const ServerTool& tool : tools.server) {
        for (std::int64_t i = 0; tool.fee && i < tool.calls; ++i) {
            if (!add(*tool.fee)) return too_much;
        }
    }
    return sum;
}

std::expected<AnthropicPlan, Refusal> plan_anthropic(const json& body, const MeterTerms& terms,
                                                     const std::string& provider) {
    if (auto checked = check_members(body); !checked) return std::unexpected(checked.error());
    AnthropicPlan plan;
    auto model = read_word(body, "model");
    if (!model) return std::unexpected(model.error());
    if (model->empty()) return std::unexpected(price_unknown("the request names no model"));
    plan.model = std::move(*model);
    auto limit = read_limit(body, "max_tokens");
    if (!limit) return std::unexpected(limit.error());
    plan.max_tokens = *limit;
    auto asked = read_terms(body);
    if (!asked) return std::unexpected(asked.error());
    plan.terms = *asked;
    auto budget = read_budget(body);
    if (!budget) return std::unexpected(budget.error());
    auto tools = read_anthropic_tools(body, terms);
    if (!tools) return std::unexpected(tools.error());
    plan.tools = std::move(*tools);

    const std::int64_t rounds = plan.tools.calls() + plan.tools.more_passes + 1;
    const Shape shape{.body = body, .tools = plan.tools, .terms = plan.terms, .rounds = rounds};
    auto run = plan_run(shape, plan.model, terms, provider);
    if (!run) return std::unexpected(run.error());
    run->least_output = *budget;
    plan.least_output = *budget + 1;
    const auto output =
        plan.max_tokens ? std::expected<std::int64_t, Refusal>{*plan.max_tokens} : most_output(*run->price);
    if (!output) return std::unexpected(output.error());
    plan.output = *output;
    plan.runs.push_back(std::move(*run));
    if (auto planned = plan_fallbacks(shape, terms, provider, plan); !planned)
        return std::unexpected(planned.error());
    if (auto planned = plan_compaction(shape, plan); !planned) return std::unexpected(planned.error());
    return plan;
}

}  // namespace nomiqon::metering
