#pragma once

#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "certificate.h"
#include "issuer.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/tls/certificate_authority.h"
#include "nomiqon/tls/leaf_cache.h"
#include "nomiqon/tls/openssl.h"

namespace nomiqon::tls {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// A clock that tests move. Begins now: OpenSSL's own checks see the real time.
class TestClock final : public Clock {
  public:
    [[nodiscard]] Time now() const override { return SystemClock{}.now() + Duration{ahead_.load()}; }
    void advance(Duration by) { ahead_ += by.count(); }

  private:
    std::atomic<Duration::rep> ahead_{0};
};

class TestDirectory {
  public:
    TestDirectory() : path_(fs::temp_directory_path() / ("nomiqon-tls-" + new_ulid())) {
        fs::create_directory(path_);
    }
    ~TestDirectory() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    TestDirectory(const TestDirectory&) = delete;
    TestDirectory& operator=(const TestDirectory&) = delete;
    fs::path operator/(const std::string& name) const { return path_ / name; }
    [[nodiscard]] const fs::path& path() const { return path_; }

  private:
    fs::path path_;
};

inline std::string content_of(const fs::path& path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}
inline void write(const fs::path& path, const std::string& content, fs::perms mode = fs::perms{0600}) {
    std::ofstream{path} << content;
    fs::permissions(path, mode);
}
inline unsigned mode_of(const fs::path& path) {
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777U : 0U;
}
inline HostName host(const std::string& text) {
    return HostName::parse(text).value();
}
template <class T>
std::string text_of(const std::expected<T, CaProblem>& result) {
    return result ? "no problem" : result.error().text();
}
inline std::string key_pem(EVP_PKEY* key) {
    const BioPtr out{BIO_new(BIO_s_mem())};
    PEM_write_bio_PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
    char* data = nullptr;
    const long size = BIO_get_mem_data(out.get(), &data);
    return {data, static_cast<std::size_t>(size)};
}

/// A certificate and its key, of a CA that has nothing to do with the gateway.
struct Identity {
    CertificatePtr certificate;
    KeyPtr key;
    [[nodiscard]] std::string pem() const { return to_pem(certificate.get()); }
};

struct Draft {
    std::string name;
    const Identity* issuer = nullptr;  // null: self-signed
    std::vector<std::pair<int, std::string>> extensions;
    Duration begins = -1h;
    Duration ends = 24h;
};

inline Identity make(const Draft& draft) {
    Identity made{.certificate = nullptr, .key = new_p256_key()};
    const Time now = SystemClock{}.now();
    made.certificate = blank_certificate(
        draft.name, draft.issuer ? X509_get_subject_name(draft.issuer->certificate.get()) : nullptr,
        made.key.get(), now + draft.begins, now + draft.ends);
    X509* const issuer = draft.issuer ? draft.issuer->certificate.get() : made.certificate.get();
    for (const auto& [nid, value] : draft.extensions)
        EXPECT_TRUE(add_extension(made.certificate.get(), issuer, nid, value)) << value;
    X509_sign(made.certificate.get(), draft.issuer ? draft.issuer->key.get() : made.key.get(), EVP_sha256());
    return made;
}

inline std::vector<std::pair<int, std::string>> ca_extensions(const std::string& basic = "critical,CA:TRUE") {
    return {{NID_basic_constraints, basic},
            {NID_key_usage, "critical,keyCertSign,cRLSign"},
            {NID_subject_key_identifier, "hash"},
            {NID_authority_key_identifier, "keyid:always"}};
}
inline std::vector<std::pair<int, std::string>> server_extensions(const std::string& names) {
    return {{NID_ext_key_usage, "serverAuth"},
            {NID_subject_key_identifier, "hash"},
            {NID_authority_key_identifier, "keyid:always"},
            {NID_subject_alt_name, names}};
}

/// X509_V_OK, or why a strict client refuses `leaf`, sent with `between`, for `name` at `at`.
inline int strict_verdict(X509* leaf, const std::vector<X509*>& roots, const std::vector<X509*>& between,
                          const HostName& name, Time at) {
    const StorePtr store{X509_STORE_new()};
    const StoreContextPtr context{X509_STORE_CTX_new()};
    STACK_OF(X509)* const sent = sk_X509_new_null();
    for (X509* root : roots)
        X509_STORE_add_cert(store.get(), root);
    for (X509* certificate : between)
        sk_X509_push(sent, certificate);
    X509_STORE_CTX_init(context.get(), store.get(), leaf, sent);
    X509_VERIFY_PARAM* const wanted = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_flags(wanted, X509_V_FLAG_X509_STRICT);
    X509_VERIFY_PARAM_set_time(wanted, static_cast<std::time_t>(unix_seconds(at)));
    X509_STORE_CTX_set_purpose(context.get(), X509_PURPOSE_SSL_SERVER);
    if (name.is_ip_literal()) {
        std::string text = name.str();
        if (text.starts_with('[')) text = text.substr(1, text.size() - 2);
        X509_VERIFY_PARAM_set1_ip_asc(wanted, text.c_str());
    } else {
        X509_VERIFY_PARAM_set1_host(wanted, name.str().c_str(), 0);
    }
    X509_verify_cert(context.get());
    const int verdict = X509_STORE_CTX_get_error(context.get());
    sk_X509_free(sent);
    ERR_clear_error();
    return verdict;
}

/// What a handshake in memory came to.
struct Handshake {
    bool done = false;
    std::string client_error, server_error;  // OpenSSL's reason
};

/// Moves both sides until they are done or one has failed; then reads what the server sends after it
/// (tickets).
inline Handshake shake_hands(SSL* client, SSL* server, const HostName* named_for_failure = nullptr,
                             std::string (*phrase)(const SSL*, const HostName&) = nullptr) {
    BIO* client_side = nullptr;
    BIO* server_side = nullptr;
    BIO_new_bio_pair(&client_side, 0, &server_side, 0);
    SSL_set_bio(client, client_side, client_side);
    SSL_set_bio(server, server_side, server_side);
    Handshake result;
    const auto step = [](SSL* side, bool& failed) {
        const int done = SSL_do_handshake(side);
        const int why = SSL_get_error(side, done);
        failed = done != 1 && why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
        return done == 1;
    };
    const auto client_reason = [&] { return phrase ? phrase(client, *named_for_failure) : openssl_reason(); };
    for (int round = 0; round < 20 && !result.done; ++round) {
        bool client_failed = false;
        bool server_failed = false;
        const bool client_done = step(client, client_failed);
        if (client_failed) result.client_error = client_reason();
        const bool server_done = step(server, server_failed);
        if (server_failed) result.server_error = openssl_reason();
        if (server_failed && !client_failed) {
            step(client, client_failed);
            if (client_failed) result.client_error = client_reason();
        }
        if (client_failed || server_failed) return result;
        result.done = client_done && server_done;
    }
    char byte = 0;
    SSL_read(client, &byte, 1);
    ERR_clear_error();
    return result;
}

/// Application data both ways, so that nothing of the connection is left half done.
inline std::string echo(SSL* client, SSL* server, const std::string& text) {
    std::string got(text.size(), '\0');
    SSL_write(client, text.data(), static_cast<int>(text.size()));
    SSL_read(server, got.data(), static_cast<int>(got.size()));
    SSL_write(server, got.data(), static_cast<int>(got.size()));
    SSL_read(client, got.data(), static_cast<int>(got.size()));
    return got;
}

inline CertificatePtr leaf_of(SSL_CTX* context) {
    return share(SSL_CTX_get0_certificate(context));
}

}  // namespace nomiqon::tls
