#include "pinecone_meter.h"

#include <array>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>

#include "answer_reader.h"
#include "items.h"
#include "per_call.h"
#include "pinecone_units.h"
#include "pinecone_usage.h"
#include "request_reader.h"
#include "text_tokens.h"

namespace nomiqon::metering {

namespace {

using nlohmann::json;

enum class Does : std::uint8_t { free, upsert, update, remove, remove_namespace, read, embed, rerank };

struct Endpoint {
    std::string_view method;
    std::string_view path;
    Does does;
};

/// https://docs.pinecone.io/reference/api. What is missing is `price_unknown`: making and changing indexes,
/// collections and backups, imports, records with integrated embedding, documents, assistants.
constexpr auto endpoints = std::to_array<Endpoint>({
    {"POST", "/vectors/upsert", Does::upsert},
    {"POST", "/vectors/update", Does::update},
    {"POST", "/vectors/delete", Does::remove},
    {"POST", "/query", Does::read},
    {"GET", "/vectors/fetch", Does::read},
    {"POST", "/vectors/fetch_by_metadata", Does::read},
    {"GET", "/vectors/list", Does::read},
    {"GET", "/describe_index_stats", Does::free},
    {"POST", "/describe_index_stats", Does::free},
    {"GET", "/namespaces", Does::free},
    {"GET", "/namespaces/{}", Does::free},
    {"DELETE", "/namespaces/{}", Does::remove_namespace},
    {"GET", "/bulk/imports", Does::free},
    {"GET", "/bulk/imports/{}", Does::free},
    {"DELETE", "/bulk/imports/{}", Does::free},

    {"POST", "/embed", Does::embed},
    {"POST", "/rerank", Does::rerank},
    {"GET", "/models", Does::free},
    {"GET", "/models/{}", Does::free},

    {"GET", "/indexes", Does::free},
    {"GET", "/indexes/{}", Does::free},
    {"DELETE", "/indexes/{}", Does::free},
    {"GET", "/indexes/{}/backups", Does::free},
    {"GET", "/collections", Does::free},
    {"GET", "/collections/{}", Does::free},
    {"DELETE", "/collections/{}", Does::free},
    {"GET", "/backups", Does::free},
    {"GET", "/backups/{}", Does::free},
    {"DELETE", "/backups/{}", Does::free},
    {"GET", "/restore-jobs", Does::free},
    {"GET", "/restore-jobs/{}", Does::free},
});

constexpr auto embed_members = std::to_array<std::string_view>({"model", "inputs"});
constexpr auto rerank_members = std::to_array<std::string_view>({"model", "documents"});

/// Whose prices hold. Units cost more on a dearer plan, which no request tells: a route says it as its
/// provider, `pinecone/standard`. Else it is the book's entry of the provider's own name, else the dearest
/// plan's.
struct Prices {
    std::string provider = "pinecone";
    std::string plan{};

    explicit Prices(const MeterTerms& terms) {
        if (!terms.provider.empty()) provider = terms.provider;
        if (const std::size_t slash = provider.find('/'); slash != std::string::npos) {
            plan = provider.substr(slash + 1);
            provider.resize(slash);
        } else {
            plan = terms.book->find(provider, provider) != nullptr ? provider : "enterprise";
        }
    }
};

Quote metered_quote(const MeterTerms& terms, const Prices& prices, std::string model, Usdc bound) {
    Quote quote;
    quote.bound = bound;
    AnswerTerms answer{.book = terms.book, .provider = prices.provider, .model = std::move(model)};
    answer.bound = bound;
    answer.answer_bytes = terms.answer_bytes;
    quote.answer = make_answer_meter(std::move(answer), make_pinecone_reader());
    return quote;
}

std::expected<Quote, Refusal> quote_write(const MeterTerms& terms,
                                          const std::expected<std::int64_t, Refusal>& units) {
    if (!units) return std::unexpected(units.error());
    const Prices prices{terms};
    auto use = price_use(*terms.book, prices.provider, prices.plan,
                         {.items = {{std::string{item_write_units}, *units}}});
    if (!use) return std::unexpected(use.error());
    return flat_quote(*std::move(use));
}

std::expected<Quote, Refusal> quote_read(const MeterTerms& terms) {
    if (terms.max_read_units <= 0) {
        return std::unexpected(
            price_unknown("what a read costs grows with the index, and the route has no maxReadUnits"));
    }
    const Prices prices{terms};
    const auto use = price_use(*terms.book, prices.provider, prices.plan,
                               {.items = {{std::string{item_read_units}, terms.max_read_units}}});
    if (!use) return std::unexpected(use.error());
    return metered_quote(terms, prices, prices.plan, use->cost);
}

std::expected<std::string, Refusal> read_model(const json& request) {
    const auto found = request.find("model");
    if (found == request.end()) return std::unexpected(price_unknown("a request without a model"));
    if (!found->is_string()) return std::unexpected(bad_request("the model is no text"));
    return found->get<std::string>();
}

/// Tokens of the inputs, at most: each has the words that the model puts around it (`passage: `, marks of
/// start and end).
std::expected<std::int64_t, Refusal> embed_tokens(const json& request) {
    constexpr std::int64_t around = 16;
    const auto inputs = request.find("inputs");
    if (inputs == request.end() || !inputs->is_array()) {
        return std::unexpected(bad_request("inputs is no list"));
    }
    std::int64_t tokens = 0;
    for (const json& input : *inputs) {
        const bool has_text = input.is_object() && input.size() == 1 && input.contains("text");
        const json& text = has_text ? *input.find("text") : input;
        if (!text.is_string()) return std::unexpected(price_unknown("an input that is not just a text"));
        tokens += text_tokens(text.get_ref<const std::string&>()) + around;
    }
    return tokens;
}

/// Rerankings are sold by the request, whatever number of documents a model takes.
std::expected<Quote, Refusal> quote_inference(const json& request, const MeterTerms& terms, Does does) {
    const bool embeds = does == Does::embed;
    const std::span<const std::string_view> members = embeds
                                                          ? std::span<const std::string_view>{embed_members}
                                                          : std::span<const std::string_view>{rerank_members};
    if (auto checked = check_spelling(request, members); !checked) return std::unexpected(checked.error());
    auto model = read_model(request);
    if (!model) return std::unexpected(model.error());
    Usage usage;
    if (embeds) {
        const auto tokens = embed_tokens(request);
        if (!tokens) return std::unexpected(tokens.error());
        usage.input = *tokens;
    } else {
        usage.items[std::string{item_queries}] = 1;
    }
    const Prices prices{terms};
    const auto use = price_use(*terms.book, prices.provider, *model, usage);
    if (!use) return std::unexpected(use.error());
    Quote quote = metered_quote(terms, prices, *model, use->cost);
    quote.model = *std::move(model);
    return quote;
}

class PineconeMeter final : public Meter {
  public:
    [[nodiscard]] std::string_view name() const override { return "pinecone"; }

    [[nodiscard]] std::expected<Quote, Refusal> quote(const Call& call,
                                                      const MeterTerms& terms) const override {
        if (auto checked = check_fields(call.fields); !checked) return std::unexpected(checked.error());
        const Endpoint* endpoint = find_row<Endpoint>(endpoints, call);
        if (endpoint == nullptr) return std::unexpected(price_unknown("a method or path that is not known"));
        if (endpoint->does == Does::free) return free_quote();
        if (endpoint->does == Does::read) return quote_read(terms);
        if (endpoint->does == Does::remove_namespace) return quote_write(terms, least_write_units);

        std::string body;
        const auto request = read_json_body(call, terms.decoded_bytes, body);
        if (!request) return std::unexpected(request.error());
        switch (endpoint->does) {
            case Does::upsert:
                return quote_write(terms, upsert_units(*request));
            case Does::update:
                return quote_write(terms, update_units(*request));
            case Does::remove:
                return quote_write(terms, delete_units(*request));
            default:
                return quote_inference(*request, terms, endpoint->does);
        }
    }
};

}  // namespace

const Meter& pinecone_meter() {
    static const PineconeMeter meter;
    return meter;
}

}  // namespace nomiqon::metering
