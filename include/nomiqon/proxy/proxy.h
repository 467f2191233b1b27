#pragma once

#include <spdlog/logger.h>
#include <cstdint>
#include <memory>
#include <vector>

#include "nomiqon/core/config.h"
#include "nomiqon/service/spend_authorizer.h"
#include "nomiqon/tls/leaf_cache.h"
#include "nomiqon/tls/upstream_tls.h"

namespace nomiqon::proxy {

/// Counters that the metrics page shows. Snapshot of sums over the threads.
struct ProxyStats {
    std::uint64_t connections_accepted = 0, connections_open = 0, connections_refused = 0;
    std::uint64_t tunnels_open = 0, requests = 0;
    std::uint64_t bytes_to_upstream = 0, bytes_to_client = 0;
    std::uint64_t handshakes = 0, handshakes_failed = 0;  ///< of TLS with clients
    std::uint64_t metering_alarms = 0;
    std::vector<std::uint64_t> refusals;  ///< by RefusalCode
};

/// What interception needs. Both outlive the proxy; without them no route is intercepted.
struct TlsParts {
    tls::LeafCache* leaves = nullptr;
    tls::UpstreamTls* upstream = nullptr;
};

/// The forward proxy: listeners, threads, sessions. Built once in `main`; everything it needs is handed in.
class Proxy {
  public:
    /// Binds and listens at once, so that an address in use is known; throws std::system_error for it.
    Proxy(const Config& config, service::SpendAuthorizer& authorizer, std::shared_ptr<spdlog::logger> log,
          TlsParts tls = {});
    ~Proxy();

    void start();  ///< threads that accept
    /// No new work; open exchanges finish within `limit`, then are cut; returns when all threads have ended.
    /// Every reservation has been handed its ending by then.
    void drain(Duration limit);

    [[nodiscard]] ListenAddress address() const;  ///< with the real port
    [[nodiscard]] ProxyStats stats() const;
    void reload(const Config& config);  ///< `upstream.*` that can change at run time: resolve, allowPrivate

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nomiqon::proxy
