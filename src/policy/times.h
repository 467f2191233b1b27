#pragma once

#include <date/tz.h>

#include <chrono>
#include <expected>
#include <nlohmann/json_fwd.hpp>
#include <optional>

#include "nomiqon/core/time.h"
#include "nomiqon/policy/policy.h"

namespace nomiqon::policy {

/// Hours of the day on the clocks of a place, such as 22:00 to 06:00 in Europe/Berlin: from `from` up to, not
/// including, `to`; past midnight where `to` is the smaller. A value type; the zone belongs to the process.
struct ActiveHours {
    const date::time_zone* zone = nullptr;
    std::chrono::minutes from{};
    std::chrono::minutes to{};

    /// The error's pointer is into the policy: `/activeHours/from`.
    static std::expected<ActiveHours, PolicyProblem> parse(const nlohmann::json& value);
    [[nodiscard]] bool contain(Time now) const;
};

}  // namespace nomiqon::policy
