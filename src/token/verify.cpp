// The spend token: JWS in compact form (RFC 7515 section 7.1), EdDSA with Ed25519 (RFC 8037 section 3.1), one
// strict profile. A general JOSE library would have to be told all that it must not do; this knows one way
// only.

#include <sodium.h>
#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include "bound_url.h"
#include "flat_json.h"
#include "nomiqon/core/encoding.h"
#include "nomiqon/core/sodium.h"
#include "nomiqon/token/spend_token.h"

namespace nomiqon::token {
namespace {

constexpr std::string_view scanner_prefix = "spt_";
constexpr std::size_t signature_length = (crypto_sign_BYTES * 4 + 2) / 3;  // of its base64url
constexpr std::size_t max_ref_bytes = 128;

std::unexpected<Refusal> invalid(std::string_view check) {
    return std::unexpected(Refusal{.code = RefusalCode::spend_token_invalid, .detail = std::string{check}});
}

/// The three segments of the compact form, and what the signature covers.
struct Segments {
    std::string_view header;
    std::string_view claims;
    std::string_view signature;
    std::string_view signed_part;
};

std::optional<Segments> split(std::string_view text) {
    const auto first = text.find('.');
    if (first == std::string_view::npos) return std::nullopt;
    const auto second = text.find('.', first + 1);
    if (second == std::string_view::npos) return std::nullopt;
    return Segments{.header = text.substr(0, first),
                    .claims = text.substr(first + 1, second - first - 1),
                    .signature = text.substr(second + 1),  // a third dot is no base64url and refused there
                    .signed_part = text.substr(0, second)};
}

/// Members as they stand, each at most once; form and meaning are checked afterwards.
template <class Value>
bool set_once(std::optional<Value>& member, FlatValue& value) {
    auto* const typed = std::get_if<Value>(&value);
    if (typed == nullptr || member) return false;
    member = std::move(*typed);
    return true;
}

/// The identity that a header names, if it is exactly the header of this profile.
std::optional<Caid> read_header(std::string_view json) {
    std::optional<std::string> alg;
    std::optional<std::string> typ;
    std::optional<std::string> kid;
    const bool read = read_flat_object(json, [&](std::string_view name, FlatValue value) {
        if (name == "alg") return set_once(alg, value);
        if (name == "typ") return set_once(typ, value);
        if (name == "kid") return set_once(kid, value);
        return false;
    });
    if (!read || alg != "EdDSA" || typ != "spend+jwt" || !kid) return std::nullopt;
    return Caid::parse(*kid);
}

struct RawClaims {
    std::optional<std::string> aud, jti, use, max, htm, htu, ref;
    std::optional<std::int64_t> iat, exp;
};

std::optional<RawClaims> read_claims(std::string_view json) {
    RawClaims claims;
    const std::array<std::pair<std::string_view, std::optional<std::string>*>, 7> texts{
        {{"aud", &claims.aud},
         {"jti", &claims.jti},
         {"use", &claims.use},
         {"max", &claims.max},
         {"htm", &claims.htm},
         {"htu", &claims.htu},
         {"ref", &claims.ref}}};
    const bool read = read_flat_object(json, [&](std::string_view name, FlatValue value) {
        if (name == "iat") return set_once(claims.iat, value);
        if (name == "exp") return set_once(claims.exp, value);
        const auto* const text =
            std::ranges::find(texts, name, [](const auto& entry) { return entry.first; });
        return text != texts.end() && set_once(*text->second, value);
    });
    if (!read) return std::nullopt;
    return claims;
}

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_jti(std::string_view text) {
    return text.size() >= 16 && text.size() <= 64 &&
           std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; });
}

/// A token of RFC 9110 section 5.6.2, as methods are.
bool is_http_token(std::string_view text) {
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return !text.empty() &&
           std::ranges::all_of(text, [&](char c) { return is_alphanumeric(c) || others.contains(c); });
}

/// Valid UTF-8 already. U+0080–U+009F are the byte C2 and one of 80–9F.
bool is_ref(std::string_view text) {
    if (text.empty() || text.size() > max_ref_bytes) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte < 0x20 || byte == 0x7f) return false;
        if (byte == 0xc2 && static_cast<unsigned char>(text[i + 1]) < 0xa0) return false;
    }
    return true;
}

/// Empty, or the check that the times fail. Whether the token has expired is asked last of all, elsewhere.
std::string_view problem_of_life(const RawClaims& claims, TokenUse use, const VerifyContext* context) {
    if (!claims.iat || !claims.exp) return "iat or exp missing";
    if (*claims.iat < 0 || *claims.exp <= *claims.iat) return "exp not after iat";
    const std::int64_t longest = use == TokenUse::once ? max_once_seconds : max_session_seconds;
    if (*claims.exp - *claims.iat > longest) return "lives too long";
    if (context != nullptr && *claims.iat - max_clock_skew_seconds > context->now)
        return "issued in the future";
    return {};
}

/// Without a context any audience is good, and any time.
std::expected<SpendToken, Refusal> interpret(RawClaims claims, Caid caid, const VerifyContext* context) {
    SpendToken token{.caid = std::move(caid)};
    if (!claims.aud || (context != nullptr && *claims.aud != context->audience)) return invalid("aud");
    if (!claims.jti || !is_jti(*claims.jti)) return invalid("jti");
    if (claims.use && claims.use != "once" && claims.use != "session") return invalid("use");
    if (claims.use == "session") token.use = TokenUse::session;
    if (const auto problem = problem_of_life(claims, token.use, context); !problem.empty())
        return invalid(problem);

    if (claims.max) {
        token.max = Usdc::parse(*claims.max);
        if (!token.max || token.max->is_zero()) return invalid("max");
    } else if (token.use == TokenUse::session) {
        return invalid("session without max");
    }
    if (claims.htm && !is_http_token(*claims.htm)) return invalid("htm");
    if (claims.htu) {
        token.htu = parse_bound_url(*claims.htu);
        if (!token.htu) return invalid("htu");
    }
    if (claims.ref && !is_ref(*claims.ref)) return invalid("ref");

    token.iat = *claims.iat;
    token.exp = *claims.exp;
    token.jti = std::move(*claims.jti);
    token.htm = std::move(claims.htm);
    token.ref = std::move(claims.ref).value_or("");
    return token;
}

/// libsodium refuses a non-canonical S, and small-order R and keys.
bool is_signed_by(const PublicKey& key, std::string_view signature, std::string_view message) {
    const auto bytes = [](std::string_view text) {
        return reinterpret_cast<const unsigned char*>(text.data());
    };
    return signature.size() == crypto_sign_BYTES &&
           crypto_sign_verify_detached(bytes(signature), bytes(message), message.size(), key.data()) == 0;
}

std::expected<SpendToken, Refusal> read_signed(std::string_view text, const VerifyContext* context) {
    if (text.starts_with(scanner_prefix)) text.remove_prefix(scanner_prefix.size());
    if (text.empty()) return std::unexpected(Refusal{.code = RefusalCode::spend_token_missing});
    if (text.size() > max_token_length) return invalid("longer than 2048 characters");
    const auto segments = split(text);
    if (!segments || segments->signature.size() != signature_length) return invalid("not three segments");
    const auto header = base64url_decode(segments->header);
    const auto claims_json = base64url_decode(segments->claims);
    const auto signature = base64url_decode(segments->signature);
    if (!header || !claims_json || !signature) return invalid("base64url");

    auto caid = read_header(*header);
    if (!caid) return invalid("header");
    auto claims = read_claims(*claims_json);
    if (!claims) return invalid("claims");
    auto token = interpret(std::move(*claims), std::move(*caid), context);
    if (!token) return token;

    ensure_sodium();
    if (!is_signed_by(token->caid.public_key(), *signature, segments->signed_part))
        return invalid("signature");
    if (context != nullptr) {
        if (auto expired = check_expiry(*token, context->now)) return std::unexpected(std::move(*expired));
    }
    token->text = text;
    return token;
}

}  // namespace

std::optional<Refusal> check_expiry(const SpendToken& token, std::int64_t now) {
    if (now < token.exp) return std::nullopt;
    return Refusal{.code = RefusalCode::spend_token_expired};
}

std::expected<SpendToken, Refusal> verify(std::string_view text, const VerifyContext& context) {
    return read_signed(text, &context);
}

std::expected<SpendToken, Refusal> verify_kept(std::string_view text) {
    return read_signed(text, nullptr);
}

}  // namespace nomiqon::token
