#include "tavily_meter.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "answer_reader.h"
#include "items.h"
#include "per_call.h"
#include "request_reader.h"
#include "tavily_credits.h"
#include "tavily_usage.h"

namespace nomiqon::metering {

namespace {

using nlohmann::json;

struct Endpoint {
    std::string_view method;
    std::string_view path;
    TavilyCall call;
};

/// https://docs.tavily.com/documentation/api-reference/introduction.
constexpr auto endpoints = std::to_array<Endpoint>({
    {"POST", "/search", TavilyCall::search},
    {"POST", "/extract", TavilyCall::extract},
    {"POST", "/map", TavilyCall::map},
    {"POST", "/crawl", TavilyCall::crawl},
    {"POST", "/research", TavilyCall::research},
    {"GET", "/research/{}", TavilyCall::free},
    {"GET", "/usage", TavilyCall::free},
});

bool is_true(const json& request, std::string_view name) {
    const auto found = request.find(name);
    return found != request.end() && found->is_boolean() && found->get<bool>();
}

class TavilyMeter final : public Meter {
  public:
    [[nodiscard]] std::string_view name() const override { return "tavily"; }

    [[nodiscard]] std::expected<Quote, Refusal> quote(const Call& call,
                                                      const MeterTerms& terms) const override {
        if (auto checked = check_fields(call.fields); !checked) return std::unexpected(checked.error());
        const Endpoint* endpoint = find_row<Endpoint>(endpoints, call);
        if (endpoint == nullptr) return std::unexpected(price_unknown("a method or path that is not known"));
        if (endpoint->call == TavilyCall::free) return free_quote();

        std::string body;
        const auto request = read_json_body(call, terms.decoded_bytes, body);
        if (!request) return std::unexpected(request.error());
        const auto credits = most_credits(endpoint->call, *request);
        if (!credits) return std::unexpected(credits.error());
        const std::string provider = terms.provider.empty() ? "tavily" : terms.provider;
        auto use =
            price_use(*terms.book, provider, "tavily", {.items = {{std::string{item_credits}, *credits}}});
        if (!use) return std::unexpected(use.error());

        const bool research = endpoint->call == TavilyCall::research;
        // A task that is only begun tells no use when it answers, and reading its report is free.
        if (research && !is_true(*request, "stream")) return flat_quote(*std::move(use));
        Quote quote;
        quote.bound = use->cost;
        if (!research && !is_true(*request, "include_usage")) {
            set_member(body, "include_usage", "true");
            quote.body = std::move(body);
        }
        AnswerTerms answer{.book = terms.book, .provider = provider, .model = "tavily"};
        answer.bound = quote.bound;
        answer.answer_bytes = terms.answer_bytes;
        quote.answer = make_answer_meter(std::move(answer), make_tavily_reader());
        return quote;
    }
};

}  // namespace

const Meter& tavily_meter() {
    static const TavilyMeter meter;
    return meter;
}

}  // namespace nomiqon::metering
