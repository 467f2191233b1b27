#pragma once

#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

namespace nomiqon::admin {

/// Objects as CSV (RFC 4180): a line of `columns`, then one line a row, CRLF. A text that a spreadsheet would
/// run as a formula gets a `'` before it; what names say is chosen by agents.
[[nodiscard]] std::string to_csv(const nlohmann::json& rows, std::span<const std::string> columns);

}  // namespace nomiqon::admin
