#pragma once

#include <string>

#include "interception.h"
#include "nomiqon/ledger/postgres_ledger.h"
#include "nomiqon/proxy/proxy.h"

namespace nomiqon::gateway {

/// The proxy's and the ledger's counters in the Prometheus text format, version 0.0.4.
[[nodiscard]] std::string metrics_text(const proxy::ProxyStats& proxy, const ledger::LedgerStats& ledger,
                                       bool database_available, const Interception& interception);

}  // namespace nomiqon::gateway
