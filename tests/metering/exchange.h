#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nomiqon/metering/meter.h"

/// One exchange with a provider, as a meter sees it: the request in, the quote out, the answer in, the charge
/// out.
namespace nomiqon::metering::testing {

struct Fields {
    std::vector<std::pair<std::string, std::string>> all{};
    [[nodiscard]] std::vector<Field> view() const {
        std::vector<Field> fields;
        for (const auto& [name, value] : all)
            fields.push_back({name, value});
        return fields;
    }
};

inline std::expected<Quote, Refusal> ask(const Meter& meter, const MeterTerms& terms, std::string_view method,
                                         std::string_view path, std::string_view body,
                                         std::string_view query = {}) {
    const Fields fields{{{"Content-Type", "application/json"}}};
    const auto view = fields.view();
    return meter.quote({.method = method, .path = path, .query = query, .fields = view, .body = body}, terms);
}

inline std::string refusal(const std::expected<Quote, Refusal>& quote) {
    return quote ? "none" : std::string{info(quote.error().code).name};
}

struct Answer {
    int status = 200;
    std::string type = "application/json";
    std::string body{};
    std::string coding{};
    AnswerEnd end = AnswerEnd::complete;
    std::size_t piece = std::string::npos;
};

/// What it cost; `out` receives what the client got.
inline Charge settle(AnswerMeter& meter, const Answer& answer, std::string* out = nullptr) {
    Fields fields{{{"content-type", answer.type}}};
    if (!answer.coding.empty()) fields.all.emplace_back("Content-Encoding", answer.coding);
    const auto view = fields.view();
    std::string passed;
    meter.begin(answer.status, view);
    for (std::string_view rest = answer.body; !rest.empty();) {
        const std::size_t count = std::min(answer.piece, rest.size());
        meter.read(rest.substr(0, count), passed);
        rest.remove_prefix(count);
    }
    Charge charge = meter.end(answer.end, passed);
    if (out != nullptr) *out = passed;
    return charge;
}

/// `cost 0.000010`, `in full 1.000000`, `unknown …`; with `!` where there is an alarm.
inline std::string text(const Charge& charge) {
    const std::string kind = charge.kind == Charge::Kind::cost      ? "cost "
                             : charge.kind == Charge::Kind::in_full ? "in full "
                                                                    : "unknown ";
    return kind + charge.cost.to_string() + (charge.alarm.empty() ? "" : "!");
}

}  // namespace nomiqon::metering::testing
