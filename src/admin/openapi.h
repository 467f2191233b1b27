#pragma once

#include <string>

namespace nomiqon::admin {

/// openapi.json of this directory, as it was when this binary was built.
[[nodiscard]] std::string openapi_document();

}  // namespace nomiqon::admin
