#include "nomiqon/tls/ca_store.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <algorithm>
#include <array>
#include <cstdlib>

#include "ca_files.h"
#include "certificate.h"
#include "issuer.h"

namespace nomiqon::tls {
namespace {

namespace fs = std::filesystem;
using IssuerPtr = std::shared_ptr<const Issuer>;

constexpr mode_t private_mode = 0600;
constexpr mode_t public_mode = 0644;

std::unexpected<CaProblem> problem(std::string message, std::string hint = {}) {
    return std::unexpected(CaProblem{.message = std::move(message), .hint = std::move(hint)});
}

fs::path key_file(const fs::path& data_dir) {
    return data_dir / "ca.key";
}
fs::path next_key_file(const fs::path& data_dir) {
    return data_dir / "ca.next.key";
}
fs::path crt_file(const fs::path& data_dir) {
    return data_dir / "ca.crt";
}

/// Without it OpenSSL would ask for a passphrase on the terminal.
int no_passphrase(char*, int, int, void*) {
    return -1;
}

std::expected<KeyPtr, CaProblem> read_key(const SecretText& pem, const fs::path& path,
                                          const std::string& hint) {
    const BioPtr in{BIO_new_mem_buf(pem.view().data(), static_cast<int>(pem.view().size()))};
    KeyPtr key{in ? PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, nullptr) : nullptr};
    ERR_clear_error();
    if (key) return key;
    if (pem.view().find("ENCRYPTED") != std::string_view::npos) {
        return problem(
            "the key in " + path.string() + " is encrypted, and the gateway starts without a person",
            "decrypt it: openssl pkey -in " + path.string() + " -out FILE");
    }
    return problem(path.string() + " holds no private key in PEM that can be read", hint);
}

std::expected<std::vector<CertificatePtr>, CaProblem> read_pem(std::string_view pem, const fs::path& path) {
    auto certificates = read_certificates(pem);
    if (!certificates) return problem(path.string() + " is damaged: " + certificates.error());
    return std::move(*certificates);
}

using Certificates = std::vector<CertificatePtr>;

std::expected<std::optional<Certificates>, CaProblem> read_crt(const fs::path& data_dir) {
    const fs::path path = crt_file(data_dir);
    const auto text = read_ca_file(path, Privacy::whoever_may_read);
    if (!text) return std::unexpected(text.error());
    if (!*text) return std::nullopt;
    auto certificates = read_pem((*text)->view(), path);
    if (!certificates) return std::unexpected(certificates.error());
    if (certificates->empty())
        return problem(path.string() + " holds no certificate", "remove it: it is made anew from ca.key");
    return std::move(*certificates);
}

/// The CA of a key file, whose certificates are in it or, for `ca.key`, in `ca.crt`. Null where there is
/// none.
std::expected<IssuerPtr, CaProblem> read_issuer(const fs::path& data_dir, const fs::path& path) {
    const auto text = read_ca_file(path, Privacy::owner_only);
    if (!text) return std::unexpected(text.error());
    if (!*text) return nullptr;
    auto key = read_key(
        **text, path, "put it back from a backup; without one, remove it and ca.crt to have another CA made");
    if (!key) return std::unexpected(std::move(key.error()));
    auto certificates = read_pem((*text)->view(), path);
    if (!certificates) return std::unexpected(std::move(certificates.error()));
    if (!certificates->empty()) return Issuer::from(std::move(*certificates), std::move(*key), path.string());
    auto crt = read_crt(data_dir);
    if (!crt) return std::unexpected(std::move(crt.error()));
    if (!*crt) {
        return problem(path.string() + " holds no certificate, and there is no ca.crt",
                       "put the certificate of this key into " + crt_file(data_dir).string());
    }
    return Issuer::from(std::move(**crt), std::move(*key), crt_file(data_dir).string());
}

bool holds(const Certificates& certificates, const Issuer& issuer) {
    return std::ranges::any_of(certificates, [&](const CertificatePtr& certificate) {
        return X509_cmp(certificate.get(), issuer.certificate()) == 0;
    });
}

/// `ca.crt` for these CAs, each certificate once. Null pointers are passed over.
std::string bundle_of(std::initializer_list<const Issuer*> issuers) {
    std::string text;
    for (const Issuer* const issuer : issuers) {
        if (issuer == nullptr) continue;
        for (const auto& certificate : issuer->chain()) {
            const std::string pem = to_pem(certificate.get());
            if (text.find(pem) == std::string::npos) text += pem;
        }
    }
    return text;
}

std::expected<void, CaProblem> write_crt(const fs::path& data_dir,
                                         std::initializer_list<const Issuer*> issuers) {
    return write_ca_file(crt_file(data_dir), bundle_of(issuers), public_mode);
}

std::expected<void, CaProblem> write_key(const fs::path& path, const Issuer& issuer) {
    const BioPtr pem = issuer.to_private_pem();
    if (!pem) return problem("can't write the CA's key: there is no memory for it");
    char* data = nullptr;
    const long size = BIO_get_mem_data(pem.get(), &data);
    return write_ca_file(path, {data, static_cast<std::size_t>(size)}, private_mode);
}

/// What `ca.crt` must hold for the CA that signs.
std::expected<void, CaProblem> check_crt(const fs::path& data_dir, const Certificates& crt,
                                         const Issuer& active) {
    if (holds(crt, active)) return {};
    return problem(crt_file(data_dir).string() + " lacks the certificate of the key in " +
                       key_file(data_dir).string() + ", so clients would not trust this gateway",
                   "if ca.key is the right one, remove ca.crt: it is made anew");
}

std::vector<CertificateInfo> describe_chain(const IssuerPtr& issuer) {
    std::vector<CertificateInfo> chain;
    if (!issuer) return chain;
    for (const auto& certificate : issuer->chain())
        chain.push_back(describe(certificate.get()));
    return chain;
}

struct Both {
    IssuerPtr active;  // null: none yet
    IssuerPtr next;    // null: no rotation is under way
};

std::expected<Both, CaProblem> read_both(const fs::path& data_dir) {
    auto active = read_issuer(data_dir, key_file(data_dir));
    if (!active) return std::unexpected(std::move(active.error()));
    auto next = read_issuer(data_dir, next_key_file(data_dir));
    if (!next) return std::unexpected(std::move(next.error()));
    return Both{.active = std::move(*active), .next = std::move(*next)};
}

std::unexpected<CaProblem> no_ca(const fs::path& data_dir) {
    return problem("there is no CA in " + data_dir.string(),
                   "the gateway makes one when it first starts; or name its data directory with --data-dir");
}

/// Prepares `issuer` as the next CA. `ca.crt` goes first: a certificate whose key was lost on the way harms
/// nobody, a key that no client trusts would.
std::expected<CertificateInfo, CaProblem> put_next(const fs::path& data_dir, const Both& both,
                                                   const Issuer& issuer) {
    if (both.next) {
        return problem("a next CA is waiting already (" + fingerprint_of(both.next->certificate()) + ')',
                       "nomiqon ca rotate --activate, or nomiqon ca rotate --cancel");
    }
    if (auto done = write_crt(data_dir, {both.active.get(), &issuer}); !done)
        return std::unexpected(std::move(done.error()));
    if (auto done = write_key(next_key_file(data_dir), issuer); !done)
        return std::unexpected(std::move(done.error()));
    return describe(issuer.certificate());
}

}  // namespace

std::expected<IssuerPtr, CaProblem> CaStore::open() const {
    auto active = read_issuer(data_dir_, key_file(data_dir_));
    if (!active) return active;
    const auto crt = read_crt(data_dir_);
    if (!crt) return std::unexpected(crt.error());
    if (!*active || !*crt) return no_ca(data_dir_);
    if (auto good = check_crt(data_dir_, **crt, **active); !good) return std::unexpected(good.error());
    if (auto good = (*active)->check(clock_.now()); !good) return std::unexpected(good.error());
    return active;
}

std::expected<IssuerPtr, CaProblem> CaStore::open_or_make(
    const std::vector<std::string>& name_constraints) const {
    // Without lock first: the files may lie where only reading is allowed.
    std::error_code ignored;
    if (fs::exists(key_file(data_dir_), ignored) && fs::exists(crt_file(data_dir_), ignored)) return open();
    if (auto done = make_data_directory(data_dir_); !done) return std::unexpected(std::move(done.error()));
    const auto lock = CaLock::take(data_dir_);
    if (!lock) return std::unexpected(lock.error());
    auto both = read_both(data_dir_);
    if (!both) return std::unexpected(std::move(both.error()));
    if (!both->active) {
        if (fs::exists(crt_file(data_dir_), ignored)) {
            return problem(
                crt_file(data_dir_).string() + " is there, but not its key " + key_file(data_dir_).string(),
                "put the key back, or remove ca.crt to have another CA made, which the clients must "
                "then be told to trust");
        }
        auto made = Issuer::make(name_constraints, clock_.now());
        if (!made) return made;
        if (auto done = write_key(key_file(data_dir_), **made); !done)
            return std::unexpected(std::move(done.error()));
        both->active = std::move(*made);
    }
    if (!fs::exists(crt_file(data_dir_), ignored)) {
        if (auto done = write_crt(data_dir_, {both->active.get(), both->next.get()}); !done)
            return std::unexpected(std::move(done.error()));
    }
    return open();
}

std::expected<CaState, CaProblem> CaStore::state() const {
    const auto both = read_both(data_dir_);
    if (!both) return std::unexpected(both.error());
    if (!both->active) return no_ca(data_dir_);
    return CaState{.active = describe_chain(both->active), .next = describe_chain(both->next)};
}

std::expected<std::string, CaProblem> CaStore::bundle() const {
    const auto certificates = read_crt(data_dir_);
    if (!certificates) return std::unexpected(certificates.error());
    if (!*certificates) return no_ca(data_dir_);
    std::string text;
    for (const auto& certificate : **certificates)
        text += to_pem(certificate.get());
    return text;
}

std::expected<CertificateInfo, CaProblem> CaStore::rotate(
    const std::optional<std::vector<std::string>>& name_constraints) const {
    std::error_code ignored;
    if (!fs::exists(key_file(data_dir_), ignored)) return no_ca(data_dir_);
    const auto lock = CaLock::take(data_dir_);
    if (!lock) return std::unexpected(lock.error());
    const auto both = read_both(data_dir_);
    if (!both) return std::unexpected(both.error());
    if (!both->active) return no_ca(data_dir_);
    const auto issuer =
        Issuer::make(name_constraints ? *name_constraints : name_constraints_of(both->active->certificate()),
                     clock_.now());
    if (!issuer) return std::unexpected(issuer.error());
    return put_next(data_dir_, *both, **issuer);
}

std::expected<CertificateInfo, CaProblem> CaStore::activate() const {
    std::error_code ignored;
    const auto nothing_waits = [] {
        return problem("no next CA is waiting",
                       "prepare one with nomiqon ca rotate, or nomiqon ca import --next");
    };
    if (!fs::exists(next_key_file(data_dir_), ignored)) return nothing_waits();
    const auto lock = CaLock::take(data_dir_);
    if (!lock) return std::unexpected(lock.error());
    const auto both = read_both(data_dir_);
    if (!both) return std::unexpected(both.error());
    if (!both->next) return nothing_waits();
    if (auto good = both->next->check(clock_.now()); !good) return std::unexpected(good.error());
    // Both first, so that at no moment the CA that signs is missing in ca.crt.
    if (auto done = write_crt(data_dir_, {both->active.get(), both->next.get()}); !done)
        return std::unexpected(std::move(done.error()));
    if (auto done = rename_ca_file(next_key_file(data_dir_), key_file(data_dir_)); !done)
        return std::unexpected(std::move(done.error()));
    if (auto done = write_crt(data_dir_, {both->next.get()}); !done)
        return std::unexpected(std::move(done.error()));
    return describe(both->next->certificate());
}

std::expected<void, CaProblem> CaStore::cancel_rotation() const {
    std::error_code ignored;
    if (!fs::exists(next_key_file(data_dir_), ignored)) return problem("no next CA is waiting");
    const auto lock = CaLock::take(data_dir_);
    if (!lock) return std::unexpected(lock.error());
    const auto active = read_issuer(data_dir_, key_file(data_dir_));
    if (!active) return std::unexpected(active.error());
    if (auto done = remove_ca_file(next_key_file(data_dir_)); !done) return done;
    if (!*active) return {};
    return write_crt(data_dir_, {active->get()});
}

std::expected<CertificateInfo, CaProblem> CaStore::import(const fs::path& chain, const fs::path& key,
                                                          bool at_once) const {
    const auto chain_text = read_ca_file(chain, Privacy::whoever_may_read);
    if (!chain_text) return std::unexpected(chain_text.error());
    if (!*chain_text) return problem("there is no file " + chain.string());
    const auto key_text = read_ca_file(key, Privacy::whoever_may_read);
    if (!key_text) return std::unexpected(key_text.error());
    if (!*key_text) return problem("there is no file " + key.string());
    auto certificates = read_pem((*chain_text)->view(), chain);
    if (!certificates) return std::unexpected(std::move(certificates.error()));
    if (certificates->empty()) return problem(chain.string() + " holds no certificate in PEM");
    auto private_key = read_key(**key_text, key, "it must be PKCS#8, PKCS#1 or SEC 1 in PEM");
    if (!private_key) return std::unexpected(std::move(private_key.error()));
    const auto issuer = Issuer::from(std::move(*certificates), std::move(*private_key), chain.string());
    if (!issuer) return std::unexpected(issuer.error());
    if (auto good = (*issuer)->check(clock_.now()); !good) return std::unexpected(std::move(good.error()));

    if (auto done = make_data_directory(data_dir_); !done) return std::unexpected(std::move(done.error()));
    const auto lock = CaLock::take(data_dir_);
    if (!lock) return std::unexpected(lock.error());
    const auto both = read_both(data_dir_);
    if (!both) return std::unexpected(both.error());
    if (!at_once) {
        if (!both->active) return no_ca(data_dir_);
        return put_next(data_dir_, *both, **issuer);
    }
    if (auto done = write_crt(data_dir_, {issuer->get(), both->active.get(), both->next.get()}); !done)
        return std::unexpected(std::move(done.error()));
    if (auto done = write_key(key_file(data_dir_), **issuer); !done)
        return std::unexpected(std::move(done.error()));
    if (auto done = write_crt(data_dir_, {issuer->get(), both->next.get()}); !done)
        return std::unexpected(std::move(done.error()));
    return describe((*issuer)->certificate());
}

}  // namespace nomiqon::tls
