#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/usdc.h"
#include "nomiqon/metering/usage.h"

namespace nomiqon::metering {

struct PriceProblem {
    std::string entry;    ///< the model's key; empty: of the whole document
    std::string message;  ///< what is wrong, for a person
};

/// One model's rates and limits. What it holds is price_book.cpp's; a meter asks by these functions.
class ModelPrice;

/// Prices of models in the format of LiteLLM's model_prices_and_context_window.json (rule 18), as one
/// immutable value with a version. Shared between threads.
class PriceBook {
  public:
    /// Reads a document. Problems are those that make all of it useless; entries that can't price anything
    /// stay in it as unpriced, see `check`.
    static std::expected<std::shared_ptr<const PriceBook>, std::vector<PriceProblem>> parse(
        std::string_view json);
    static std::expected<std::shared_ptr<const PriceBook>, std::vector<PriceProblem>> load(
        const std::filesystem::path& file);
    /// The one that comes with the gateway (config/prices/models.json, embedded).
    static std::shared_ptr<const PriceBook> built_in();

    PriceBook();
    ~PriceBook();
    PriceBook(const PriceBook&) = delete;
    PriceBook& operator=(const PriceBook&) = delete;

    /// `pb_` and the first 16 hex digits of the document's SHA-256.
    [[nodiscard]] const std::string& version() const;
    /// The document itself, as it was read: the ledger keeps it under its version (rule 19).
    [[nodiscard]] const std::string& document() const;

    /// The entry of a model that a request asks for: `<model>` under `provider`, then `<provider>/<model>`;
    /// exact names only (rule 18). Null: there is none, or it is unpriced.
    [[nodiscard]] const ModelPrice* find(std::string_view provider, std::string_view model) const;
    /// The entry of a model that an answer names, when the request named `asked`: as `find`, and a trailing
    /// date is stripped where that leads to `asked`.
    [[nodiscard]] const ModelPrice* find_answered(std::string_view provider, std::string_view asked,
                                                  std::string_view answered) const;
    /// The entry of exactly this key, for `recompute`.
    [[nodiscard]] const ModelPrice* entry(std::string_view key) const;

    /// Entries that price nothing, each with why.
    [[nodiscard]] std::vector<PriceProblem> check() const;
    [[nodiscard]] std::vector<std::string> keys() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nomiqon::metering
