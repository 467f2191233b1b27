#include "nomiqon/audit/chain.h"

#include <openssl/evp.h>
#include <algorithm>
#include <stdexcept>

#include "nomiqon/core/encoding.h"

namespace nomiqon::audit {

std::string to_hex(const Hash& hash) {
    return hex_encode(hash);
}

std::optional<Hash> hash_from_hex(std::string_view text) {
    const auto bytes = hex_decode(text);
    Hash hash{};
    if (!bytes || bytes->size() != hash.size() || hex_encode(*bytes) != text) return std::nullopt;
    std::ranges::copy(*bytes, hash.begin());
    return hash;
}

void Hasher::Free::operator()(evp_md_ctx_st* context) const {
    EVP_MD_CTX_free(context);
}

// OpenSSL, not libsodium: it uses the processor's own SHA instructions, which is five times as fast.
Hasher::Hasher() : context_(EVP_MD_CTX_new()) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1)
        throw std::runtime_error{"OpenSSL has no SHA-256"};
}

Hash Hasher::next(const Hash& previous, std::string_view line) {
    Hash hash{};
    // Without a type, the one of the constructor is used again, and nothing is looked up.
    if (EVP_DigestInit_ex(context_.get(), nullptr, nullptr) != 1 ||
        EVP_DigestUpdate(context_.get(), previous.data(), previous.size()) != 1 ||
        EVP_DigestUpdate(context_.get(), line.data(), line.size()) != 1 ||
        EVP_DigestFinal_ex(context_.get(), hash.data(), nullptr) != 1) {
        throw std::runtime_error{"OpenSSL could not compute a SHA-256"};
    }
    return hash;
}

}  // namespace nomiqon::audit
