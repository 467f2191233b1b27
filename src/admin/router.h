#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api.h"

namespace nomiqon::admin {

struct Match {
    const Route* route = nullptr;
    std::vector<std::string> ids{};  ///< decoded
};

/// The call that a method and a path mean, or `not_found`, or `method_not_allowed`.
[[nodiscard]] Result<Match> find_route(std::string_view method, std::string_view path);

}  // namespace nomiqon::admin
