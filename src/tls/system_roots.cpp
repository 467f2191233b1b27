#include "system_roots.h"

#include <openssl/err.h>
#include <array>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <system_error>

#include "ca_files.h"
#include "certificate.h"

namespace nomiqon::tls {
namespace {

namespace fs = std::filesystem;

/// Debian and Alpine, Fedora and Red Hat, SUSE.
constexpr std::array<std::string_view, 3> usual_files{
    "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"};

std::optional<std::string> environment(const char* name) {
    const char* const value = std::getenv(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
}

std::expected<std::vector<CertificatePtr>, std::string> read_roots(const fs::path& file) {
    const auto text = read_ca_file(file, Privacy::whoever_may_read);
    if (!text) return std::unexpected(text.error().text());
    if (!*text) return std::unexpected("there is no file " + file.string());
    auto certificates = read_certificates((*text)->view());
    if (!certificates) return std::unexpected(file.string() + ": " + certificates.error());
    if (certificates->empty()) return std::unexpected(file.string() + " holds no certificate in PEM");
    return certificates;
}

}  // namespace

fs::path system_roots_file() {
    if (auto file = environment(X509_get_default_cert_file_env())) return *file;
    std::error_code ignored;
    if (fs::exists(X509_get_default_cert_file(), ignored)) return X509_get_default_cert_file();
    for (const auto file : usual_files) {
        if (fs::exists(file, ignored)) return file;
    }
    return {};
}

std::expected<StorePtr, std::string> make_root_store(const fs::path& extra) {
    StorePtr store{X509_STORE_new()};
    if (!store) return std::unexpected("there is no memory for the roots");
    const auto add = [&](const fs::path& file) -> std::expected<void, std::string> {
        const auto certificates = read_roots(file);
        if (!certificates) return std::unexpected(certificates.error());
        for (const auto& certificate : *certificates) {
            if (X509_STORE_add_cert(store.get(), certificate.get()) != 1)
                return std::unexpected(file.string() + ": " + openssl_reason());
        }
        return {};
    };
    // All at once: a directory of roots would be read while a handshake waits.
    if (const auto file = system_roots_file(); !file.empty()) {
        if (auto done = add(file); !done) return std::unexpected(done.error());
    } else if (X509_STORE_set_default_paths(store.get()) != 1) {
        return std::unexpected("the system's roots can't be read: " + openssl_reason());
    }
    if (!extra.empty()) {
        if (auto done = add(extra); !done) return std::unexpected(done.error());
    }
    X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
    ERR_clear_error();
    return store;
}

std::expected<std::string, CaProblem> system_roots_pem() {
    const auto file = system_roots_file();
    if (file.empty()) {
        return std::unexpected(CaProblem{.message = "the system's roots were not found",
                                         .hint = "name their file in SSL_CERT_FILE"});
    }
    const auto certificates = read_roots(file);
    if (!certificates) return std::unexpected(CaProblem{.message = certificates.error(), .hint = {}});
    std::string text;
    for (const auto& certificate : *certificates)
        text += to_pem(certificate.get());
    return text;
}

}  // namespace nomiqon::tls
