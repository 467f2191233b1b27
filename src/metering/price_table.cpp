#include "nomiqon/metering/price_table.h"

#include <algorithm>
#include <array>

#include "model_price.h"
#include "rate.h"

namespace nomiqon::metering {
namespace {

constexpr std::uint64_t million = 1'000'000, second = 1000;

std::string factor_text(Multiplier factor) {
    std::string text = std::to_string(factor.numerator / factor.denominator);
    std::uint32_t rest = factor.numerator % factor.denominator;
    if (rest != 0) text += '.';
    for (std::uint32_t place = factor.denominator / 10; rest != 0; place /= 10) {
        text += static_cast<char>('0' + rest / place);
        rest %= place;
    }
    return text;
}

}  // namespace

std::optional<PriceEntry> describe(const PriceBook& book, std::string_view key) {
    const ModelPrice* const price = book.entry(key);
    if (price == nullptr) return std::nullopt;
    PriceEntry entry{.key = price->key(),
                     .provider = price->provider(),
                     .mode = price->mode(),
                     .free = price->is_free(),
                     .max_input_tokens = price->max_input_tokens(),
                     .max_output_tokens = price->max_output_tokens()};
    for (std::size_t tier = 0; tier < price->tiers().size(); ++tier) {
        for (const auto& sheet : price->sheets(tier)) {
            for (std::size_t counter = 0; counter < counters; ++counter) {
                const auto& rate = sheet.rates[counter];
                if (!rate) continue;
                entry.rows.push_back({.what = std::string{name_of(static_cast<Counter>(counter))},
                                      .tier = price->tiers()[tier],
                                      .above = sheet.above,
                                      .usd = rate_text(*rate, million),
                                      .per = "1M tokens"});
            }
        }
    }
    for (const auto& [item, rate] : price->items()) {
        const bool time = item.ends_with("_ms");
        entry.rows.push_back({.what = time ? item.substr(0, item.size() - 3) : item,
                              .tier = {},
                              .usd = rate_text(rate, time ? second : 1),
                              .per = time ? "second" : "one"});
    }
    if (price->fast()) entry.factors.push_back({.what = "fast", .factor = factor_text(*price->fast())});
    for (const auto& [region, factor] : price->regions())
        entry.factors.push_back({.what = region, .factor = factor_text(factor)});
    return entry;
}

}  // namespace nomiqon::metering
