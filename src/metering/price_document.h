#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/metering/price_book.h"

namespace nomiqon::metering {

struct RawMember;

/// JSON whose numbers keep their own text, so that 2.5e-06 never becomes a floating number, and whose
/// repeated members are all there, so that they can be told.
struct RawValue {
    enum class Kind : std::uint8_t { null, boolean, number, string, array, object };
    Kind kind = Kind::null;
    bool boolean = false;
    std::string text;  ///< of a number, as it was written; of a string
    std::vector<RawMember> members;
    std::vector<RawValue> items;

    [[nodiscard]] const RawValue* find(std::string_view name) const;
};

struct RawMember {
    std::string name;
    RawValue value;
};

/// Reads a whole document: an object, nested 8 deep at most.
[[nodiscard]] std::expected<RawValue, PriceProblem> read_price_document(std::string_view json);

}  // namespace nomiqon::metering
