#include "price.h"

#include <algorithm>
#include <array>

namespace nomiqon::metering {
namespace {

// More of anything than one call can use; keeps sums of counters that a provider made up from overflowing.
constexpr std::int64_t most_of_one = 1'000'000'000'000;

std::unexpected<std::string> unpriced(const ModelPrice& model, const std::string& what) {
    return std::unexpected("`" + model.key() + "` has no rate for " + what);
}

std::unexpected<std::string> too_much() {
    return std::unexpected(std::string{"the price is beyond what can be paid"});
}

bool is_count(std::int64_t count) {
    return count >= 0 && count <= most_of_one;
}

/// Whether `total` + `count` × `rate` fits; then it is added.
bool add(Wide& total, std::int64_t count, Rate rate) {
    Wide product = 0;
    return !__builtin_mul_overflow(static_cast<Wide>(count), rate.units, &product) &&
           !__builtin_add_overflow(total, product, &total);
}

std::expected<void, std::string> check_counts(const Usage& usage) {
    for (std::size_t i = 0; i < counters; ++i)
        if (!is_count(count_of(usage, static_cast<Counter>(i))))
            return std::unexpected("no call uses that many tokens: " +
                                   std::string{name_of(static_cast<Counter>(i))});
    for (const auto& [item, count] : usage.items)
        if (!is_count(count)) return std::unexpected("no call uses that many: " + item);
    return {};
}

std::expected<Wide, std::string> tokens(const ModelPrice& model, const Usage& usage, const Terms& terms) {
    const std::string tier{canonical_tier(terms.service_tier)};
    const RateSheet* const sheet = model.sheet(tier, usage.tokens_read());
    if (sheet == nullptr) return unpriced(model, "the service tier `" + tier + '`');
    Wide sum = 0;
    for (std::size_t i = 0; i < counters; ++i) {
        const auto counter = static_cast<Counter>(i);
        const auto count = count_of(usage, counter);
        if (count == 0) continue;
        const auto& rate = sheet->rates[i];
        if (!rate)
            return unpriced(model,
                            std::string{name_of(counter)} + " tokens in the service tier `" + tier + '`');
        if (!add(sum, count, *rate)) return too_much();
    }
    return sum;
}

std::expected<Wide, std::string> things(const ModelPrice& model, const Usage& usage) {
    Wide sum = 0;
    bool requests = false;
    for (const auto& [item, count] : usage.items) {
        requests = requests || (item == item_requests && count > 0);
        if (count == 0) continue;
        const auto rate = model.item_rate(item);
        if (!rate) return unpriced(model, '`' + item + '`');
        if (!add(sum, count, *rate)) return too_much();
    }
    // What is paid by the request is paid for each, whether or not a reader of answers thinks of it.
    if (const auto rate = model.item_rate(item_requests); rate && !requests && !add(sum, 1, *rate))
        return too_much();
    return sum;
}

/// (tokens × each factor + items), rounded up once: over one denominator, so that nothing is rounded before.
std::expected<Usdc, std::string> add_up(Wide tokens, Wide items, const std::array<Multiplier, 2>& factors) {
    Wide denominator = 1;
    for (const auto& factor : factors) {
        denominator *= factor.denominator;
        if (__builtin_mul_overflow(tokens, Wide{factor.numerator}, &tokens)) return too_much();
    }
    Wide sum = 0;
    if (__builtin_mul_overflow(items, denominator, &sum) || __builtin_add_overflow(sum, tokens, &sum))
        return too_much();
    // Rounding up twice, to whole units and to whole nanos, is rounding up once.
    const auto cost = to_usdc(sum / denominator + (sum % denominator == 0 ? 0 : 1));
    if (!cost) return too_much();
    return *cost;
}

}  // namespace

std::expected<Usdc, std::string> price(const ModelPrice& model, const Usage& usage, const Terms& terms) {
    if (auto counts = check_counts(usage); !counts) return std::unexpected(counts.error());
    const auto of_tokens = tokens(model, usage, terms);
    if (!of_tokens) return std::unexpected(of_tokens.error());
    const auto of_items = things(model, usage);
    if (!of_items) return std::unexpected(of_items.error());
    std::array<Multiplier, 2> factors{};
    if (terms.fast) {
        const auto fast = model.fast();
        if (!fast && !model.is_free()) return unpriced(model, "the fast mode");
        factors[0] = fast.value_or(Multiplier{});
    }
    const auto region = model.region(terms.region);
    if (!region) return unpriced(model, "the region `" + terms.region + '`');
    factors[1] = *region;
    return add_up(*of_tokens, *of_items, factors);
}

std::expected<Usdc, std::string> dearest(const ModelPrice& model, const Usage& usage,
                                         std::span<const Terms> terms) {
    if (terms.empty()) return unpriced(model, "any terms that the call could be served under");
    Usdc most;
    for (const auto& each : terms) {
        const auto cost = price(model, usage, each);
        if (!cost) return cost;
        most = std::max(most, *cost);
    }
    return most;
}

std::vector<Terms> permitted_terms(const ModelPrice& model, const Terms& asked) {
    if (!asked.service_tier.empty() && asked.service_tier != "auto") return {asked};
    std::vector<Terms> permitted;
    for (const auto& tier : model.tiers()) {
        if (tier == "batch" || tier == "decisions") continue;
        permitted.push_back(asked);
        permitted.back().service_tier = tier;
    }
    return permitted;
}

std::expected<Usdc, std::string> bound_price(const ModelPrice& model, const Usage& usage,
                                             const Terms& asked) {
    return dearest(model, usage, permitted_terms(model, asked));
}

}  // namespace nomiqon::metering
