#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "head_lines.h"

// What an answer costs where the price is flat: rule 17 of the metering rules.
//
//   2xx                                                 in full
//   3xx, 4xx but 408 and 499, 5xx with the provider's   nothing
//   own JSON error
//   408, 499, other 5xx                                 in full, marked as unknown

namespace nomiqon::proxy {

enum class FlatCost : std::uint8_t { full, nothing, unknown };

/// Watches one answer, from its head to its complete body. Keeps the body of a JSON 5xx up to a limit,
/// nothing else.
class FlatPrice {
  public:
    FlatPrice() = default;
    FlatPrice(int status, const HeaderFields& headers);

    void see(std::string_view data);
    /// Of the answer once it is complete.
    [[nodiscard]] FlatCost cost() const;
    /// Whether the head alone decides.
    [[nodiscard]] bool decided_by_status() const;
    [[nodiscard]] bool json() const { return json_; }

  private:
    [[nodiscard]] bool is_provider_error() const;

    static constexpr std::size_t error_body_bytes = 64 * 1024;
    int status_ = 0;
    bool json_ = false;
    bool too_long_ = false;  // no provider's error is that long
    std::string body_;
};

}  // namespace nomiqon::proxy
