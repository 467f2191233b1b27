#include "openai_meter.h"

#include <algorithm>
#include <array>
#include <optional>
#include <ranges>
#include <utility>
#include <vector>

#include "answer_reader.h"
#include "basis.h"
#include "clamp.h"
#include "openai_audio.h"
#include "openai_plan.h"
#include "request_reader.h"

namespace nomiqon::metering {
namespace {

using Json = nlohmann::json;

/// Names that the planners read at the top of a request (rule 6).
constexpr auto read_names = std::to_array<std::string_view>({"model",
                                                             "models",
                                                             "messages",
                                                             "input",
                                                             "instructions",
                                                             "prompt",
                                                             "n",
                                                             "best_of",
                                                             "max_tokens",
                                                             "max_completion_tokens",
                                                             "max_output_tokens",
                                                             "max_tool_calls",
                                                             "stream",
                                                             "stream_options",
                                                             "service_tier",
                                                             "tools",
                                                             "functions",
                                                             "modalities",
                                                             "audio",
                                                             "prediction",
                                                             "web_search_options",
                                                             "background",
                                                             "conversation",
                                                             "previous_response_id",
                                                             "prompt_cache_options",
                                                             "prompt_cache_retention",
                                                             "context_management",
                                                             "reasoning",
                                                             "access_programs",
                                                             "plugins",
                                                             "preset",
                                                             "data_sources",
                                                             "usage",
                                                             "echo",
                                                             "size",
                                                             "quality",
                                                             "output_format",
                                                             "stream_format",
                                                             "svg"});

/// A model that may serve the request, and what it may use then.
struct Candidate {
    std::string named{};  ///< as the request has it, or the route's deployments
    std::string provider{};
    std::string model{};  ///< as the price book has it
    const ModelPrice* price = nullptr;
    OpenAiPlan plan{};
    BoundPrice bound{};
};

OpenAiPlanner planner_of(OpenAiCall call) {
    switch (call) {
        case OpenAiCall::chat:
            return plan_chat;
        case OpenAiCall::completions:
            return plan_completions;
        case OpenAiCall::responses:
            return plan_responses;
        case OpenAiCall::embeddings:
            return plan_embeddings;
        case OpenAiCall::images:
            return plan_images;
        case OpenAiCall::speech:
            return plan_speech;
        case OpenAiCall::free:
        case OpenAiCall::transcription:
            break;
    }
    return nullptr;
}

/// One call's way from its bytes to its quote, in the order of the methods.
class Quoting {
  public:
    Quoting(const OpenAiRow& row, const Call& call, const MeterTerms& terms, OpenAiTarget target)
        : row_(row), call_(call), terms_(terms), target_(std::move(target)) {}

    std::expected<Quote, Refusal> run() {
        if (auto read = read_request(); !read) return std::unexpected(std::move(read.error()));
        if (auto tier = read_terms(); !tier) return std::unexpected(std::move(tier.error()));
        const auto names = model_names();
        if (!names) return std::unexpected(names.error());
        for (const std::string& name : *names) {
            if (auto added = add_candidate(name); !added) return std::unexpected(std::move(added.error()));
        }
        if (auto fitted = clamp(); !fitted) return std::unexpected(std::move(fitted.error()));
        return finish();
    }

  private:
    std::expected<void, Refusal> read_request() {
        if (target_.call == OpenAiCall::transcription) {
            auto decoded = read_body(call_, terms_.decoded_bytes);
            if (!decoded) return std::unexpected(std::move(decoded.error()));
            auto form = read_form(call_, *decoded);
            if (!form) return std::unexpected(std::move(form.error()));
            form_ = std::move(*form);
            document_ = Json::object();
            if (const auto model = form_.find("model")) document_["model"] = *model;
            return {};
        }
        auto document = read_json_body(call_, terms_.decoded_bytes, body_);
        if (!document) return std::unexpected(std::move(document.error()));
        document_ = std::move(*document);
        return check_spelling(document_, read_names);
    }

    /// Rule 11.
    std::expected<void, Refusal> read_terms() {
        const Json& tier = request_member(document_, "service_tier");
        if (!tier.is_null() && !tier.is_string())
            return std::unexpected(bad_request("service_tier is no text"));
        const std::string_view name = request_text(document_, "service_tier");
        const auto found = std::ranges::find(row_.tiers, name, &OpenAiTier::theirs);
        asked_.service_tier = found == row_.tiers.end() ? name : found->book;
        if (asked_.service_tier == "auto") asked_.service_tier.clear();
        if (row_.regional_hosts) {
            const std::string_view host = field_value(call_.fields, "host");
            for (const std::string_view region : {"eu", "us"}) {
                if (host.size() > 3 && host.substr(0, 2) == region && host[2] == '.') asked_.region = region;
            }
        }
        return {};
    }

    /// Rule 8: the price book's names of the models that may serve it.
    std::expected<std::vector<std::string>, Refusal> model_names() {
        const Json& model = request_member(document_, "model");
        if (!model.is_null() && !model.is_string()) return std::unexpected(bad_request("model is no text"));
        const std::string named{request_text(document_, "model")};
        if (row_.deployments) return deployed_model(named);
        std::vector<std::string> names;
        if (!named.empty()) names.push_back(named);
        const Json& others = request_member(document_, "models");
        if (row_.routes && !others.is_null()) {
            constexpr std::size_t most = 16;
            if (!others.is_array() || others.size() > most)
                return std::unexpected(bad_request("models is no short list"));
            for (const Json& other : others) {
                if (!other.is_string()) return std::unexpected(bad_request("models has what is no text"));
                names.push_back(other.get<std::string>());
            }
        }
        if (names.empty()) return std::unexpected(price_unknown("the request names no model"));
        return names;
    }

    std::expected<std::vector<std::string>, Refusal> deployed_model(const std::string& named) {
        const std::string& deployment = target_.deployment ? *target_.deployment : named;
        if (deployment.empty()) return std::unexpected(price_unknown("the request names no model"));
        const auto found = terms_.deployments.find(deployment);
        if (found == terms_.deployments.end()) {
            return std::unexpected(price_unknown("the route's deployments don't have this one"));
        }
        if (!named.empty() && named != deployment && named != found->second) {
            return std::unexpected(bad_request("the body names another model than the path"));
        }
        return std::vector{found->second};
    }

    std::expected<void, Refusal> add_candidate(const std::string& name) {
        Candidate candidate{.named = name, .model = name};
        find_price(candidate);
        if (candidate.price == nullptr) {
            return std::unexpected(price_unknown("the price book has no price for this model"));
        }
        const OpenAiRequest request{.row = row_,
                                    .terms = terms_,
                                    .document = document_,
                                    .model = candidate.model,
                                    .price = *candidate.price};
        const OpenAiPlanner planner = planner_of(target_.call);
        auto plan = planner != nullptr ? planner(request) : plan_transcription(request, form_);
        if (!plan) return std::unexpected(std::move(plan.error()));
        candidate.plan = std::move(*plan);
        auto bound = bound_of(candidate, std::nullopt);
        if (!bound) return std::unexpected(price_unknown(std::move(bound.error())));
        candidate.bound = std::move(*bound);
        candidates_.push_back(std::move(candidate));
        return {};
    }

    /// Pictures that are paid by their size have an entry for each: `hd/1024-x-1792/dall-e-3`.
    [[nodiscard]] std::string sized_name(const std::string& model) const {
        std::string size{request_text(document_, "size")};
        std::string quality{request_text(document_, "quality")};
        if (size.empty()) size = "1024x1024";
        if (quality.empty()) quality = "standard";
        if (const auto cross = size.find('x'); cross != std::string::npos) size.replace(cross, 1, "-x-");
        return quality + '/' + size + '/' + model;
    }

    void find_price(Candidate& candidate) const {
        find_entry(candidate);
        if (candidate.price != nullptr || target_.call != OpenAiCall::images) return;
        candidate.model = sized_name(candidate.model);
        find_entry(candidate);
    }

    void find_entry(Candidate& candidate) const {
        const auto try_provider = [&](std::string_view provider) {
            if (candidate.price != nullptr || provider.empty()) return;
            candidate.price = terms_.book->find(provider, candidate.model);
            candidate.provider = provider;
        };
        if (!terms_.provider.empty()) return try_provider(terms_.provider);
        if (target_.call == OpenAiCall::completions) try_provider(row_.completions_provider);
        try_provider(row_.provider);
    }

    [[nodiscard]] std::expected<BoundPrice, std::string> bound_of(const Candidate& candidate,
                                                                  std::optional<std::int64_t> limit) const {
        return dearest_of(*candidate.price, candidate.plan.bound_at(limit), asked_);
    }

    [[nodiscard]] const Candidate& dearest() const {
        return *std::ranges::max_element(candidates_, {},
                                         [](const Candidate& one) { return one.bound.cost; });
    }

    /// `X-Nomiqon-Clamp`: a lower output limit, where the bound is above what the agent can afford.
    std::expected<void, Refusal> clamp() {
        const bool limited = std::ranges::all_of(
            candidates_, [](const Candidate& one) { return one.plan.limit.has_value() && !one.plan.flat; });
        if (!terms_.affordable || !limited || dearest().bound.cost <= *terms_.affordable) return {};
        const OpenAiLimit& limit = *dearest().plan.limit;
        clamped_ = clamp_output(limit.least, limit.tokens, *terms_.affordable,
                                [this](std::int64_t tokens) -> std::expected<Usdc, std::string> {
                                    Usdc most;
                                    for (const Candidate& candidate : candidates_) {
                                        const auto bound = bound_of(candidate, tokens);
                                        if (!bound) return std::unexpected(bound.error());
                                        most = std::max(most, bound->cost);
                                    }
                                    return most;
                                });
        if (!clamped_) return {};
        for (Candidate& candidate : candidates_) {
            auto bound = bound_of(candidate, clamped_);
            if (!bound) return std::unexpected(price_unknown(std::move(bound.error())));
            candidate.bound = std::move(*bound);
        }
        return {};
    }

    std::expected<Quote, Refusal> finish() {
        const Candidate& candidate = dearest();
        const OpenAiPlan& plan = candidate.plan;
        Quote quote{.bound = candidate.bound.cost,
                    .model = candidates_.front().named,
                    .identity_only = plan.answer.hides_usage,
                    .clamped_to = clamped_,
                    .answer = make_answer(candidate)};
        for (const Candidate& other : candidates_ | std::views::drop(1))
            quote.other_models.push_back(other.named);
        for (const auto& [name, value] : plan.writes)
            set_member(body_, name, value);
        if (clamped_) {
            for (const std::string_view name : plan.limit->given)
                set_member(body_, name, std::to_string(*clamped_));
            if (plan.limit->given.empty()) set_member(body_, plan.limit->member, std::to_string(*clamped_));
        }
        if (!plan.writes.empty() || clamped_) quote.body = std::move(body_);
        return quote;
    }

    [[nodiscard]] std::unique_ptr<AnswerMeter> make_answer(const Candidate& candidate) const {
        const OpenAiPlan& plan = candidate.plan;
        if (plan.flat || plan.deferred) {
            const std::array<PricedPass, 1> pass{
                {{.price = candidate.price, .terms = candidate.bound.terms, .usage = candidate.bound.usage}}};
            return make_flat_answer_meter(candidate.bound.cost,
                                          write_basis(*terms_.book, pass, plan.bound.fees));
        }
        OpenAiAnswer answer = plan.answer;
        answer.row = &row_;
        // A region that the operator gave with the deployment is not in the answer's name of the model.
        answer.ignores_model = row_.deployments && candidate.model.find('/') != std::string::npos;
        return make_answer_meter({.book = terms_.book,
                                  .provider = candidate.provider,
                                  .model = candidate.model,
                                  .terms = asked_,
                                  .bound = candidate.bound.cost,
                                  .answer_bytes = terms_.answer_bytes,
                                  .route_fees = plan.answer.route_fees},
                                 plan.make_reader(std::move(answer)));
    }

    const OpenAiRow& row_;
    const Call& call_;
    const MeterTerms& terms_;
    OpenAiTarget target_;
    std::string body_{};
    Json document_{};
    Form form_{};
    Terms asked_{};
    std::vector<Candidate> candidates_{};
    std::optional<std::int64_t> clamped_{};
};

}  // namespace

std::expected<Quote, Refusal> OpenAiMeter::quote(const Call& call, const MeterTerms& terms) const {
    if (auto fields = check_fields(call.fields); !fields) return std::unexpected(std::move(fields.error()));
    auto target = find_target(row_, call.method, call.path);
    if (!target) return std::unexpected(price_unknown("no call of this provider that is known"));
    if (target->call == OpenAiCall::free) {
        return Quote{.free = true, .answer = make_flat_answer_meter(Usdc{}, {})};
    }
    return Quoting{row_, call, terms, std::move(*target)}.run();
}

const Meter* find_openai_meter(std::string_view name) {
    static const std::vector<OpenAiMeter> meters = [] {
        std::vector<OpenAiMeter> all;
        for (const OpenAiRow& row : openai_rows())
            all.emplace_back(row);
        return all;
    }();
    const auto found = std::ranges::find(meters, name, &OpenAiMeter::name);
    return found == meters.end() ? nullptr : &*found;
}

}  // namespace nomiqon::metering
