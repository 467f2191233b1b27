#include "rate_sheets.h"

#include <algorithm>
#include <set>

namespace nomiqon::metering {
namespace {

constexpr std::size_t base_tier = 0;  // `default`

bool is_discount(std::string_view tier) {
    return tier == "flex" || tier == "batch";
}

bool is_read(Counter counter) {
    return counter < Counter::output;
}
bool is_base(Counter counter) {
    return counter == Counter::input || counter == Counter::output;
}
Counter base_of(Counter counter) {
    return is_read(counter) ? Counter::input : Counter::output;
}

/// Looks rates up by counter, tier and step, and works out those that the entry doesn't have.
class Resolver {
  public:
    Resolver(const std::vector<OwnRate>& own, const RateRules& rules) : rules_(rules) {
        std::set<std::int64_t> steps{0};
        std::set<std::string> tiers;
        for (const auto& rate : own) {
            steps.insert(rate.above);
            if (rate.tier != "default") tiers.insert(rate.tier);
        }
        steps_.assign(steps.begin(), steps.end());
        tiers_.emplace_back("default");
        tiers_.insert(tiers_.end(), tiers.begin(), tiers.end());
        own_.resize(counters * tiers_.size() * steps_.size());
        for (const auto& rate : own) {
            const auto tier = std::ranges::find(tiers_, rate.tier) - tiers_.begin();
            const auto step = std::ranges::find(steps_, rate.above) - steps_.begin();
            auto& slot = at(rate.counter, static_cast<std::size_t>(tier), static_cast<std::size_t>(step));
            if (!slot || *slot < rate.rate) slot = rate.rate;  // two keys of one rate: the dearer counts
        }
    }

    RateSheets make() {
        RateSheets result{.tiers = tiers_, .sheets = {}};
        for (std::size_t tier = 0; tier < tiers_.size(); ++tier) {
            auto& sheets = result.sheets.emplace_back();
            for (std::size_t step = 0; step < steps_.size(); ++step) {
                RateSheet sheet{.above = steps_[step]};
                for (std::size_t counter = 0; counter < counters; ++counter)
                    sheet.rates[counter] = final_rate(counter, tier, step, sheets);
                sheets.push_back(sheet);
            }
        }
        return result;
    }

  private:
    using Maybe = std::optional<Rate>;

    Maybe& at(Counter counter, std::size_t tier, std::size_t step) {
        return own_[(static_cast<std::size_t>(counter) * tiers_.size() + tier) * steps_.size() + step];
    }

    Maybe final_rate(std::size_t counter, std::size_t tier, std::size_t step,
                     const std::vector<RateSheet>& below) {
        auto rate = resolve(static_cast<Counter>(counter), tier, step);
        if (!rate && rules_.free) rate = Rate{};
        if (step > 0 && below.back().rates[counter])
            rate = std::max(rate.value_or(Rate{}), *below.back().rates[counter]);
        return rate;
    }

    Maybe resolve(Counter counter, std::size_t tier, std::size_t step) {
        if (const auto& own = at(counter, tier, step)) return own;
        return is_base(counter) ? resolve_base(counter, tier, step) : resolve_other(counter, tier, step);
    }

    Maybe resolve_base(Counter counter, std::size_t tier, std::size_t step) {
        if (step == 0) {
            const bool discount = tier != base_tier && is_discount(tiers_[tier]);
            return discount ? at(counter, base_tier, 0) : std::nullopt;
        }
        const auto lower = resolve(counter, tier, step - 1);
        if (tier == base_tier) return lower;
        const auto normal = resolve(counter, base_tier, step);
        if (is_discount(tiers_[tier])) return rises(counter, step) ? normal : lower;
        return scaled(lower, normal, resolve(counter, base_tier, step - 1));
    }

    bool rises(Counter counter, std::size_t step) {
        return resolve(counter, base_tier, step) != resolve(counter, base_tier, step - 1);
    }

    Maybe resolve_other(Counter counter, std::size_t tier, std::size_t step) {
        const Counter base = base_of(counter);
        for (std::size_t lower = step; lower-- > 0;) {
            const auto& own = at(counter, tier, lower);
            if (!own) continue;
            const auto from = resolve(base, tier, lower), to = resolve(base, tier, step);
            return from && to ? scaled(own, to, from) : own;
        }
        if (tier != base_tier) {
            if (const auto normal = resolve(counter, base_tier, step); normal && has_own(counter)) {
                if (is_discount(tiers_[tier])) return normal;
                return scaled(normal, resolve(base, tier, step), resolve(base, base_tier, step));
            }
        }
        const auto other = stand_in(counter);
        return other ? resolve(*other, tier, step) : std::nullopt;
    }

    bool has_own(Counter counter) {
        for (std::size_t step = 0; step < steps_.size(); ++step)
            if (at(counter, base_tier, step)) return true;
        return false;
    }

    /// The counter whose rate is this one's where it has none.
    [[nodiscard]] std::optional<Counter> stand_in(Counter counter) const {
        switch (counter) {
            case Counter::cache_read:
                return Counter::input;
            case Counter::cache_read_audio:
                return Counter::input_audio;
            case Counter::cache_read_image:
                return Counter::input_image;
            case Counter::output_reasoning:
                return Counter::output;
            case Counter::input_image:
                return rules_.takes_images ? std::optional{Counter::input} : std::nullopt;
            case Counter::input_audio:
                return rules_.takes_audio ? std::optional{Counter::input} : std::nullopt;
            case Counter::input_video:
                return rules_.takes_video ? std::optional{Counter::input} : std::nullopt;
            default:
                return std::nullopt;
        }
    }

    /// `rate` × to / from, and never less than `rate`. Nothing where one is missing: how much dearer it gets
    /// isn't known.
    static Maybe scaled(Maybe rate, Maybe to, Maybe from) {
        if (!rate || !to || !from) return std::nullopt;
        if (to->units <= from->units) return rate;
        if (from->units == 0) return std::nullopt;
        const auto units = multiply_up(rate->units, to->units, from->units);
        return units ? std::optional{Rate{*units}} : std::nullopt;
    }

    RateRules rules_;
    std::vector<std::int64_t> steps_;
    std::vector<std::string> tiers_;
    std::vector<Maybe> own_;
};

}  // namespace

RateSheets make_rate_sheets(const std::vector<OwnRate>& own, const RateRules& rules) {
    return Resolver{own, rules}.make();
}

}  // namespace nomiqon::metering
