#include "openai_bound.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

namespace nomiqon::metering {
namespace {

/// A kind of token, whether the request lets it come, and whether it must then have a rate: if it must and
/// has none, the answer could not be settled.
struct Kind {
    Counter counter;
    bool permitted;
    bool needed;
};

/// `usage` with `count` tokens in the dearest of `kinds`.
std::expected<void, std::string> add_dearest(const ModelPrice& model, const Terms& terms,
                                             std::span<const Kind> kinds, std::int64_t count, Usage& usage) {
    if (count == 0) return {};
    std::optional<Usdc> most;
    Counter chosen{};
    for (const Kind& kind : kinds) {
        if (!kind.permitted || (!kind.needed && !model.has_rate(kind.counter, terms.service_tier))) continue;
        Usage tried = usage;
        set_count(tried, kind.counter, count);
        const auto cost = price(model, tried, terms);
        if (!cost) return std::unexpected(cost.error());
        if (most && *cost <= *most) continue;
        most = *cost;
        chosen = kind.counter;
    }
    if (!most) return std::unexpected("`" + model.key() + "` has no rate for what this call may use");
    set_count(usage, chosen, count);
    return {};
}

std::expected<BoundPrice, std::string> under(const ModelPrice& model, const OpenAiBound& bound,
                                             const Terms& terms) {
    // Rates are chosen by the number of tokens read alone, so that the dearest kind of each side makes the
    // dearest call; and they are linear, so that no mixture of two kinds is dearer than the dearer one.
    const std::array<Kind, 8> read{{{Counter::input, bound.text_in, true},
                                    {Counter::input_audio, bound.audio_in, true},
                                    {Counter::input_image, bound.image_in, false},
                                    {Counter::cache_read, bound.text_in && bound.cached, false},
                                    {Counter::cache_read_audio, bound.audio_in && bound.cached, false},
                                    {Counter::cache_read_image, bound.image_in && bound.cached, false},
                                    {Counter::cache_write, bound.writes_cache, false},
                                    {Counter::cache_write_12h, bound.keeps_cache, false}}};
    const std::array<Kind, 4> written{{{Counter::output, bound.text_out, true},
                                       {Counter::output_reasoning, bound.reasoning_out, false},
                                       {Counter::output_audio, bound.audio_out, true},
                                       {Counter::output_image, bound.image_out, true}}};
    BoundPrice result{.terms = terms};
    result.usage.items = bound.items;
    if (auto added = add_dearest(model, terms, read, bound.input, result.usage); !added) {
        return std::unexpected(std::move(added.error()));
    }
    if (auto added = add_dearest(model, terms, written, bound.output, result.usage); !added) {
        return std::unexpected(std::move(added.error()));
    }
    const std::array<PricedPass, 1> pass{{{.price = &model, .terms = terms, .usage = result.usage}}};
    const auto cost = total(pass, bound.fees);
    if (!cost) return std::unexpected(cost.error());
    result.cost = *cost;
    return result;
}

}  // namespace

std::expected<BoundPrice, std::string> dearest_of(const ModelPrice& model, const OpenAiBound& bound,
                                                  const Terms& asked) {
    std::optional<BoundPrice> dearest;
    for (const Terms& terms : permitted_terms(model, asked)) {
        auto priced = under(model, bound, terms);
        if (!priced) return std::unexpected(std::move(priced.error()));
        if (!dearest || priced->cost > dearest->cost) dearest = std::move(*priced);
    }
    if (!dearest) return std::unexpected("`" + model.key() + "` has no rates for a single call");
    return std::move(*dearest);
}

}  // namespace nomiqon::metering
