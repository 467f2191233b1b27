#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/metering/meter.h"

/// Calls of the providers that sell by the call, and what their answers settle.
namespace nomiqon::metering::testing {

inline const MeterTerms& built_in_terms() {
    static const MeterTerms terms{.book = PriceBook::built_in()};
    return terms;
}

/// `target` is `POST /search` or `GET /search?q=a`.
inline std::expected<Quote, Refusal> ask(std::string_view meter, std::string_view target,
                                         std::string_view body = {},
                                         const MeterTerms& terms = built_in_terms(),
                                         const std::vector<Field>& fields = {}) {
    Call call;
    call.method = target.substr(0, target.find(' '));
    call.fields = fields;
    call.body = body;
    target.remove_prefix(call.method.size() + 1);
    call.path = target.substr(0, target.find('?'));
    if (call.path.size() < target.size()) call.query = target.substr(call.path.size() + 1);
    const Meter* found = find_meter(meter);
    if (found == nullptr)
        return std::unexpected(Refusal{.code = RefusalCode::bad_request, .detail = "there is no such meter"});
    return found->quote(call, terms);
}

/// `0.008000`, `free`, or the refusal's code.
inline std::string bound_of(const std::expected<Quote, Refusal>& quote) {
    if (!quote) return std::string{info(quote.error().code).name};
    return quote->free ? "free" : quote->bound.to_string();
}

struct Answer {
    int status = 200;
    std::string_view body{};
    AnswerEnd end = AnswerEnd::complete;
    std::string_view type = "application/json";
};

inline Charge charge_of(const std::expected<Quote, Refusal>& quote, const Answer& answer) {
    if (!quote) {
        ADD_FAILURE() << quote.error().detail;
        return {};
    }
    const std::vector<Field> fields{{"content-type", answer.type}};
    std::string out;
    quote->answer->begin(answer.status, fields);
    // Two pieces: no reader may depend on how an answer is cut.
    const std::size_t half = answer.body.size() / 2;
    quote->answer->read(answer.body.substr(0, half), out);
    quote->answer->read(answer.body.substr(half), out);
    Charge charge = quote->answer->end(answer.end, out);
    if (answer.end == AnswerEnd::complete) EXPECT_EQ(out, answer.body);
    if (!charge.basis.empty()) {
        EXPECT_EQ(recompute(charge.basis, *built_in_terms().book), charge.cost) << charge.basis;
    }
    return charge;
}

/// The cost, and how it was found where it wasn't reported: `0.008000 in_full`.
inline std::string settled(const std::expected<Quote, Refusal>& quote, const Answer& answer) {
    const Charge charge = charge_of(quote, answer);
    std::string text = charge.cost.to_string();
    if (charge.kind == Charge::Kind::in_full) text += " in_full";
    if (charge.kind == Charge::Kind::unknown) text += " unknown";
    if (!charge.alarm.empty()) text += " alarm";
    return text;
}

}  // namespace nomiqon::metering::testing
