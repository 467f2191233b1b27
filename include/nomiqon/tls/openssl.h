#pragma once

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <memory>

/// Owners of OpenSSL's objects. A type with a count of its own (X509, EVP_PKEY, SSL_SESSION) is shared by
/// `share`, which adds to that count.
namespace nomiqon::tls {

template <auto Free>
struct Freer {
    template <class T>
    void operator()(T* object) const noexcept {
        Free(object);
    }
};
template <class T, auto Free>
using Owned = std::unique_ptr<T, Freer<Free>>;

using BioPtr = Owned<BIO, BIO_free_all>;
using BigNumPtr = Owned<BIGNUM, BN_free>;
using KeyPtr = Owned<EVP_PKEY, EVP_PKEY_free>;
using CertificatePtr = Owned<X509, X509_free>;
using ExtensionPtr = Owned<X509_EXTENSION, X509_EXTENSION_free>;
using StorePtr = Owned<X509_STORE, X509_STORE_free>;
using StoreContextPtr = Owned<X509_STORE_CTX, X509_STORE_CTX_free>;
using ContextPtr = Owned<SSL_CTX, SSL_CTX_free>;
using SslPtr = Owned<SSL, SSL_free>;
using SessionPtr = Owned<SSL_SESSION, SSL_SESSION_free>;

[[nodiscard]] inline CertificatePtr share(X509* certificate) {
    X509_up_ref(certificate);
    return CertificatePtr{certificate};
}
[[nodiscard]] inline SessionPtr share(SSL_SESSION* session) {
    SSL_SESSION_up_ref(session);
    return SessionPtr{session};
}

}  // namespace nomiqon::tls
