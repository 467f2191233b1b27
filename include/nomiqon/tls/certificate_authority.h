#pragma once

#include <atomic>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "nomiqon/core/time.h"
#include "nomiqon/tls/ca_store.h"

namespace nomiqon::tls {

/// The CA that the running gateway signs with: opened, or made at the first start, from its data directory.
/// Thread-safe. One object for the process, before the LeafCache that uses it.
class CertificateAuthority {
  public:
    struct Options {
        /// DNS suffixes that a CA made here is limited to; empty: no limit. See `tls.nameConstraints`.
        std::vector<std::string> name_constraints{};
    };

    /// The problem holds what to do about it. `clock` outlives this.
    [[nodiscard]] static std::expected<std::unique_ptr<CertificateAuthority>, CaProblem> open(
        const std::filesystem::path& data_dir, Options options, const Clock& clock);

    /// Reads the data directory again, after `nomiqon ca import` or `rotate --activate`. True when another CA
    /// signs from now on. At a problem the old one goes on.
    [[nodiscard]] std::expected<bool, CaProblem> reload();
    [[nodiscard]] std::expected<bool, CaProblem> reload(Options options);

    /// What an operator should hear at start and after a reload: near its end, or other name constraints than
    /// the configured ones.
    [[nodiscard]] std::vector<std::string> warnings() const;

    /// For the metric: when the first certificate of its chain ends.
    [[nodiscard]] Time expires() const;
    [[nodiscard]] std::string fingerprint() const;  ///< SHA-256, for the log

    [[nodiscard]] std::shared_ptr<const Issuer> issuer() const;
    /// Counts the reloads that brought another CA.
    [[nodiscard]] std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  private:
    CertificateAuthority(std::filesystem::path data_dir, Options options, const Clock& clock,
                         std::shared_ptr<const Issuer> issuer);

    const std::filesystem::path data_dir_;
    const Clock& clock_;
    std::atomic<std::uint64_t> generation_{0};
    mutable std::mutex mutex_;
    Options options_;                       // guarded by mutex_
    std::shared_ptr<const Issuer> issuer_;  // guarded by mutex_
};

}  // namespace nomiqon::tls
