// Spend tokens from an attacker: whatever arrives is answered, and only what was signed is taken. The input
// is tried as a whole token, and as header and claims that a known key signs, so that the fuzzer gets past
// the signature.

#include <sodium.h>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "nomiqon/core/encoding.h"
#include "nomiqon/core/sodium.h"
#include "nomiqon/token/spend_token.h"

namespace {

using namespace nomiqon;

constexpr std::int64_t now = 1'795'034'304;

const token::SigningKey& signer() {
    static const token::SigningKey key = token::SigningKey::from_seed(std::string(32, 'k')).value();
    return key;
}

std::string encode(std::string_view text) {
    return base64url_encode({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

std::string sign(std::string_view claims) {
    const std::string header = R"({"alg":"EdDSA","typ":"spend+jwt","kid":")" + signer().caid().str() + "\"}";
    const std::string message = encode(header) + '.' + encode(claims);
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES];
    unsigned char secret_key[crypto_sign_SECRETKEYBYTES];
    unsigned char signature[crypto_sign_BYTES];
    crypto_sign_seed_keypair(public_key, secret_key,
                             reinterpret_cast<const unsigned char*>(signer().seed().data()));
    crypto_sign_detached(signature, nullptr, reinterpret_cast<const unsigned char*>(message.data()),
                         message.size(), secret_key);
    return message + '.' + base64url_encode(signature);
}

/// What must hold of every token that was taken.
void check(const token::SpendToken& token) {
    const std::int64_t longest =
        token.use == token::TokenUse::once ? token::max_once_seconds : token::max_session_seconds;
    const bool sound = token.exp > now && token.iat <= now + token::max_clock_skew_seconds &&
                       token.exp > token.iat && token.exp - token.iat <= longest && token.jti.size() >= 16 &&
                       token.jti.size() <= 64 && token.ref.size() <= 128 &&
                       token.text.size() <= token::max_token_length &&
                       (!token.max || token.max->nanos() > 0) &&
                       (token.max || token.use == token::TokenUse::once) && is_utf8(token.ref);
    if (!sound) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ensure_sodium();
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    const token::VerifyContext context{.now = now, .audience = "nomiqon"};
    if (const auto token = token::verify(input, context)) check(*token);
    if (const auto token = token::verify(sign(input), context)) {
        check(*token);
        if (token->caid != signer().caid()) std::abort();
    }
    return 0;
}
