#pragma once

#include <algorithm>
#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "endpoint.h"
#include "nomiqon/core/refusal.h"
#include "nomiqon/metering/meter.h"

// What the meters of providers share that sell by the call, the credit or the unit, not by the token.

namespace nomiqon::metering {

/// A use of one of the price book's entries, and what it costs.
struct PricedUse {
    Usdc cost{};
    std::string basis{};  ///< of a charge of just that
};

/// `price_unknown` where the book has no such entry, or it has no rate for that.
[[nodiscard]] std::expected<PricedUse, Refusal> price_use(const PriceBook& book, std::string_view provider,
                                                          std::string_view model, const Usage& usage);

/// A call that the provider takes nothing for.
[[nodiscard]] Quote free_quote();
/// A call that costs just that if it is served.
[[nodiscard]] Quote flat_quote(PricedUse use);

/// Refuses a parameter that is there twice, of which a provider could take the first and another reader the
/// last (rule 6), whatever percent-encoding hides it. Those in `lists` may be repeated, and names that end in
/// `[]`.
[[nodiscard]] std::expected<void, Refusal> check_query(std::string_view query,
                                                       std::span<const std::string_view> lists);

/// The row of exactly this method and path; null: there is none. HEAD costs as GET (rule 1).
template <class Row>
[[nodiscard]] const Row* find_row(std::span<const Row> rows, const Call& call) {
    const std::string_view method = call.method == "HEAD" ? "GET" : call.method;
    const auto found = std::ranges::find_if(
        rows, [&](const Row& row) { return row.method == method && path_is(call.path, row.path); });
    return found == rows.end() ? nullptr : &*found;
}

}  // namespace nomiqon::metering
