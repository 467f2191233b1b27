#pragma once

#include <expected>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "entry.h"
#include "host_list.h"
#include "nomiqon/policy/policy.h"

namespace nomiqon::policy {

enum class ListKind : std::uint8_t { allow, block };

/// Reads a list of entries. `pointer` is where it stands in the policy.
[[nodiscard]] std::expected<HostList, PolicyProblem> read_host_list(const nlohmann::json& value,
                                                                    const std::string& pointer,
                                                                    ListKind kind);

}  // namespace nomiqon::policy
