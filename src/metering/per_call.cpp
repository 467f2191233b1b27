#include "per_call.h"

#include <array>
#include <optional>
#include <set>
#include <utility>

#include "answer_reader.h"
#include "basis.h"
#include "request_reader.h"

namespace nomiqon::metering {

namespace {

std::optional<int> hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return std::nullopt;
}

/// application/x-www-form-urlencoded (WHATWG URL, section 5.1): a broken escape stands for itself.
std::string decoded(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size()) {
            const auto high = hex_digit(text[i + 1]);
            const auto low = hex_digit(text[i + 2]);
            if (high && low) {
                result += static_cast<char>(*high * 16 + *low);
                i += 2;
                continue;
            }
        }
        result += text[i] == '+' ? ' ' : text[i];
    }
    return result;
}

}  // namespace

std::expected<PricedUse, Refusal> price_use(const PriceBook& book, std::string_view provider,
                                            std::string_view model, const Usage& usage) {
    const ModelPrice* entry = book.find(provider, model);
    if (entry == nullptr) {
        return std::unexpected(price_unknown("the price book has no price for " + std::string{provider} +
                                             '/' + std::string{model}));
    }
    const auto cost = price(*entry, usage, {});
    if (!cost) return std::unexpected(price_unknown(cost.error()));
    const std::array pass{PricedPass{.price = entry, .usage = usage}};
    return PricedUse{.cost = *cost, .basis = write_basis(book, pass)};
}

Quote free_quote() {
    Quote quote;
    quote.free = true;
    quote.answer = make_flat_answer_meter({}, flat_basis({}));
    return quote;
}

Quote flat_quote(PricedUse use) {
    Quote quote;
    quote.bound = use.cost;
    quote.answer = make_flat_answer_meter(use.cost, std::move(use.basis));
    return quote;
}

std::expected<void, Refusal> check_query(std::string_view query, std::span<const std::string_view> lists) {
    std::set<std::string, std::less<>> seen;
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view parameter = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (parameter.empty()) continue;
        std::string name = decoded(parameter.substr(0, parameter.find('=')));
        if (name.ends_with("[]") || std::ranges::find(lists, std::string_view{name}) != lists.end()) continue;
        if (!seen.insert(std::move(name)).second) {
            return std::unexpected(bad_request("a parameter of the query is there twice"));
        }
    }
    return {};
}

}  // namespace nomiqon::metering
