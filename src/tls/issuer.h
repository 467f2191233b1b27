#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "nomiqon/core/host.h"
#include "nomiqon/tls/ca_store.h"
#include "nomiqon/tls/leaf_cache.h"
#include "nomiqon/tls/openssl.h"

namespace nomiqon::tls {

/// A CA: its key, its certificate, and what leads from that to a root. Immutable; free to share between
/// threads.
class Issuer {
  public:
    /// A new self-signed CA of five years.
    [[nodiscard]] static std::expected<std::shared_ptr<const Issuer>, CaProblem> make(
        const std::vector<std::string>& name_constraints, Time now);

    /// Finds the key's certificate among `certificates`, and its way to a root. `where` names the file in the
    /// problem. Validity is not looked at: an expired CA must still be shown and replaced.
    [[nodiscard]] static std::expected<std::shared_ptr<const Issuer>, CaProblem> from(
        std::vector<CertificatePtr> certificates, KeyPtr key, const std::string& where);

    /// Whether clients would take its leaves now, as the strictest of them check: a leaf is made, and
    /// verified with X509_V_FLAG_X509_STRICT against the root.
    [[nodiscard]] std::expected<void, CaProblem> check(Time now) const;

    /// A leaf for `host`. 7 days, from an hour ago: clocks of clients differ.
    [[nodiscard]] std::expected<CertificatePtr, LeafError> sign_leaf(const HostName& host, EVP_PKEY* leaf_key,
                                                                     Time now) const;

    [[nodiscard]] X509* certificate() const { return chain_.front().get(); }
    [[nodiscard]] std::span<const CertificatePtr> chain() const { return chain_; }  ///< up to the root
    [[nodiscard]] Time not_before() const { return not_before_; }                   ///< of the whole chain
    [[nodiscard]] Time not_after() const { return not_after_; }

    /// The key (PKCS#8), then the chain, in memory that is wiped when it is freed.
    [[nodiscard]] BioPtr to_private_pem() const;

  private:
    Issuer(std::vector<CertificatePtr> chain, KeyPtr key);
    [[nodiscard]] bool permits(X509* leaf) const;
    [[nodiscard]] HostName sample_host() const;

    std::vector<CertificatePtr> chain_;
    KeyPtr key_;
    Time not_before_;
    Time not_after_;
};

}  // namespace nomiqon::tls
