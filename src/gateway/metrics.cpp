#include "metrics.h"

#include <fmt/format.h>
#include <chrono>
#include <iterator>
#include <string_view>

namespace nomiqon::gateway {
namespace {

void write(std::string& text, std::string_view name, std::string_view type, std::string_view help,
           std::uint64_t value) {
    fmt::format_to(std::back_inserter(text), "# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type,
                   value);
}

}  // namespace

std::string metrics_text(const proxy::ProxyStats& proxy, const ledger::LedgerStats& ledger,
                         bool database_available, const Interception& interception) {
    std::string text;
    write(text, "nomiqon_proxy_connections_total", "counter", "Client connections accepted",
          proxy.connections_accepted);
    write(text, "nomiqon_proxy_connections_refused_total", "counter", "Client connections beyond the limit",
          proxy.connections_refused);
    write(text, "nomiqon_proxy_connections_open", "gauge", "Client connections open", proxy.connections_open);
    write(text, "nomiqon_proxy_tunnels_open", "gauge", "Tunnels open", proxy.tunnels_open);
    write(text, "nomiqon_proxy_requests_total", "counter", "Requests read, tunnels included", proxy.requests);
    write(text, "nomiqon_proxy_upstream_bytes_total", "counter", "Bytes sent upstream",
          proxy.bytes_to_upstream);
    write(text, "nomiqon_proxy_client_bytes_total", "counter", "Bytes sent to clients",
          proxy.bytes_to_client);

    write(text, "nomiqon_tls_handshakes_total", "counter", "TLS handshakes with clients", proxy.handshakes);
    write(text, "nomiqon_tls_handshakes_failed_total", "counter", "TLS handshakes with clients that failed",
          proxy.handshakes_failed);
    const auto leaves = interception.leaf_stats();
    write(text, "nomiqon_tls_leaves", "gauge", "Leaf certificates in the cache", leaves.leaves);
    write(text, "nomiqon_tls_leaves_minted_total", "counter", "Leaf certificates made", leaves.minted);
    const auto expires = std::chrono::floor<std::chrono::seconds>(interception.authority().expires());
    write(text, "nomiqon_tls_ca_expires_timestamp_seconds", "gauge", "When the gateway's CA ends, Unix time",
          static_cast<std::uint64_t>(expires.time_since_epoch().count()));
    write(text, "nomiqon_metering_alarms_total", "counter",
          "Answers that the price book could not price, charged as high as they could be",
          proxy.metering_alarms);

    text +=
        "# HELP nomiqon_refusals_total Requests refused, by code\n# TYPE nomiqon_refusals_total counter\n";
    for (std::size_t i = 0; i < proxy.refusals.size(); ++i) {
        const RefusalInfo& refusal = info(static_cast<RefusalCode>(i));
        fmt::format_to(std::back_inserter(text), "nomiqon_refusals_total{{code=\"{}\",status=\"{}\"}} {}\n",
                       refusal.name, refusal.status, proxy.refusals[i]);
    }

    write(text, "nomiqon_ledger_available", "gauge", "Whether the database answered last",
          database_available ? 1 : 0);
    write(text, "nomiqon_ledger_batches_total", "counter", "Transactions of reservations and endings",
          ledger.batches);
    write(text, "nomiqon_ledger_reservations_total", "counter", "Reservations granted", ledger.reserved);
    write(text, "nomiqon_ledger_refused_total", "counter", "Reservations refused", ledger.refused);
    write(text, "nomiqon_ledger_endings_total", "counter", "Reservations ended", ledger.ended);
    write(text, "nomiqon_ledger_expired_total", "counter", "Reservations of gone gateways settled as unknown",
          ledger.expired);
    write(text, "nomiqon_ledger_corrected_total", "counter", "Expired reservations whose true cost came late",
          ledger.corrected);
    write(text, "nomiqon_ledger_unavailable_total", "counter", "Requests that the database could not answer",
          ledger.unavailable);
    write(text, "nomiqon_ledger_overloaded_total", "counter", "Requests that found the queue full",
          ledger.overloaded);
    write(text, "nomiqon_ledger_refusals_dropped_total", "counter", "Refusals counted but not stored",
          ledger.refusals_dropped);
    write(text, "nomiqon_ledger_waiting", "gauge", "Requests that wait for the database", ledger.waiting);
    write(text, "nomiqon_ledger_endings_waiting", "gauge", "Endings that wait for the database",
          ledger.endings_waiting);
    write(text, "nomiqon_ledger_in_doubt", "gauge", "Reservations whose answer was lost, to be looked up",
          ledger.in_doubt);
    return text;
}

}  // namespace nomiqon::gateway
