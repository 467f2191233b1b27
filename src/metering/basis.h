#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nomiqon/metering/price_book.h"
#include "price.h"

/// How a charge was computed, as one line of JSON that the ledger keeps (rule 19):
///
///   {"book":"pb_…","passes":[{"entry":"gpt-4o","terms":{"tier":"flex","fast":true,"region":"us"},
///    "usage":{"input":10,"output":5,"items":{"web_search":2}}}],
///    "fees":[{"item":"web_search","count":2,"fee":"0.010000"}],"least":"0.020000"}
///
/// or, where no price book says the price, {"flat":"0.008000"} (a route's or a meter's fixed price) or
/// {"stated":"0.001200"} (the provider's own figure). `recompute` (meter.h) gives the charge of any of them.
namespace nomiqon::metering {

/// One pass and the entry that prices it.
struct PricedPass {
    const ModelPrice* price = nullptr;
    Terms terms{};
    Usage usage{};
};

/// Calls of a tool at a fee that the route gives, not the book (ToolTerms).
struct RouteFee {
    std::string item{};
    std::int64_t count = 0;
    Usdc fee{};
};

/// What all of it costs: the sum of `price` over the passes, and of count × fee.
[[nodiscard]] std::expected<Usdc, std::string> total(std::span<const PricedPass> passes,
                                                     std::span<const RouteFee> fees = {});

/// `least`: the charge is this much at least, because something in the answer can't be priced (rule 15).
[[nodiscard]] std::string write_basis(const PriceBook& book, std::span<const PricedPass> passes,
                                      std::span<const RouteFee> fees = {}, std::optional<Usdc> least = {});
[[nodiscard]] std::string flat_basis(Usdc amount);
[[nodiscard]] std::string stated_basis(Usdc amount);

}  // namespace nomiqon::metering
