#pragma once

#include <string>
#include <string_view>

#include "nomiqon/core/config.h"

namespace nomiqon::proxy {

/// `path_and_query` for the provider: where the credential travels in the query, every parameter of its name
/// is replaced by it, however the agent spelt it; and keys that the agent itself put into a query stay here.
[[nodiscard]] std::string target_with_credential(std::string_view path_and_query,
                                                 const RouteCredential& credential,
                                                 std::string_view agent_id);

}  // namespace nomiqon::proxy
