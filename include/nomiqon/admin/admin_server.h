#pragma once

#include <spdlog/logger.h>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "nomiqon/core/config.h"
#include "nomiqon/ledger/ledger.h"
#include "nomiqon/service/spend_authorizer.h"

namespace nomiqon::admin {

/// What the health and metrics pages ask of the rest of the gateway.
struct AdminHooks {
    std::function<std::string()> not_ready_because;  ///< empty: ready
    std::function<std::string()> metrics;            ///< more lines in the Prometheus text format
};

/// The admin listener: REST under /v1, /openapi.json, /metrics, /healthz, /readyz. One thread of its own.
class AdminServer {
  public:
    /// Binds and listens at once; throws std::system_error when it can't.
    AdminServer(const Config& config, ledger::AdminStore& store, service::SpendAuthorizer& authorizer,
                const Clock& clock, AdminHooks hooks, std::shared_ptr<spdlog::logger> log);
    ~AdminServer();
    void start();
    void stop();  ///< answers what is under way, within a second
    [[nodiscard]] ListenAddress address() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// On the first start: makes the `full` key and writes it to `<data dir>/admin.key`, mode 0600, never over
/// one that is there. Blocking; called by `main` before the listeners open. The error is for the operator.
[[nodiscard]] std::expected<void, std::string> ensure_first_api_key(const Config& config,
                                                                    ledger::AdminStore& store);

}  // namespace nomiqon::admin
