#pragma once

#include <spdlog/logger.h>
#include <expected>
#include <memory>
#include <string>

#include "nomiqon/core/config.h"
#include "nomiqon/core/time.h"
#include "nomiqon/metering/routes.h"
#include "nomiqon/proxy/proxy.h"

namespace nomiqon::gateway {

/// The TLS that interception needs: the gateway's own authority with its leaves, and the trust in providers.
class Interception {
  public:
    static std::expected<std::unique_ptr<Interception>, std::string> open(
        const Config& config, const Clock& clock, std::shared_ptr<spdlog::logger> log);

    [[nodiscard]] proxy::TlsParts parts() { return {.leaves = leaves_.get(), .upstream = upstream_.get()}; }
    [[nodiscard]] const tls::CertificateAuthority& authority() const { return *authority_; }
    [[nodiscard]] tls::LeafCache::Stats leaf_stats() const { return leaves_->stats(); }
    /// Another CA in the data directory, other roots. What can't be read is told, and stays as it was.
    void reload(const Config& config);

  private:
    Interception(std::unique_ptr<tls::CertificateAuthority> authority,
                 std::unique_ptr<tls::UpstreamTls> upstream, const Config& config, const Clock& clock,
                 std::shared_ptr<spdlog::logger> log);

    std::unique_ptr<tls::CertificateAuthority> authority_;
    std::unique_ptr<tls::UpstreamTls> upstream_;
    std::unique_ptr<tls::LeafCache> leaves_;
    std::shared_ptr<spdlog::logger> log_;
};

/// The price book that the configuration names, else the one that comes with the gateway; entries that price
/// nothing are told as a warning. The error names the file and what is wrong with it.
std::expected<std::shared_ptr<const metering::PriceBook>, std::string> read_prices(const Config& config,
                                                                                   spdlog::logger* log);

}  // namespace nomiqon::gateway
