#pragma once

#include <optional>
#include <string>

#include "nomiqon/audit/invariant.h"
#include "nomiqon/audit/line.h"

namespace nomiqon::audit {

/// What breaks an invariant, before it is known whose and where.
struct Problem {
    Invariant invariant;
    std::string what;
};

/// Opens a reservation's token: the signature of its CAID, its claims against what the ledger says of them,
/// and its binding as far as the ledger knows the request (the path it doesn't).
[[nodiscard]] std::optional<Problem> check_token(const Reservation& reservation);

}  // namespace nomiqon::audit
