#include "gemini_meter.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "answer_reader.h"
#include "basis.h"
#include "clamp.h"
#include "endpoint.h"
#include "gemini_plan.h"
#include "gemini_usage.h"
#include "request_reader.h"

namespace nomiqon::metering {

namespace {

using nlohmann::json;

enum class Does : std::uint8_t { free, content, stream, embedding, embeddings };

struct Endpoint {
    std::string_view method;
    std::string_view path;    ///< behind the version
    std::string_view action;  ///< behind the last segment's colon
    Does does;
};

/// https://ai.google.dev/api. What is missing is `price_unknown`: caches and batches (but to look at them and
/// to end them), predictions, interactions, live sessions, tuned models, the paths in OpenAI's form.
constexpr auto endpoints = std::to_array<Endpoint>({
    {"POST", "/models/{}", "generateContent", Does::content},
    {"POST", "/models/{}", "streamGenerateContent", Does::stream},
    {"POST", "/models/{}", "embedContent", Does::embedding},
    {"POST", "/models/{}", "batchEmbedContents", Does::embeddings},
    {"POST", "/models/{}", "countTokens", Does::free},
    {"GET", "/models", "", Does::free},
    {"GET", "/models/{}", "", Does::free},
    {"GET", "/files", "", Does::free},
    {"POST", "/files", "", Does::free},
    {"GET", "/files/{}", "", Does::free},
    {"GET", "/files/{}", "download", Does::free},
    {"DELETE", "/files/{}", "", Does::free},
    {"GET", "/cachedContents", "", Does::free},
    {"GET", "/cachedContents/{}", "", Does::free},
    {"DELETE", "/cachedContents/{}", "", Does::free},
    {"GET", "/batches", "", Does::free},
    {"GET", "/batches/{}", "", Does::free},
    {"POST", "/batches/{}", "cancel", Does::free},
    {"DELETE", "/batches/{}", "", Does::free},
    {"GET", "/operations", "", Does::free},
    {"GET", "/operations/{}", "", Does::free},
    {"GET", "/models/{}/operations/{}", "", Does::free},
});
constexpr auto versions = std::to_array<std::string_view>({"/v1beta", "/v1", "/v1alpha"});

struct Target {
    Does does{};
    std::string model{};
};

std::optional<Target> find_target(const Call& call) {
    std::string_view path = call.path;
    // Uploads of files have a path of their own.
    if (call.method == "POST" && path == "/upload/v1beta/files") return Target{.does = Does::free};
    const auto version = std::ranges::find_if(versions, [&](std::string_view prefix) {
        return path.starts_with(prefix) && path.substr(prefix.size()).starts_with('/');
    });
    if (version == versions.end()) return std::nullopt;
    path.remove_prefix(version->size());
    const std::size_t colon = path.rfind(':');
    const std::string_view action =
        colon == std::string_view::npos ? std::string_view{} : path.substr(colon + 1);
    const std::string_view name = path.substr(0, colon);
    const std::string_view method = call.method == "HEAD" ? "GET" : call.method;  // rule 1
    for (const Endpoint& endpoint : endpoints) {
        if (endpoint.method != method || endpoint.action != action || !path_is(name, endpoint.path)) continue;
        // A second colon would be another action.
        if (name.contains(':')) return std::nullopt;
        return Target{.does = endpoint.does, .model = std::string{name.substr(name.rfind('/') + 1)}};
    }
    return std::nullopt;
}

/// The names of a query, percent-decoded.
std::string decoded(std::string_view text) {
    const auto digit = [](char c) {
        return c >= '0' && c <= '9'   ? c - '0'
               : c >= 'a' && c <= 'f' ? c - 'a' + 10
               : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                      : -1;
    };
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escape =
            text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0;
        plain += escape ? static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2])) : text[i];
        if (escape) i += 2;
    }
    return plain;
}

/// Google's front end lets a client leave out parts of an answer, its use for one, and change the method.
std::expected<void, Refusal> check_query(const Call& call) {
    constexpr auto changing = std::to_array<std::string_view>({"fields", "httpmethod", "callback", "alt"});
    std::string_view rest = call.query;
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find_first_of("&;"), rest.size());
        const std::string_view pair = rest.substr(0, end);
        rest.remove_prefix(std::min(end + 1, rest.size()));
        const std::size_t equals = std::min(pair.find('='), pair.size());
        std::string name = decoded(pair.substr(0, equals));
        std::ranges::transform(name, name.begin(),
                               [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
        if (name.starts_with('$')) name.erase(0, 1);
        if (std::ranges::find(changing, name) == changing.end()) continue;
        const std::string value = decoded(pair.substr(std::min(equals + 1, pair.size())));
        if (name == "alt" && (value == "sse" || value == "json")) continue;
        return std::unexpected(bad_request("a query parameter changes the form of the answer"));
    }
    if (!field_value(call.fields, "x-goog-fieldmask").empty()) {
        return std::unexpected(bad_request("a header field leaves out parts of the answer"));
    }
    return {};
}

std::unexpected<Refusal> unpriced(std::string why) {
    return std::unexpected(price_unknown(std::move(why)));
}

/// The request with another output limit, written in the form that it has.
void write_limit(std::string& body, std::int64_t limit) {
    auto request = nlohmann::ordered_json::parse(body);
    const std::string holder =
        request.contains("generation_config") ? "generation_config" : "generationConfig";
    auto config = request.contains(holder) && request[holder].is_object() ? request[holder]
                                                                          : nlohmann::ordered_json::object();
    config[config.contains("max_output_tokens") ? "max_output_tokens" : "maxOutputTokens"] = limit;
    set_member(body, holder, config.dump());
}

AnswerTerms answer_terms(const Quote& quote, const MeterTerms& terms, const std::string& provider) {
    AnswerTerms answer{.book = terms.book, .provider = provider, .model = quote.model, .bound = quote.bound};
    answer.answer_bytes = terms.answer_bytes;
    return answer;
}

std::expected<Quote, Refusal> quote_content(const json& request, std::string body, const Target& target,
                                            const MeterTerms& terms, const std::string& provider) {
    auto plan = plan_gemini_content(request, target.model, terms, provider);
    if (!plan) return std::unexpected(plan.error());
    auto bound = plan->bound(plan->output);
    if (!bound) return unpriced(bound.error());
    Quote quote;
    quote.model = target.model;
    if (terms.affordable && *bound > *terms.affordable) {
        const std::int64_t least = std::max(plan->least_output, std::int64_t{1});
        const auto limit = clamp_output(least, plan->output, *terms.affordable,
                                        [&](std::int64_t output) { return plan->bound(output); });
        if (limit && limit < plan->output) {
            quote.clamped_to = limit;
            bound = plan->bound(*limit);
            write_limit(body, *limit);
            quote.body = std::move(body);
        }
    }
    quote.bound = *bound;
    GeminiAsked asked{.candidates = plan->candidates};
    for (const auto& fee : plan->route_fees)
        asked.paid_tools.insert(fee.first);
    AnswerTerms answer = answer_terms(quote, terms, provider);
    answer.terms = plan->terms;
    answer.route_fees = std::move(plan->route_fees);
    answer.array_stream = target.does == Does::stream;
    quote.answer = make_answer_meter(std::move(answer), make_gemini_reader(std::move(asked)));
    return quote;
}

std::expected<Quote, Refusal> quote_embeddings(const json& request, const Target& target,
                                               const MeterTerms& terms, const std::string& provider) {
    std::vector<json> single;
    if (target.does == Does::embedding) {
        single.push_back(request);
    } else {
        if (auto checked = check_gemini_names(request, {"requests"}); !checked)
            return std::unexpected(checked.error());
        each_gemini_value(gemini_member(request, "requests"),
                          [&](const json& one) { single.push_back(one); });
    }
    Quote quote;
    quote.model = target.model;
    for (const json& one : single) {
        if (!one.is_object()) return std::unexpected(bad_request("a request of a batch is no object"));
        const auto plan = plan_gemini_embedding(one, target.model, terms, provider);
        if (!plan) return std::unexpected(plan.error());
        const auto bound = plan->bound(0);
        if (!bound) return unpriced(bound.error());
        const auto sum = quote.bound.plus(*bound);
        if (!sum) return unpriced("the bound is beyond what can be paid");
        quote.bound = *sum;
    }
    quote.answer =
        make_answer_meter(answer_terms(quote, terms, provider), make_gemini_reader({.embedding = true}));
    return quote;
}

class GeminiMeter final : public Meter {
  public:
    [[nodiscard]] std::string_view name() const override { return "gemini"; }

    [[nodiscard]] std::expected<Quote, Refusal> quote(const Call& call,
                                                      const MeterTerms& terms) const override {
        if (auto checked = check_fields(call.fields); !checked) return std::unexpected(checked.error());
        const auto target = find_target(call);
        if (!target) return unpriced("a method or path that is not known");
        if (target->does == Does::free) {
            Quote quote;
            quote.free = true;
            quote.answer = make_flat_answer_meter({}, flat_basis({}));
            return quote;
        }
        if (auto checked = check_query(call); !checked) return std::unexpected(checked.error());
        std::string body;
        const auto request = read_json_body(call, terms.decoded_bytes, body);
        if (!request) return std::unexpected(request.error());
        const std::string provider = terms.provider.empty() ? "gemini" : terms.provider;
        return target->does == Does::content || target->does == Does::stream
                   ? quote_content(*request, std::move(body), *target, terms, provider)
                   : quote_embeddings(*request, *target, terms, provider);
    }
};

}  // namespace

const Meter& gemini_meter() {
    static const GeminiMeter meter;
    return meter;
}

}  // namespace nomiqon::metering
