#pragma once

#include <optional>
#include <string_view>

#include "nomiqon/core/host.h"
#include "nomiqon/core/host_pattern.h"

namespace nomiqon::metering {

/// One row of the built-in list of hosts that charge for their calls.
struct PaidHost {
    enum class Match { exact, below, label_starts, label_contains };

    Match match;
    std::string_view name;  ///< exact: the host; below: every name below it; label_*: what a label looks like
    std::string_view
        domain;  ///< below which a wildcard of the configuration names this row; empty: no wildcard does
};

/// The row that says that `host` charges, if any.
[[nodiscard]] const PaidHost* find_paid_host(const HostName& host);

/// Whether a route of this pattern, which matches `host`, really means the paid host of `row`: it names it
/// exactly, or by a wildcard within the provider's own domain (`*.openai.com`). `*` and `*.com` don't, and
/// neither does
/// `*.googleapis.com`, below which most is free.
[[nodiscard]] bool names_paid_host(const HostPattern& route, const PaidHost& row);

/// Package registries and code hosts that charge nobody for a call.
[[nodiscard]] bool is_known_free_host(const HostName& host);

}  // namespace nomiqon::metering
