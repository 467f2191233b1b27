#include "anthropic_meter.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "answer_reader.h"
#include "anthropic_plan.h"
#include "anthropic_usage.h"
#include "basis.h"
#include "clamp.h"
#include "endpoint.h"
#include "request_reader.h"

namespace nomiqon::metering {

namespace {

using nlohmann::json;

enum class Does : std::uint8_t { free, message, batch };

struct Endpoint {
    std::string_view method;
    std::string_view path;
    Does does;
};

/// https://platform.claude.com/docs/en/api/overview. What is missing is `price_unknown`: `/v1/complete`,
/// agents, sessions, skills, administration.
constexpr auto endpoints = std::to_array<Endpoint>({
    {"POST", "/v1/messages", Does::message},
    {"POST", "/v1/messages/batches", Does::batch},
    {"POST", "/v1/messages/count_tokens", Does::free},
    {"GET", "/v1/models", Does::free},
    {"GET", "/v1/models/{}", Does::free},
    {"GET", "/v1/files", Does::free},
    {"POST", "/v1/files", Does::free},
    {"GET", "/v1/files/{}", Does::free},
    {"GET", "/v1/files/{}/content", Does::free},
    {"DELETE", "/v1/files/{}", Does::free},
    {"GET", "/v1/messages/batches", Does::free},
    {"GET", "/v1/messages/batches/{}", Does::free},
    {"GET", "/v1/messages/batches/{}/results", Does::free},
    {"POST", "/v1/messages/batches/{}/cancel", Does::free},
    {"DELETE", "/v1/messages/batches/{}", Does::free},
});

const Endpoint* find_endpoint(const Call& call) {
    const std::string_view method = call.method == "HEAD" ? "GET" : call.method;  // rule 1
    const auto found = std::ranges::find_if(endpoints, [&](const Endpoint& endpoint) {
        return endpoint.method == method && path_is(call.path, endpoint.path);
    });
    return found == endpoints.end() ? nullptr : found;
}

std::unexpected<Refusal> unpriced(std::string why) {
    return std::unexpected(price_unknown(std::move(why)));
}

std::expected<Quote, Refusal> quote_message(const json& request, std::string body, const MeterTerms& terms,
                                            const std::string& provider) {
    auto plan = plan_anthropic(request, terms, provider);
    if (!plan) return std::unexpected(plan.error());
    auto bound = plan->bound(plan->output);
    if (!bound) return unpriced(bound.error());

    Quote quote;
    quote.model = plan->model;
    quote.other_models = plan->fallbacks;
    if (terms.affordable && *bound > *terms.affordable) {
        const auto limit = clamp_output(plan->least_output, plan->output, *terms.affordable,
                                        [&](std::int64_t output) { return plan->bound(output); });
        if (limit && limit < plan->output) {
            quote.clamped_to = limit;
            bound = plan->bound(*limit);
        }
    }
    const auto tools = write_max_uses(plan->tools, body);
    if (tools || quote.clamped_to) {
        if (tools) set_member(body, "tools", *tools);
        if (quote.clamped_to) set_member(body, "max_tokens", std::to_string(*quote.clamped_to));
        quote.body = std::move(body);
    }
    quote.bound = *bound;

    AnthropicAsked asked{.fast = plan->terms.fast};
    for (const auto& fee : plan->tools.route_fees)
        asked.paid_tools.insert(fee.first);
    AnswerTerms answer{.book = terms.book, .provider = provider, .model = plan->model, .terms = plan->terms};
    answer.bound = quote.bound;
    answer.answer_bytes = terms.answer_bytes;
    answer.route_fees = std::move(plan->tools.route_fees);
    quote.answer = make_answer_meter(std::move(answer), make_anthropic_reader(std::move(asked)));
    return quote;
}

void add_missing(std::vector<std::string>& names, const std::vector<std::string>& more) {
    for (const std::string& name : more) {
        if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
}

/// Rule 3: all of a batch's requests at once, at the dearest tier that one of them may be served in.
std::expected<Quote, Refusal> quote_batch(const json& request, const MeterTerms& terms,
                                          const std::string& provider) {
    if (!terms.allow_deferred) return unpriced("a batch spends later");
    const auto list = request.find("requests");
    if (list == request.end() || !list->is_array())
        return std::unexpected(bad_request("a batch without requests"));
    Quote quote;
    for (const json& entry : *list) {
        const auto params = entry.is_object() ? entry.find("params") : entry.end();
        if (!entry.is_object() || params == entry.end() || !params->is_object()) {
            return std::unexpected(bad_request("a request of a batch can't be read"));
        }
        auto plan = plan_anthropic(*params, terms, provider);
        if (!plan) return std::unexpected(plan.error());
        // The limit could not be written into it without taking the batch apart.
        if (std::ranges::any_of(plan->tools.server, &ServerTool::write_calls)) {
            return unpriced("a batch with a tool of the provider's that has no max_uses");
        }
        if (!quote.model.empty() && quote.model != plan->model) return unpriced("a batch of several models");
        quote.model = plan->model;
        add_missing(quote.other_models, plan->fallbacks);
        const auto bound = plan->bound(plan->output);
        if (!bound) return unpriced(bound.error());
        const auto sum = quote.bound.plus(*bound);
        if (!sum) return unpriced("the bound is beyond what can be paid");
        quote.bound = *sum;
    }
    quote.answer = make_flat_answer_meter(quote.bound, flat_basis(quote.bound));
    return quote;
}

class AnthropicMeter final : public Meter {
  public:
    [[nodiscard]] std::string_view name() const override { return "anthropic"; }

    [[nodiscard]] std::expected<Quote, Refusal> quote(const Call& call,
                                                      const MeterTerms& terms) const override {
        if (auto checked = check_fields(call.fields); !checked) return std::unexpected(checked.error());
        const Endpoint* endpoint = find_endpoint(call);
        if (endpoint == nullptr) return unpriced("a method or path that is not known");
        if (endpoint->does == Does::free) {
            Quote quote;
            quote.free = true;
            quote.answer = make_flat_answer_meter({}, flat_basis({}));
            return quote;
        }
        std::string body;
        const auto request = read_json_body(call, terms.decoded_bytes, body);
        if (!request) return std::unexpected(request.error());
        const std::string provider = terms.provider.empty() ? "anthropic" : terms.provider;
        return endpoint->does == Does::message ? quote_message(*request, std::move(body), terms, provider)
                                               : quote_batch(*request, terms, provider);
    }
};

}  // namespace

const Meter& anthropic_meter() {
    static const AnthropicMeter meter;
    return meter;
}

}  // namespace nomiqon::metering
