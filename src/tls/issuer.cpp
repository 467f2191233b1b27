// CA and leaf certificates as RFC 5280 (sections 4.2.1 and 6.1) and its strict readers want them: OpenSSL
// with -x509_strict, Python from 3.13 on.

#include "issuer.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <algorithm>
#include <array>
#include <chrono>

#include "certificate.h"
#include "nomiqon/core/encoding.h"
#include "nomiqon/core/ip_address.h"

namespace nomiqon::tls {
namespace {

using std::chrono::days;
using std::chrono::hours;

constexpr days ca_life{5 * 365};
constexpr days leaf_life{7};
constexpr hours backdating{1};
constexpr std::size_t max_common_name = 64;  // ub-common-name
constexpr int min_rsa_bits = 2048;

using NameConstraintsPtr = Owned<NAME_CONSTRAINTS, NAME_CONSTRAINTS_free>;
void free_stack_only(STACK_OF(X509) * stack) {
    sk_X509_free(stack);
}
using ViewStack = Owned<STACK_OF(X509), free_stack_only>;

std::unexpected<CaProblem> problem(std::string message, std::string hint = {}) {
    return std::unexpected(CaProblem{.message = std::move(message), .hint = std::move(hint)});
}

/// A CA that is limited to names would be none if it could still sign for addresses.
std::string constraints_value(const std::vector<std::string>& suffixes) {
    std::string value = "critical";
    for (const auto& suffix : suffixes)
        value += ",permitted;DNS:" + suffix;
    return value + ",excluded;IP:0.0.0.0/0.0.0.0,excluded;IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0";
}

bool add_ca_extensions(X509* certificate, const std::vector<std::string>& name_constraints) {
    return add_extension(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(certificate, certificate, NID_subject_key_identifier, "hash") &&
           add_extension(certificate, certificate, NID_authority_key_identifier, "keyid:always") &&
           (name_constraints.empty() || add_extension(certificate, certificate, NID_name_constraints,
                                                      constraints_value(name_constraints)));
}

std::string san_value(const HostName& host, bool critical) {
    std::string text = host.str();
    if (text.starts_with('[')) text = text.substr(1, text.size() - 2);
    return std::string(critical ? "critical," : "") + (host.is_ip_literal() ? "IP:" : "DNS:") + text;
}

bool add_leaf_extensions(X509* leaf, X509* issuer, const HostName& host) {
    // Section 4.2.1.6: without a subject the alternative name must be critical.
    const bool no_subject = X509_NAME_entry_count(X509_get_subject_name(leaf)) == 0;
    return add_extension(leaf, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(leaf, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(leaf, issuer, NID_ext_key_usage, "serverAuth") &&
           add_extension(leaf, issuer, NID_subject_key_identifier, "hash") &&
           add_extension(leaf, issuer, NID_authority_key_identifier, "keyid:always") &&
           add_extension(leaf, issuer, NID_subject_alt_name, san_value(host, no_subject));
}

/// What signs quickly enough and what every TLS client takes.
bool is_usable_key(EVP_PKEY* key) {
    if (EVP_PKEY_is_a(key, "EC") == 1) return true;
    return EVP_PKEY_is_a(key, "RSA") == 1 && EVP_PKEY_get_bits(key) >= min_rsa_bits;
}

/// The certificates from the one at `first` up to a root, in that order.
std::expected<std::vector<CertificatePtr>, CaProblem> ordered_chain(std::vector<CertificatePtr> pool,
                                                                    std::size_t first,
                                                                    const std::string& where) {
    std::vector<CertificatePtr> chain;
    chain.push_back(std::move(pool[first]));
    while (!is_self_signed(chain.back().get())) {
        std::erase(pool, nullptr);
        const auto next = std::ranges::find_if(pool, [&](const CertificatePtr& candidate) {
            return X509_check_issued(candidate.get(), chain.back().get()) == X509_V_OK;
        });
        if (next == pool.end()) {
            ERR_clear_error();
            return problem("the certificates in " + where + " don't lead to a root: that of " +
                               describe(chain.back().get()).issuer + " is missing",
                           "add it, and all up to a self-signed one");
        }
        chain.push_back(std::move(*next));
    }
    return chain;
}

std::expected<void, CaProblem> check_is_ca(X509* certificate, const std::string& where) {
    const std::string name = "the certificate in " + where + " (" + subject_of(certificate) + ')';
    if (X509_check_ca(certificate) != 1)
        return problem(name + " is not a CA's", "it needs basicConstraints with CA:TRUE");
    if ((X509_get_key_usage(certificate) & KU_KEY_CERT_SIGN) == 0)
        return problem(name + " may not sign certificates", "it needs keyUsage with keyCertSign");
    return {};
}

}  // namespace

Issuer::Issuer(std::vector<CertificatePtr> chain, KeyPtr key)
    : chain_(std::move(chain)), key_(std::move(key)), not_before_(Time::min()), not_after_(Time::max()) {
    for (const auto& certificate : chain_) {
        not_before_ = std::max(not_before_, to_time(X509_get0_notBefore(certificate.get())));
        not_after_ = std::min(not_after_, to_time(X509_get0_notAfter(certificate.get())));
        // OpenSSL reads the extensions once and keeps them: here, before threads share the certificate.
        X509_check_purpose(certificate.get(), -1, 0);
    }
    ERR_clear_error();
}

std::expected<std::shared_ptr<const Issuer>, CaProblem> Issuer::make(
    const std::vector<std::string>& name_constraints, Time now) {
    const auto no_luck = [] { return problem("can't make a CA: OpenSSL says " + openssl_reason()); };
    KeyPtr key = new_p256_key();
    if (!key) return no_luck();
    // A name of its own: while two CAs are trusted, a client finds the right one by its name.
    std::array<unsigned char, 4> number{};
    if (RAND_bytes(number.data(), number.size()) != 1) return no_luck();
    CertificatePtr certificate = blank_certificate("nomiqon-gateway CA " + hex_encode(number), nullptr,
                                                   key.get(), now - backdating, now + ca_life);
    if (!certificate || !add_ca_extensions(certificate.get(), name_constraints) ||
        X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) {
        return no_luck();
    }
    std::vector<CertificatePtr> chain;
    chain.push_back(std::move(certificate));
    // NOLINTNEXTLINE(*-owning-memory): the constructor is private
    std::shared_ptr<const Issuer> issuer{new Issuer{std::move(chain), std::move(key)}};
    if (auto good = issuer->check(now); !good) return std::unexpected(std::move(good.error()));
    return issuer;
}

std::expected<std::shared_ptr<const Issuer>, CaProblem> Issuer::from(std::vector<CertificatePtr> certificates,
                                                                     KeyPtr key, const std::string& where) {
    if (!is_usable_key(key.get()))
        return problem("the CA's key can't be used: it must be an EC key, or RSA of 2048 bits or more");
    const auto own = std::ranges::find_if(certificates, [&](const CertificatePtr& candidate) {
        return X509_check_private_key(candidate.get(), key.get()) == 1;
    });
    ERR_clear_error();
    if (own == certificates.end()) {
        return problem(
            "the CA's key fits no certificate in " + where,
            "put the two files that belong together in place, or import them with nomiqon ca import");
    }
    if (auto good = check_is_ca(own->get(), where); !good) return std::unexpected(std::move(good.error()));
    const auto first = static_cast<std::size_t>(own - certificates.begin());
    auto chain = ordered_chain(std::move(certificates), first, where);
    if (!chain) return std::unexpected(std::move(chain.error()));
    // NOLINTNEXTLINE(*-owning-memory): the constructor is private
    return std::shared_ptr<const Issuer>{new Issuer{std::move(*chain), std::move(key)}};
}

HostName Issuer::sample_host() const {
    for (const auto& certificate : chain_) {
        for (const auto& suffix : name_constraints_of(certificate.get())) {
            const std::string name = suffix.starts_with('.') ? "sample" + suffix : suffix;
            if (auto host = HostName::parse(name)) return *host;
        }
    }
    return HostName::parse("sample.example").value();
}

std::expected<void, CaProblem> Issuer::check(Time now) const {
    if (now >= not_after_) {
        return problem(
            "the CA ended on " + format_day(day_of(not_after_)),
            "make another one with nomiqon ca rotate, give it to the clients, then nomiqon ca rotate "
            "--activate; or nomiqon ca import");
    }
    if (now < not_before_) {
        return problem("the CA begins on " + format_time(not_before_) + ", which is not yet",
                       "look at this machine's clock");
    }
    const KeyPtr leaf_key = new_p256_key();
    if (!leaf_key) return problem("can't check the CA: OpenSSL says " + openssl_reason());
    const auto leaf = sign_leaf(sample_host(), leaf_key.get(), now);
    if (!leaf) {
        return problem("the CA can't sign for " + sample_host().str() + ": " +
                       std::string(to_string(leaf.error())));
    }

    const StorePtr store{X509_STORE_new()};
    const StoreContextPtr context{X509_STORE_CTX_new()};
    const ViewStack between{sk_X509_new_null()};
    if (!store || !context || !between) return problem("can't check the CA: there is no memory");
    X509_STORE_add_cert(store.get(), chain_.back().get());
    for (const auto& certificate : chain_)
        sk_X509_push(between.get(), certificate.get());
    X509_STORE_CTX_init(context.get(), store.get(), leaf->get(), between.get());
    X509_STORE_CTX_set_time(context.get(), 0, static_cast<std::time_t>(unix_seconds(now)));
    X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_X509_STRICT);
    X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_SERVER);
    if (X509_verify_cert(context.get()) == 1) return {};
    const int reason = X509_STORE_CTX_get_error(context.get());
    ERR_clear_error();
    return problem(
        "clients would refuse what this CA signs: " + std::string(X509_verify_cert_error_string(reason)),
        "ask whoever made it for one that RFC 5280 allows; a strict client checks as "
        "`openssl verify -x509_strict` does");
}

bool Issuer::permits(X509* leaf) const {
    X509_check_purpose(leaf, -1, 0);  // reads the alternative names, which the next check takes for granted
    return std::ranges::all_of(chain_, [&](const CertificatePtr& certificate) {
        const NameConstraintsPtr constraints{static_cast<NAME_CONSTRAINTS*>(
            X509_get_ext_d2i(certificate.get(), NID_name_constraints, nullptr, nullptr))};
        return !constraints || NAME_CONSTRAINTS_check(leaf, constraints.get()) == X509_V_OK;
    });
}

std::expected<CertificatePtr, LeafError> Issuer::sign_leaf(const HostName& host, EVP_PKEY* leaf_key,
                                                           Time now) const {
    if (now < not_before_ || now >= not_after_) return std::unexpected(LeafError::ca_not_valid);
    const Time begin = std::max(now - backdating, not_before_);
    const Time end = std::min(begin + leaf_life, not_after_);
    const bool named = host.str().size() <= max_common_name;
    CertificatePtr leaf = blank_certificate(named ? host.str() : std::string{},
                                            X509_get_subject_name(certificate()), leaf_key, begin, end);
    if (!leaf || !add_leaf_extensions(leaf.get(), certificate(), host)) {
        ERR_clear_error();
        return std::unexpected(LeafError::failed);
    }
    if (X509_sign(leaf.get(), key_.get(), EVP_sha256()) == 0) {
        ERR_clear_error();
        return std::unexpected(LeafError::failed);
    }
    if (!permits(leaf.get())) return std::unexpected(LeafError::not_permitted);
    return leaf;
}

BioPtr Issuer::to_private_pem() const {
    BioPtr out{BIO_new(BIO_s_secmem())};
    if (!out || PEM_write_bio_PrivateKey(out.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1)
        return nullptr;
    for (const auto& certificate : chain_) {
        if (PEM_write_bio_X509(out.get(), certificate.get()) != 1) return nullptr;
    }
    return out;
}

}  // namespace nomiqon::tls
