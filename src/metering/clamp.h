#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>

#include "nomiqon/core/usdc.h"

namespace nomiqon::metering {

/// The largest output limit from `least` to `asked` whose bound is at most `affordable` (`X-Nomiqon-Clamp`).
/// Nothing: none is. `bound` must not fall as the limit grows.
[[nodiscard]] std::optional<std::int64_t> clamp_output(
    std::int64_t least, std::int64_t asked, Usdc affordable,
    const std::function<std::expected<Usdc, std::string>(std::int64_t)>& bound);

}  // namespace nomiqon::metering
