// Certificates of X.509 version 3: RFC 5280.

#include "certificate.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <algorithm>
#include <array>
#include <ctime>

namespace nomiqon::tls {
namespace {

/// 20 bytes is the most that section 4.1.2.2 allows; the first bit is 0, since a serial is positive.
constexpr int serial_bits = 159;
constexpr std::size_t max_certificates = 1024;

using NameConstraintsPtr = Owned<NAME_CONSTRAINTS, NAME_CONSTRAINTS_free>;

std::time_t to_time_t(Time time) {
    return static_cast<std::time_t>(unix_seconds(time));
}

std::string name_text(const X509_NAME* name) {
    const BioPtr out{BIO_new(BIO_s_mem())};
    // RFC 2253 escapes control characters and what isn't ASCII.
    if (!out || X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

bool set_random_serial(X509* certificate) {
    const BigNumPtr number{BN_new()};
    return number && BN_rand(number.get(), serial_bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
           BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

}  // namespace

std::string openssl_reason() {
    const unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    const char* const reason = ERR_reason_error_string(code);
    return reason == nullptr ? "unknown reason" : reason;
}

Time to_time(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
    return std::chrono::sys_seconds{std::chrono::seconds{::timegm(&parts)}};
}

std::string subject_of(const X509* certificate) {
    return name_text(X509_get_subject_name(certificate));
}

std::string fingerprint_of(const X509* certificate) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return {};
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string text;
    for (unsigned int i = 0; i < size; ++i) {
        if (i > 0) text += ':';
        text += digits[digest[i] >> 4U];
        text += digits[digest[i] & 15U];
    }
    return text;
}

std::vector<std::string> name_constraints_of(const X509* certificate) {
    const NameConstraintsPtr constraints{static_cast<NAME_CONSTRAINTS*>(
        X509_get_ext_d2i(certificate, NID_name_constraints, nullptr, nullptr))};
    std::vector<std::string> names;
    if (!constraints) return names;
    for (int i = 0; i < sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees); ++i) {
        const GENERAL_NAME* const base = sk_GENERAL_SUBTREE_value(constraints->permittedSubtrees, i)->base;
        if (base->type != GEN_DNS) continue;
        const auto* const text = ASN1_STRING_get0_data(base->d.dNSName);
        const auto size = static_cast<std::size_t>(ASN1_STRING_length(base->d.dNSName));
        names.emplace_back(text, text + size);
    }
    return names;
}

CertificateInfo describe(const X509* certificate) {
    return {.subject = subject_of(certificate),
            .issuer = name_text(X509_get_issuer_name(certificate)),
            .fingerprint = fingerprint_of(certificate),
            .not_before = to_time(X509_get0_notBefore(certificate)),
            .not_after = to_time(X509_get0_notAfter(certificate)),
            .name_constraints = name_constraints_of(certificate)};
}

bool is_self_signed(X509* certificate) {
    return X509_self_signed(certificate, 0) == 1;
}

std::expected<std::vector<CertificatePtr>, std::string> read_certificates(std::string_view pem) {
    const BioPtr in{BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()))};
    if (!in) return std::unexpected("there is no memory for it");
    std::vector<CertificatePtr> certificates;
    while (certificates.size() < max_certificates) {
        CertificatePtr next{PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr)};
        if (next) {
            certificates.push_back(std::move(next));
            continue;
        }
        const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
        const std::string reason = openssl_reason();
        if (at_end) return certificates;
        return std::unexpected("certificate " + std::to_string(certificates.size() + 1) +
                               " in it can't be read (" + reason + ')');
    }
    return std::unexpected("it holds more than " + std::to_string(max_certificates) + " certificates");
}

std::string to_pem(X509* certificate) {
    const BioPtr out{BIO_new(BIO_s_mem())};
    if (!out || PEM_write_bio_X509(out.get(), certificate) != 1) return {};
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

CertificatePtr blank_certificate(const std::string& common_name, const X509_NAME* issuer, EVP_PKEY* key,
                                 Time not_before, Time not_after) {
    CertificatePtr certificate{X509_new()};
    if (!certificate || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
        !set_random_serial(certificate.get()) || X509_set_pubkey(certificate.get(), key) != 1) {
        return nullptr;
    }
    // Whole seconds, which is all that X.509 can say.
    if (ASN1_TIME_set(X509_getm_notBefore(certificate.get()), to_time_t(not_before)) == nullptr ||
        ASN1_TIME_set(X509_getm_notAfter(certificate.get()), to_time_t(not_after)) == nullptr) {
        return nullptr;
    }
    X509_NAME* const subject = X509_get_subject_name(certificate.get());
    if (!common_name.empty() &&
        X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                   // NOLINTNEXTLINE(*-reinterpret-cast): OpenSSL's bytes are unsigned
                                   reinterpret_cast<const unsigned char*>(common_name.data()),
                                   static_cast<int>(common_name.size()), -1, 0) != 1) {
        return nullptr;
    }
    if (X509_set_issuer_name(certificate.get(), issuer == nullptr ? subject : issuer) != 1) return nullptr;
    return certificate;
}

bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value) {
    X509V3_CTX context{};
    X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
    const ExtensionPtr extension{X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str())};
    return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

KeyPtr new_p256_key() {
    return KeyPtr{EVP_EC_gen("P-256")};
}

}  // namespace nomiqon::tls
