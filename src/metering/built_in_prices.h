#pragma once

#include <string>

namespace nomiqon::metering {

/// config/prices/models.json, as it was when the gateway was built.
[[nodiscard]] std::string built_in_prices();

}  // namespace nomiqon::metering
