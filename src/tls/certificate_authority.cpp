#include "nomiqon/tls/certificate_authority.h"

#include <algorithm>
#include <chrono>

#include "certificate.h"
#include "issuer.h"

namespace nomiqon::tls {
namespace {

constexpr std::chrono::days warn_before{30};

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names)
        text += (text.empty() ? "" : ", ") + name;
    return text.empty() ? "none" : text;
}

std::vector<std::string> sorted(std::vector<std::string> names) {
    std::ranges::sort(names);
    return names;
}

}  // namespace

CertificateAuthority::CertificateAuthority(std::filesystem::path data_dir, Options options,
                                           const Clock& clock, std::shared_ptr<const Issuer> issuer)
    : data_dir_(std::move(data_dir)),
      clock_(clock),
      options_(std::move(options)),
      issuer_(std::move(issuer)) {}

std::expected<std::unique_ptr<CertificateAuthority>, CaProblem> CertificateAuthority::open(
    const std::filesystem::path& data_dir, Options options, const Clock& clock) {
    auto issuer = CaStore{data_dir, clock}.open_or_make(options.name_constraints);
    if (!issuer) return std::unexpected(std::move(issuer.error()));
    // NOLINTNEXTLINE(*-owning-memory): the constructor is private
    return std::unique_ptr<CertificateAuthority>{
        new CertificateAuthority{data_dir, std::move(options), clock, std::move(*issuer)}};
}

std::expected<bool, CaProblem> CertificateAuthority::reload() {
    auto issuer = CaStore{data_dir_, clock_}.open();
    if (!issuer) return std::unexpected(std::move(issuer.error()));
    const std::lock_guard lock{mutex_};
    if (X509_cmp((*issuer)->certificate(), issuer_->certificate()) == 0) return false;
    issuer_ = std::move(*issuer);
    generation_.fetch_add(1, std::memory_order_release);
    return true;
}

std::expected<bool, CaProblem> CertificateAuthority::reload(Options options) {
    {
        const std::lock_guard lock{mutex_};
        options_ = std::move(options);
    }
    return reload();
}

std::vector<std::string> CertificateAuthority::warnings() const {
    const std::lock_guard lock{mutex_};
    std::vector<std::string> warnings;
    if (clock_.now() > issuer_->not_after() - warn_before) {
        warnings.push_back("the CA ends on " + format_day(day_of(issuer_->not_after())) +
                           ": nomiqon ca rotate makes the next one");
    }
    const auto constraints = name_constraints_of(issuer_->certificate());
    if (!options_.name_constraints.empty() && sorted(constraints) != sorted(options_.name_constraints)) {
        warnings.push_back("the CA's name constraints (" + joined(constraints) +
                           ") are not those of tls.nameConstraints (" + joined(options_.name_constraints) +
                           "): nomiqon ca rotate makes a CA that has them");
    }
    return warnings;
}

Time CertificateAuthority::expires() const {
    return issuer()->not_after();
}

std::string CertificateAuthority::fingerprint() const {
    return fingerprint_of(issuer()->certificate());
}

std::shared_ptr<const Issuer> CertificateAuthority::issuer() const {
    const std::lock_guard lock{mutex_};
    return issuer_;
}

}  // namespace nomiqon::tls
