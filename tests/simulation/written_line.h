#pragma once

#include <string>

#include "model_ledger.h"

namespace nomiqon::simulation {

/// The line of the chain that a transfer's row and the rows that it belongs to say, for the judge: written by
/// nlohmann::json, where the model writes its own. `first`: not the second line of an ending.
[[nodiscard]] std::string written_line(const std::string& agent, const Account& account,
                                       const TransferRow& row, bool first);

}  // namespace nomiqon::simulation
