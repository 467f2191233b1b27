#pragma once

#include <cstddef>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "nomiqon/core/refusal.h"
#include "nomiqon/metering/meter.h"

namespace nomiqon::metering {

/// A form of a request (RFC 7578): its texts, and how many bytes its files have.
struct Form {
    std::map<std::string, std::string, std::less<>> fields{};  ///< but for lists (`include[]`)
    std::size_t file_bytes = 0;
    std::size_t text_bytes = 0;

    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
};

/// Reads `body`, the decoded one of `call`. Refused (rule 6): no multipart/form-data, a field that is there
/// twice, a part that ends nowhere, bytes around the parts.
[[nodiscard]] std::expected<Form, Refusal> read_form(const Call& call, std::string_view body);

}  // namespace nomiqon::metering
