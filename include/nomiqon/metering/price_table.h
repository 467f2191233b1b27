#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/metering/price_book.h"

// A price book for people: what `nomiqon prices` shows and imports. Nothing here is on a request's way.

namespace nomiqon::metering {

/// One rate as it is applied, with what docs/prices.md says of missing ones.
struct PriceRow {
    std::string what;        ///< `input`, `cache_write_1h`, `web_search`, …
    std::string tier;        ///< `default`, `flex`, …; empty of what is no token
    std::int64_t above = 0;  ///< tokens read
    std::string usd;         ///< decimal
    std::string per;         ///< `1M tokens`, `second`, `one`
};

struct PriceFactor {
    std::string what;    ///< `fast`, or a region
    std::string factor;  ///< decimal
};

struct PriceEntry {
    std::string key, provider, mode;
    bool free = false;
    std::optional<std::int64_t> max_input_tokens{}, max_output_tokens{};
    std::vector<PriceRow> rows{};
    std::vector<PriceFactor> factors{};
};

/// Nothing: there is no such key, or its entry prices nothing.
[[nodiscard]] std::optional<PriceEntry> describe(const PriceBook& book, std::string_view key);

struct ImportFilter {
    std::vector<std::string> providers;  ///< `litellm_provider`; empty: all
    std::vector<std::string> models;     ///< keys; a `*` at the end stands for anything; empty: all
};

struct Import {
    std::string document;  ///< a price book: one line an entry, sorted, with the keys that are read
    std::size_t kept = 0;
    std::vector<PriceProblem> left_out;  ///< that the filter wanted, each with why
};

/// Takes what can be priced out of a LiteLLM file. Numbers stay as they are written there.
[[nodiscard]] std::expected<Import, std::vector<PriceProblem>> import_prices(std::string_view json,
                                                                             const ImportFilter& filter);

}  // namespace nomiqon::metering
