// Session tickets: RFC 5077 section 4 (AES in CBC mode, then HMAC-SHA256), which OpenSSL uses for TLS 1.3
// too.

#include "ticket_keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <algorithm>
#include <span>
#include <string>

namespace nomiqon::tls {
namespace {

constexpr int failed = -1;
constexpr int no_such_key = 0;
constexpr int issued = 1;
constexpr int good_but_renew = 2;

bool set_mac_key(EVP_MAC_CTX* mac, std::array<unsigned char, 32>& key) {
    std::string digest = "SHA256";
    const std::array<OSSL_PARAM, 3> parameters{
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.data(), key.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
        OSSL_PARAM_construct_end()};
    return EVP_MAC_CTX_set_params(mac, parameters.data()) == 1;
}

}  // namespace

TicketKeys::~TicketKeys() {
    for (auto* const key : {&current_, &previous_}) {
        if (*key) OPENSSL_cleanse(&**key, sizeof(Key));
    }
}

bool TicketKeys::renew() {
    const Time now = clock_.now();
    if (current_ && now < current_->made + life) return true;
    Key key{.made = now};
    const bool made =
        RAND_bytes(key.name.data(), static_cast<int>(key.name.size())) == 1 &&
        RAND_priv_bytes(key.encryption.data(), static_cast<int>(key.encryption.size())) == 1 &&
        RAND_priv_bytes(key.authentication.data(), static_cast<int>(key.authentication.size())) == 1;
    if (made) {
        previous_ = current_ && now < current_->made + 2 * life ? current_ : std::nullopt;
        current_ = key;
    }
    OPENSSL_cleanse(&key, sizeof(Key));
    return made;
}

int TicketKeys::seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) {
    const std::lock_guard lock{mutex_};
    if (!renew() || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return failed;
    std::ranges::copy(current_->name, name);
    if (EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), current_->encryption.data(), iv, nullptr) != 1)
        return failed;
    return set_mac_key(mac, current_->authentication) ? issued : failed;
}

int TicketKeys::open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
                     EVP_MAC_CTX* mac) {
    const std::lock_guard lock{mutex_};
    if (!renew()) return failed;
    for (auto* const key : {&current_, &previous_}) {
        if (!*key || !std::ranges::equal((*key)->name, std::span(name, (*key)->name.size()))) continue;
        if (EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), (*key)->encryption.data(), iv, nullptr) != 1 ||
            !set_mac_key(mac, (*key)->authentication)) {
            return failed;
        }
        // TLS 1.3's tickets are used once (RFC 8446, appendix C.4): without a new one every second connection
        // would have none to resume with.
        return good_but_renew;
    }
    return no_such_key;
}

}  // namespace nomiqon::tls
