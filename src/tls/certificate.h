#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/tls/ca_store.h"
#include "nomiqon/tls/openssl.h"

/// What the making and the reading of certificates share. All of it is thread-safe.
namespace nomiqon::tls {

/// OpenSSL's own words for the last thing that went wrong on this thread; empties its error queue. They name
/// functions and reasons, never data.
[[nodiscard]] std::string openssl_reason();

[[nodiscard]] Time to_time(const ASN1_TIME* time);
[[nodiscard]] std::string subject_of(const X509* certificate);
[[nodiscard]] std::string fingerprint_of(const X509* certificate);
[[nodiscard]] std::vector<std::string> name_constraints_of(const X509* certificate);
[[nodiscard]] CertificateInfo describe(const X509* certificate);
[[nodiscard]] bool is_self_signed(X509* certificate);

/// Every certificate of a PEM text, in its order; other blocks are passed over. The error is a phrase.
[[nodiscard]] std::expected<std::vector<CertificatePtr>, std::string> read_certificates(std::string_view pem);
[[nodiscard]] std::string to_pem(X509* certificate);

/// A certificate that lacks its extensions and its signature: version, random serial, validity, issuer's name
/// and `key`. `common_name` may be empty. Null where OpenSSL has no memory or no randomness.
[[nodiscard]] CertificatePtr blank_certificate(const std::string& common_name, const X509_NAME* issuer,
                                               EVP_PKEY* key, Time not_before, Time not_after);

/// Adds an extension in the notation of OpenSSL's configuration, such as "critical,CA:TRUE". `value` comes
/// from this program, or from a HostName: neither has a comma or a line break in it.
[[nodiscard]] bool add_extension(X509* certificate, X509* issuer, int nid, const std::string& value);

[[nodiscard]] KeyPtr new_p256_key();

}  // namespace nomiqon::tls
