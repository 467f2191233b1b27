#include <sodium.h>
#include <algorithm>
#include <utility>

#include "nomiqon/core/encoding.h"
#include "nomiqon/core/sodium.h"
#include "nomiqon/token/spend_token.h"

namespace nomiqon::token {
namespace {

constexpr std::size_t jti_random_bytes = 16;

unsigned char* bytes_of(char* data) {
    return reinterpret_cast<unsigned char*>(data);
}
const unsigned char* bytes_of(const char* data) {
    return reinterpret_cast<const unsigned char*>(data);
}

std::string encode(std::string_view text) {
    return base64url_encode({bytes_of(text.data()), text.size()});
}

std::string new_jti() {
    std::array<std::uint8_t, jti_random_bytes> random{};
    randombytes_buf(random.data(), random.size());
    return base64url_encode(random);
}

std::string quoted(std::string_view text) {
    constexpr std::string_view hex_digits = "0123456789abcdef";
    std::string json = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            json += '\\';
            json += c;
        } else if (byte < 0x20) {
            json += "\\u00";
            json += hex_digits[byte >> 4];
            json += hex_digits[byte & 15];
        } else {
            json += c;
        }
    }
    return json + '"';
}

std::string claims_json(const MintClaims& claims) {
    std::string json = "{\"aud\":" + quoted(claims.audience) + ",\"iat\":" + std::to_string(claims.iat) +
                       ",\"exp\":" + std::to_string(claims.exp) +
                       ",\"jti\":" + quoted(claims.jti.empty() ? new_jti() : claims.jti);
    if (claims.use == TokenUse::session) json += ",\"use\":\"session\"";
    if (claims.max) json += ",\"max\":" + quoted(claims.max->to_string());
    if (!claims.htm.empty()) json += ",\"htm\":" + quoted(claims.htm);
    if (!claims.htu.empty()) json += ",\"htu\":" + quoted(claims.htu);
    if (!claims.ref.empty()) json += ",\"ref\":" + quoted(claims.ref);
    return json + '}';
}

}  // namespace

SigningKey::SigningKey(std::array<char, 64> secret, Caid caid) : secret_(secret), caid_(std::move(caid)) {
    sodium_memzero(secret.data(), secret.size());
}

SigningKey::SigningKey(SigningKey&& other) noexcept : secret_(other.secret_), caid_(std::move(other.caid_)) {
    sodium_memzero(other.secret_.data(), other.secret_.size());
}

SigningKey& SigningKey::operator=(SigningKey&& other) noexcept {
    if (this != &other) {
        secret_ = other.secret_;
        caid_ = std::move(other.caid_);
        sodium_memzero(other.secret_.data(), other.secret_.size());
    }
    return *this;
}

SigningKey::~SigningKey() {
    sodium_memzero(secret_.data(), secret_.size());
}

SigningKey SigningKey::generate() {
    ensure_sodium();
    PublicKey public_key{};
    std::array<char, 64> secret{};
    crypto_sign_keypair(public_key.data(), bytes_of(secret.data()));
    SigningKey key{secret, Caid{public_key}};
    sodium_memzero(secret.data(), secret.size());
    return key;
}

std::optional<SigningKey> SigningKey::from_seed(std::string_view seed) {
    ensure_sodium();
    if (seed.size() != crypto_sign_SEEDBYTES) return std::nullopt;
    PublicKey public_key{};
    std::array<char, 64> secret{};
    crypto_sign_seed_keypair(public_key.data(), bytes_of(secret.data()), bytes_of(seed.data()));
    SigningKey key{secret, Caid{public_key}};
    sodium_memzero(secret.data(), secret.size());
    return key;
}

std::string SigningKey::mint(const MintClaims& claims) const {
    const std::string header = R"({"alg":"EdDSA","typ":"spend+jwt","kid":")" + caid_.str() + "\"}";
    std::string token = encode(header) + '.' + encode(claims_json(claims));
    std::array<std::uint8_t, crypto_sign_BYTES> signature{};
    crypto_sign_detached(signature.data(), nullptr, bytes_of(token.data()), token.size(),
                         bytes_of(secret_.data()));
    token += '.';
    token += base64url_encode(signature);
    return token;
}

}  // namespace nomiqon::token
