#pragma once

#include <expected>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/time.h"

namespace nomiqon::tls {

class Issuer;  // a CA's certificate with its key: src/tls/issuer.h

/// Why a CA can't be used or changed, for a person. Never holds key material.
struct CaProblem {
    std::string message;
    std::string hint;  ///< what to do, a command where there is one
    /// Both, for a log.
    [[nodiscard]] std::string text() const { return hint.empty() ? message : message + ": " + hint; }
};

struct CertificateInfo {
    std::string subject;
    std::string issuer;
    std::string fingerprint;  ///< SHA-256, `AA:BB:…`
    Time not_before;
    Time not_after;
    std::vector<std::string> name_constraints;  ///< permitted DNS suffixes; empty: none
    bool operator==(const CertificateInfo&) const = default;
};

/// The CAs in a data directory.
struct CaState {
    std::vector<CertificateInfo> active;  ///< the signing one first, then what leads to its root
    std::vector<CertificateInfo> next;    ///< after `rotate`, until it is activated; else empty
};

/// The CA on disk, for the gateway's start and for `nomiqon ca`.
///
///     <data dir>/ca.key       0600  key of the CA that signs (PKCS#8) and, after it, its certificate chain
///     <data dir>/ca.next.key  0600  the same of the one that a rotation prepared
///     <data dir>/ca.crt       0644  what clients trust: the chain of the one that signs, then of the next
///     one <data dir>/ca.lock            flock(2) of whoever changes one of these
///
/// Key and certificate lie in one file so that one rename(2) changes both. `ca.crt` is made from them; it
/// holds the certificate of a key before that key is ever used. A `ca.key` without certificate (put there by
/// hand) takes it from `ca.crt`. No state survives in memory: every call reads what is there.
class CaStore {
  public:
    CaStore(std::filesystem::path data_dir, const Clock& clock)
        : data_dir_(std::move(data_dir)), clock_(clock) {}

    /// The CA that signs; makes it, and the directory, where there is none yet.
    [[nodiscard]] std::expected<std::shared_ptr<const Issuer>, CaProblem> open_or_make(
        const std::vector<std::string>& name_constraints) const;

    /// The CA that signs; changes nothing.
    [[nodiscard]] std::expected<std::shared_ptr<const Issuer>, CaProblem> open() const;

    /// What is there, expired or not.
    [[nodiscard]] std::expected<CaState, CaProblem> state() const;
    [[nodiscard]] std::filesystem::path certificate_file() const { return data_dir_ / "ca.crt"; }
    /// The content of `ca.crt`, checked to be certificates.
    [[nodiscard]] std::expected<std::string, CaProblem> bundle() const;

    /// Makes the next CA beside the one that signs. Without `name_constraints` it gets those of the latter.
    [[nodiscard]] std::expected<CertificateInfo, CaProblem> rotate(
        const std::optional<std::vector<std::string>>& name_constraints) const;
    /// The next CA signs from now on; the old key is gone.
    [[nodiscard]] std::expected<CertificateInfo, CaProblem> activate() const;
    /// Forgets the next CA.
    [[nodiscard]] std::expected<void, CaProblem> cancel_rotation() const;
    /// Takes a CA made elsewhere: `chain` holds its certificate and those up to a self-signed root, `key` its
    /// unencrypted private key, both PEM files. As the next one, or at once. All is checked as clients would.
    [[nodiscard]] std::expected<CertificateInfo, CaProblem> import(const std::filesystem::path& chain,
                                                                   const std::filesystem::path& key,
                                                                   bool at_once) const;

  private:
    const std::filesystem::path data_dir_;
    const Clock& clock_;
};

/// The certificates of the system's roots in PEM, for a bundle of these and the gateway's CA: clients whose
/// setting replaces the roots need both. The problem says where they were looked for.
[[nodiscard]] std::expected<std::string, CaProblem> system_roots_pem();

}  // namespace nomiqon::tls
