#pragma once

#include <string>
#include <string_view>

#include "api.h"

namespace nomiqon::admin {

/// A policy of a body, ready to be stored: without nulls, and found good by the policy module. `pointer` is
/// where it stands in the body.
[[nodiscard]] Result<json> read_policy(const Context& context, const json& policy, std::string_view pointer);
/// `current` with `partial` merged in.
[[nodiscard]] Result<json> merge_policy(const Context& context, const json& current, const json& partial);
/// What the template `policyId` of a body says.
Awaitable<Result<json>> read_template(const Context& context, const json& policy_id);
/// A body's `policy` or `policyId`, of which there must be one.
Awaitable<Result<json>> require_policy(const Context& context, const json& body);

}  // namespace nomiqon::admin
