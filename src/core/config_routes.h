#pragma once

#include <string>
#include <vector>

#include "config_value.h"
#include "nomiqon/core/config.h"

namespace nomiqon::config_detail {

/// Reads the list of routes; whatever is wrong with one is reported and the others are read all the same.
void read_routes(const Value& value, std::vector<Route>& routes);

/// `routes[].host`, …
[[nodiscard]] std::vector<std::string> route_key_paths();

}  // namespace nomiqon::config_detail
