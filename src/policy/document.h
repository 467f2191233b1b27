#pragma once

#include <expected>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "host_list.h"
#include "nomiqon/core/time.h"
#include "nomiqon/core/usdc.h"
#include "nomiqon/policy/policy.h"
#include "times.h"

namespace nomiqon::policy {

/// A policy's document, read: what `Policy` decides by.
struct Rules {
    std::optional<Usdc> daily_cap;
    std::optional<Usdc> total_cap;
    std::optional<Usdc> max_per_request;
    bool frozen = false;
    std::optional<HostList> allowlist;
    HostList blocklist;
    std::optional<Time> active_from;
    std::optional<Time> active_until;
    std::optional<ActiveHours> active_hours;
};

[[nodiscard]] std::expected<Rules, PolicyProblem> read_document(const nlohmann::json& document,
                                                                const ParseOptions& options);

}  // namespace nomiqon::policy
