#pragma once

#include "nomiqon/metering/meter.h"
#include "openai_row.h"

namespace nomiqon::metering {

/// The meter of one row of providers that speak OpenAI's API.
class OpenAiMeter final : public Meter {
  public:
    explicit constexpr OpenAiMeter(const OpenAiRow& row) : row_(row) {}
    [[nodiscard]] std::string_view name() const override { return row_.name; }
    [[nodiscard]] std::expected<Quote, Refusal> quote(const Call& call,
                                                      const MeterTerms& terms) const override;

  private:
    const OpenAiRow& row_;
};

/// The meter of a row's name; null: there is none.
[[nodiscard]] const Meter* find_openai_meter(std::string_view name);

}  // namespace nomiqon::metering
