#pragma once

#include <string>

#include "json_value.h"
#include "output.h"

/// How agents and policies look to people.
namespace nomiqon::cli {

[[nodiscard]] Fields agent_fields(const Json& agent);
[[nodiscard]] Table agent_table(const Json& agents);
/// Every member of a policy, its computed ones last.
[[nodiscard]] Fields policy_fields(const Json& policy);
[[nodiscard]] std::string joined(const Json& list);

}  // namespace nomiqon::cli
