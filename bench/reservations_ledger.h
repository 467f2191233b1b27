#pragma once

#include <memory>
#include <span>

#include "reservations_stand.h"

namespace nomiqon::bench {

/// The first `load.gateways` of them at once, a thread with `load.clients` coroutines for each. Returns when
/// all settlements are in the database; that time counts.
[[nodiscard]] Sample measure_ledger(std::span<const std::unique_ptr<ledger::PostgresLedger>> gateways,
                                    std::span<const Agent> agents, const Load& load, const Cpu& cpu);

}  // namespace nomiqon::bench
