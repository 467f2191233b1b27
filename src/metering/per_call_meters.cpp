#include "per_call_meters.h"

#include <array>
#include <span>
#include <string>
#include <utility>

#include "answer_reader.h"
#include "items.h"
#include "per_call.h"
#include "request_reader.h"
#include "serpapi_usage.h"

namespace nomiqon::metering {

namespace {

struct Endpoint {
    std::string_view method;
    std::string_view path;
    std::string_view entry;  ///< of the price book, behind the provider's name; empty: free
};

struct Provider {
    std::string_view name;  ///< of the meter, and in the price book
    std::span<const Endpoint> endpoints;
    std::span<const std::string_view> lists;  ///< parameters that are meant to be repeated
    bool tells_failures;                      ///< its answers say whether the search counts
};

/// https://api-dashboard.search.brave.com/documentation. Not here, and so unpriced: the answers of
/// `/res/v1/chat/completions`, which run searches of their own and cost tokens.
constexpr auto brave_endpoints = std::to_array<Endpoint>({
    {"GET", "/res/v1/web/search", "search"},
    {"GET", "/res/v1/web/rich", "search"},
    {"GET", "/res/v1/news/search", "search"},
    {"GET", "/res/v1/images/search", "search"},
    {"GET", "/res/v1/videos/search", "search"},
    {"GET", "/res/v1/llm/context", "search"},
    {"POST", "/res/v1/llm/context", "search"},
    {"GET", "/res/v1/local/pois", "search"},
    {"GET", "/res/v1/local/descriptions", "search"},
    {"GET", "/res/v1/local/place_search", "search"},
    {"GET", "/res/v1/summarizer/search", "search"},
    {"GET", "/res/v1/summarizer/summary", "search"},
    {"GET", "/res/v1/summarizer/summary_streaming", "search"},
    {"GET", "/res/v1/summarizer/title", "search"},
    {"GET", "/res/v1/summarizer/enrichments", "search"},
    {"GET", "/res/v1/summarizer/followups", "search"},
    {"GET", "/res/v1/summarizer/entity_info", "search"},
    {"GET", "/res/v1/suggest/search", "suggest"},
    {"GET", "/res/v1/spellcheck/search", "spellcheck"},
});
constexpr auto brave_lists = std::to_array<std::string_view>({"ids", "goggles"});

/// The Bing Search APIs v7, which Microsoft retired in August 2025. A key that still works pays for each.
constexpr auto bing_endpoints = std::to_array<Endpoint>({
    {"GET", "/v7.0/search", "search"},
    {"GET", "/v7.0/images/search", "search"},
    {"GET", "/v7.0/images/details", "search"},
    {"GET", "/v7.0/images/trending", "search"},
    {"POST", "/v7.0/images/visualsearch", "search"},
    {"GET", "/v7.0/news", "search"},
    {"GET", "/v7.0/news/search", "search"},
    {"GET", "/v7.0/news/trendingtopics", "search"},
    {"GET", "/v7.0/videos/search", "search"},
    {"GET", "/v7.0/videos/details", "search"},
    {"GET", "/v7.0/videos/trending", "search"},
    {"GET", "/v7.0/entities", "search"},
    {"GET", "/v7.0/suggestions", "search"},
    {"GET", "/v7.0/spellcheck", "search"},
    {"POST", "/v7.0/spellcheck", "search"},
});

/// https://serpapi.com/search-api, …/account-api, …/locations-api, …/search-archive-api.
constexpr auto serpapi_endpoints = std::to_array<Endpoint>({
    {"GET", "/search", "search"},
    {"GET", "/search.json", "search"},
    {"GET", "/search.html", "search"},
    {"GET", "/account", ""},
    {"GET", "/account.json", ""},
    {"GET", "/locations", ""},
    {"GET", "/locations.json", ""},
    {"GET", "/searches/{}", ""},  // `<id>.json`, `<id>.html`: paid when they were searched
});

class PerCallMeter final : public Meter {
  public:
    explicit PerCallMeter(const Provider& provider) : provider_(provider) {}

    [[nodiscard]] std::string_view name() const override { return provider_.name; }

    [[nodiscard]] std::expected<Quote, Refusal> quote(const Call& call,
                                                      const MeterTerms& terms) const override {
        if (auto checked = check_fields(call.fields); !checked) return std::unexpected(checked.error());
        const Endpoint* endpoint = find_row(provider_.endpoints, call);
        if (endpoint == nullptr) return std::unexpected(price_unknown("a method or path that is not known"));
        if (auto checked = check_query(call.query, provider_.lists); !checked) {
            return std::unexpected(checked.error());
        }
        if (endpoint->entry.empty()) return free_quote();

        const std::string provider = terms.provider.empty() ? std::string{provider_.name} : terms.provider;
        const Usage one{.items = {{std::string{item_queries}, 1}}};
        auto use = price_use(*terms.book, provider, endpoint->entry, one);
        if (!use) return std::unexpected(use.error());
        if (!provider_.tells_failures) return flat_quote(*std::move(use));

        Quote quote;
        quote.bound = use->cost;
        AnswerTerms answer{.book = terms.book, .provider = provider, .model = std::string{endpoint->entry}};
        answer.bound = use->cost;
        answer.answer_bytes = terms.answer_bytes;
        quote.answer = make_answer_meter(std::move(answer), make_serpapi_reader());
        return quote;
    }

  private:
    const Provider& provider_;
};

constexpr Provider brave{
    .name = "brave", .endpoints = brave_endpoints, .lists = brave_lists, .tells_failures = false};
constexpr Provider bing{.name = "bing", .endpoints = bing_endpoints, .lists = {}, .tells_failures = false};
constexpr Provider serpapi{
    .name = "serpapi", .endpoints = serpapi_endpoints, .lists = {}, .tells_failures = true};

}  // namespace

const Meter& brave_meter() {
    static const PerCallMeter meter{brave};
    return meter;
}

const Meter& bing_meter() {
    static const PerCallMeter meter{bing};
    return meter;
}

const Meter& serpapi_meter() {
    static const PerCallMeter meter{serpapi};
    return meter;
}

}  // namespace nomiqon::metering
