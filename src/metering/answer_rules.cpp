#include "answer_rules.h"

#include <algorithm>
#include <utility>

#include "basis.h"

namespace nomiqon::metering {

namespace {

constexpr std::size_t longest_model = 128;

/// As reports and logs may hold it: the provider isn't trusted to send a name.
std::string printable(std::string_view model) {
    std::string name{model.substr(0, longest_model)};
    std::ranges::replace_if(name, [](char c) { return c < 0x21 || c > 0x7E; }, '?');
    return name;
}

std::string model_of(const Reported& reported) {
    std::string model;
    for (const Pass& pass : reported.passes) {
        if (!pass.model.empty()) model = printable(pass.model);
    }
    return model;
}

bool is_zero(const Reported& reported) {
    return std::ranges::all_of(reported.passes, [](const Pass& pass) {
        return pass.usage.tokens_read() == 0 && pass.usage.tokens_written() == 0 &&
               std::ranges::all_of(pass.usage.items, [](const auto& item) { return item.second == 0; });
    });
}

/// The answer's own terms go before the request's. A reader tells `fast` of every answer, so there is nothing
/// to add.
Terms terms_of(const Terms& asked, const Terms& answered) {
    return {.service_tier = answered.service_tier.empty() ? asked.service_tier : answered.service_tier,
            .fast = answered.fast,
            .region = answered.region.empty() ? asked.region : answered.region};
}

class Settlement {
  public:
    explicit Settlement(const AnswerTerms& terms) : terms_(terms) {}

    void add(Pass pass) {
        take_route_fees(pass.usage);
        const ModelPrice* price = pass.model.empty()
                                      ? terms_.book->find(terms_.provider, terms_.model)
                                      : terms_.book->find_answered(terms_.provider, terms_.model, pass.model);
        if (price == nullptr) return complain("the price book has no price for " + printable(pass.model));
        PricedPass priced{.price = price, .terms = terms_of(terms_.terms, pass.terms), .usage = pass.usage};
        if (const auto cost = metering::price(*price, priced.usage, priced.terms); cost) {
            passes_.push_back(std::move(priced));
            return;
        } else {
            complain(cost.error());
        }
        // What can be computed: its tokens under the terms that every entry has.
        priced.terms = {};
        priced.usage.items.clear();
        if (metering::price(*price, priced.usage, priced.terms)) passes_.push_back(std::move(priced));
    }

    void complain(std::string problem) {
        if (problem_.empty()) problem_ = std::move(problem);
    }

    [[nodiscard]] Charge charge() {
        auto cost = total(passes_, fees_);
        if (!cost) {
            complain(cost.error());
            passes_.clear();
            fees_.clear();
            cost = Usdc{};
        }
        Charge charge{.kind = Charge::Kind::cost, .cost = *cost, .alarm = problem_};
        if (problem_.empty()) {
            charge.basis = write_basis(*terms_.book, passes_, fees_);
        } else {
            charge.cost = std::max(*cost, terms_.bound);
            charge.basis = write_basis(*terms_.book, passes_, fees_, terms_.bound);
        }
        return charge;
    }

  private:
    void take_route_fees(Usage& usage) {
        for (const auto& [item, fee] : terms_.route_fees) {
            const auto found = usage.items.find(item);
            if (found == usage.items.end()) continue;
            fees_.push_back({.item = item, .count = found->second, .fee = fee});
            usage.items.erase(found);
        }
    }

    const AnswerTerms& terms_;
    std::vector<PricedPass> passes_{};
    std::vector<RouteFee> fees_{};
    std::string problem_{};
};

Charge in_full(const AnswerTerms& terms, Charge::Kind kind, std::string alarm = {}) {
    return {.kind = kind, .cost = terms.bound, .alarm = std::move(alarm)};
}

/// Rule 15.
Charge by_usage(const AnswerTerms& terms, const SeenAnswer& answer, const Reported& reported) {
    Settlement settlement{terms};
    if (!reported.unpriced.empty()) settlement.complain(reported.unpriced);
    if (answer.unreadable) settlement.complain("a part of the answer can't be read");
    if (answer.lossy) settlement.complain("the answer is too long to be read in full");
    for (const Pass& pass : reported.passes)
        settlement.add(pass);
    return settlement.charge();
}

/// Rule 15's figure of the provider's own.
Charge by_statement(const AnswerTerms& terms, const SeenAnswer& answer, Usdc stated) {
    if (stated < Usdc{} || answer.unreadable) {
        Charge charge = in_full(terms, Charge::Kind::in_full, "the provider's own cost can't be believed");
        charge.cost = std::max(terms.bound, stated);
        return charge;
    }
    return {.kind = Charge::Kind::cost, .cost = stated, .basis = stated_basis(stated)};
}

/// An answer with a status of success: rules 15 and 16, and rule 17's error inside a stream.
Charge served(const AnswerTerms& terms, const SeenAnswer& answer, const Reported& reported) {
    using Kind = Charge::Kind;
    const bool came = reported.content;
    if (reported.stated_cost && !(reported.stated_cost->is_zero() && came)) {
        return by_statement(terms, answer, *reported.stated_cost);
    }
    if (!reported.unpriced.empty()) return by_usage(terms, answer, reported);
    if (!reported.stated_cost && reported.usage && !(is_zero(reported) && came)) {
        return by_usage(terms, answer, reported);
    }
    if (answer.unreadable) return in_full(terms, Kind::in_full, "the answer can't be read");
    if (came || !reported.failed) return in_full(terms, Kind::in_full);
    return {.kind = Kind::cost};
}

Charge by_status(const AnswerTerms& terms, const SeenAnswer& answer, const Reported& reported) {
    constexpr int timeout = 408;
    constexpr int client_closed = 499;
    const int status = answer.status;
    if (!answer.whole) return in_full(terms, Charge::Kind::unknown);
    if (status >= 200 && status <= 299) return served(terms, answer, reported);
    const bool refused = status >= 300 && status <= 499 && status != timeout && status != client_closed;
    const bool failed = status >= 500 && status <= 599 && reported.failed && !answer.unreadable;
    if (!refused && !failed) return in_full(terms, Charge::Kind::unknown);
    if (reported.usage || !reported.unpriced.empty()) return by_usage(terms, answer, reported);
    return {.kind = Charge::Kind::cost};
}

}  // namespace

Charge rule(const AnswerTerms& terms, const SeenAnswer& answer, const Reported& reported) {
    Charge charge = by_status(terms, answer, reported);
    charge.model = model_of(reported);
    return charge;
}

}  // namespace nomiqon::metering
