#pragma once

#include <expected>
#include <span>
#include <string>
#include <vector>

#include "model_price.h"

namespace nomiqon::metering {

/// What a use of a model costs: the one function that bounds and settles (rules 11 and 15). Exact, rounded up
/// once to 1e-9 USDC; never falls when a counter grows. The error says what can't be priced, for a person: a
/// counter, an item, a tier or a region without a rate, a negative count, a sum beyond what Usdc holds.
[[nodiscard]] std::expected<Usdc, std::string> price(const ModelPrice& model, const Usage& usage,
                                                     const Terms& terms);

/// The price under the dearest of `terms`: for a bound where the request leaves open under which it is
/// served. An error if any of them can't be priced, or there are none.
[[nodiscard]] std::expected<Usdc, std::string> dearest(const ModelPrice& model, const Usage& usage,
                                                       std::span<const Terms> terms);

/// The terms under which the provider may serve a call that asks for `asked` (rule 11): `asked` itself, but
/// an empty or `auto` service tier stands for every tier of the entry that a single call can be served in:
/// all but `batch` and `decisions`, which have endpoints of their own.
[[nodiscard]] std::vector<Terms> permitted_terms(const ModelPrice& model, const Terms& asked);

/// `dearest` under `permitted_terms`: what most bounds need.
[[nodiscard]] std::expected<Usdc, std::string> bound_price(const ModelPrice& model, const Usage& usage,
                                                           const Terms& asked);

}  // namespace nomiqon::metering
