#pragma once

#include <expected>
#include <string>
#include <vector>

#include "model_price.h"
#include "price_document.h"
#include "rate_sheets.h"

namespace nomiqon::metering {

/// Reads one entry of a price book. The error says why it can't price anything: a key that speaks of money
/// and isn't read, a number that is no rate, no rate at all (rule 18).
class ModelPriceReader {
  public:
    [[nodiscard]] static std::expected<ModelPrice, std::string> read(const std::string& key,
                                                                     const RawValue& entry);

  private:
    using Problem = std::string;  // empty: none

    explicit ModelPriceReader(const std::string& key) { price_.key_ = key; }

    [[nodiscard]] Problem read_member(const RawMember& member);
    [[nodiscard]] Problem read_property(const RawMember& member);
    [[nodiscard]] Problem read_limit(const RawMember& member);
    [[nodiscard]] Problem read_item(const RawMember& member);
    [[nodiscard]] Problem read_searches(const RawValue& value);
    [[nodiscard]] Problem read_provider_entry(const RawValue& value);
    [[nodiscard]] Problem read_region(std::string_view region, const RawValue& value);
    [[nodiscard]] Problem read_steps(const RawValue& value);
    [[nodiscard]] Problem read_token_rate(std::string_view key, const RawValue& value,
                                          std::int64_t above_at_least);
    [[nodiscard]] Problem read_unknown(const RawMember& member) const;
    [[nodiscard]] Problem check_discount(const RawMember& member) const;
    [[nodiscard]] Problem finish(const RawValue& entry);
    void settle_items();

    ModelPrice price_;
    std::optional<std::int64_t> max_tokens_;
    bool takes_images_ = false, takes_audio_ = false, takes_video_ = false;
    std::vector<OwnRate> own_;
};

}  // namespace nomiqon::metering
