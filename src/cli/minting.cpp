#include "minting.h"

#include "nomiqon/core/suggestion.h"
#include "nomiqon/core/time.h"
#include "nomiqon/core/usdc.h"

namespace nomiqon::cli {
namespace {

constexpr std::string_view default_once_life = "60s";
constexpr std::string_view default_session_life = "1h";

Outcome<std::int64_t> life_of(const MintToken& options, token::TokenUse use) {
    const bool once = use == token::TokenUse::once;
    const std::string_view text = !options.ttl.empty() ? std::string_view{options.ttl}
                                                       : (once ? default_once_life : default_session_life);
    const std::int64_t longest = once ? token::max_once_seconds : token::max_session_seconds;
    const auto life = parse_duration(text);
    if (!life || life->count() < 1000 || life->count() % 1000 != 0)
        return usage_error("--ttl must be whole seconds such as 60s, 5m or 1h, not " + in_backticks(text));
    if (life->count() / 1000 > longest) {
        return usage_error("a " + options.use + " token lives at most " + std::to_string(longest) + " s",
                           once ? "--use session lives up to a day, and needs --max" : "");
    }
    return life->count() / 1000;
}

Outcome<token::MintClaims> claims_of(const MintToken& options) {
    token::MintClaims claims;
    if (options.use == "session") {
        claims.use = token::TokenUse::session;
    } else if (options.use != "once") {
        return usage_error("--use must be once or session, not " + in_backticks(options.use));
    }
    if (!options.max.empty()) {
        claims.max = Usdc::parse(options.max);
        if (!claims.max || claims.max->is_zero())
            return usage_error("--max must be an amount of USDC above zero, such as 0.05, not " +
                               in_backticks(options.max));
    } else if (claims.use == token::TokenUse::session) {
        return usage_error("a session token needs --max: the most it may spend in all",
                           "for instance --max 1.00");
    }
    const auto life = life_of(options, claims.use);
    if (!life) return std::unexpected(life.error());
    claims.audience = options.audience;
    claims.iat = unix_now();
    claims.exp = claims.iat + *life;
    claims.htm = options.method;
    claims.htu = options.url;
    claims.ref = options.ref;
    return claims;
}

/// Which option a check of the token is about.
std::string option_of(std::string_view check) {
    if (check == "htm") return "--method must be an HTTP method";
    if (check == "htu") return "--url must be an http or https URL without user, query and fragment";
    if (check == "ref") return "--ref must have 1 to 128 bytes of UTF-8 and no control characters";
    if (check == "aud" || check == "claims") return "--audience, --ref and --url must be valid UTF-8";
    if (check.starts_with("longer"))
        return "the token would be longer than 2048 characters; shorten --url or --ref";
    return "a gateway would refuse this token (" + std::string{check} + ")";
}

}  // namespace

std::int64_t unix_now() {
    return unix_seconds(SystemClock{}.now());
}

Outcome<Minted> mint(Context& context, const MintToken& options) {
    const auto claims = claims_of(options);
    if (!claims) return std::unexpected(claims.error());
    const auto store = context.keys();
    if (!store) return std::unexpected(store.error());
    const auto keys = (*store)->find(options.agent);
    if (!keys) return std::unexpected(keys.error());
    const auto key = signing_key(*keys);
    if (!key) return std::unexpected(key.error());
    std::string text = key->mint(*claims);
    auto token = token::verify(text, {.now = claims->iat, .audience = claims->audience});
    if (!token) return usage_error(option_of(token.error().detail));
    return Minted{.text = std::move(text), .token = std::move(*token)};
}

}  // namespace nomiqon::cli
