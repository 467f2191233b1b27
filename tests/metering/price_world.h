#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "basis.h"
#include "nomiqon/metering/price_book.h"

/// Price books of a few lines, and what they say of a use.
namespace nomiqon::metering::testing {

inline std::shared_ptr<const PriceBook> book_of(std::string_view json) {
    auto book = PriceBook::parse(json);
    EXPECT_TRUE(book) << (book ? "" : book.error().front().message);
    return book ? *book : std::make_shared<const PriceBook>();
}

/// A book with the one entry `m` of the provider `p`; `members` are the rest of it.
inline std::shared_ptr<const PriceBook> book_with(std::string_view members) {
    return book_of(R"({"m": {"litellm_provider": "p", )" + std::string{members} + "}}");
}

/// The amount, or `error: …`.
inline std::string text(const std::expected<Usdc, std::string>& cost) {
    return cost ? cost->to_string() : "error: " + cost.error();
}

inline std::string cost(const PriceBook& book, std::string_view key, const Usage& usage,
                        const Terms& terms = {}) {
    const auto* const entry = book.entry(key);
    if (entry == nullptr) return "no entry";
    return text(price(*entry, usage, terms));
}

/// Why the entry `m` prices nothing; empty: it does.
inline std::string problem_with(std::string_view members) {
    const auto problems = book_with(members)->check();
    return problems.empty() ? std::string{} : problems.front().message;
}

}  // namespace nomiqon::metering::testing
