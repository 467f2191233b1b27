// `token mint`, `inspect` and `verify`: all by what lies on this machine, without a gateway. A token is a
// secret as long as it is valid: it is printed where it was asked for, and stands in no error.

#include <sodium.h>
#include <iostream>

#include "commands.h"
#include "minting.h"
#include "nomiqon/core/encoding.h"
#include "nomiqon/core/sodium.h"
#include "nomiqon/core/time.h"

namespace nomiqon::cli {
namespace {

constexpr std::string_view default_proxy = "127.0.0.1:3128";
constexpr std::string_view scanner_prefix = "spt_";
constexpr std::size_t max_stdin_bytes = 64 * 1024;

std::string time_text(std::int64_t seconds) {
    return format_time(Time{std::chrono::seconds{seconds}});
}

/// The token itself, or for `-` what standard input has, without the line's end.
std::string token_text(const std::string& argument) {
    if (argument != "-") return argument;
    std::string text(max_stdin_bytes, '\0');
    std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(std::cin.gcount()));
    while (text.ends_with('\n') || text.ends_with('\r'))
        text.pop_back();
    return text;
}

// verify
// ---------------------------------------------------------------------------------------------------------------

/// A request's URL. Unlike `htu` it may have a query, which no token is bound to.
struct RequestUrl {
    Scheme scheme = Scheme::https;
    Endpoint endpoint;
    std::string path;
};

Outcome<RequestUrl> parse_request_url(std::string_view text) {
    const auto colon = text.find("://");
    if (colon == std::string_view::npos) return usage_error("--url must start with http:// or https://");
    std::string scheme{text.substr(0, colon)};
    for (char& c : scheme)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (scheme != "http" && scheme != "https")
        return usage_error("--url must start with http:// or https://");
    const auto parsed_scheme = scheme == "http" ? Scheme::http : Scheme::https;
    text.remove_prefix(colon + 3);
    const auto authority = text.substr(0, text.find_first_of("/?#"));
    auto endpoint = Endpoint::parse(authority, default_port(parsed_scheme));
    if (!endpoint) return usage_error("--url has no host that a request could go to: " + endpoint.error());
    text.remove_prefix(authority.size());
    const auto path = text.substr(0, text.find_first_of("?#"));
    return RequestUrl{.scheme = parsed_scheme,
                      .endpoint = std::move(*endpoint),
                      .path = path.empty() ? "/" : std::string{path}};
}

/// The code that a gateway answers, from the token alone; empty: it takes it.
Outcome<std::string> verdict(const VerifyToken& options) {
    const std::int64_t now = options.now.value_or(unix_now());
    std::optional<RequestUrl> url;
    if (!options.url.empty()) {
        auto parsed = parse_request_url(options.url);
        if (!parsed) return std::unexpected(parsed.error());
        url = std::move(*parsed);
    }
    const auto token = token::verify(token_text(options.token), {.now = now, .audience = options.audience});
    if (!token) return std::string{info(token.error().code).name};
    if (!url) return std::string{};
    token::BoundRequest request{.method = options.method,
                                .scheme = url->scheme,
                                .host = url->endpoint.host.str(),
                                .port = url->endpoint.port};
    if (options.method != "CONNECT") request.path = url->path;
    const auto mismatch = token::check_binding(*token, request);
    return mismatch ? std::string{info(mismatch->code).name} : std::string{};
}

// inspect
// --------------------------------------------------------------------------------------------------------------

struct Parts {
    Json header;
    Json claims;
    std::string signature;
    std::string_view signed_part;
};

/// Whatever can be read, good or not.
Outcome<Parts> take_apart(std::string_view text) {
    const auto first = text.find('.');
    const auto second = first == std::string_view::npos ? first : text.find('.', first + 1);
    if (second == std::string_view::npos)
        return failed("this is no spend token: it has no three parts divided by points");
    const auto header = base64url_decode(text.substr(0, first));
    const auto claims = base64url_decode(text.substr(first + 1, second - first - 1));
    if (!header || !claims) return failed("this is no spend token: its parts are not in base64url");
    auto header_json = parse_json(*header, "the token's header");
    if (!header_json) return std::unexpected(header_json.error());
    auto claims_json = parse_json(*claims, "the token's claims");
    if (!claims_json) return std::unexpected(claims_json.error());
    return Parts{.header = std::move(*header_json),
                 .claims = std::move(*claims_json),
                 .signature = base64url_decode(text.substr(second + 1)).value_or(std::string{}),
                 .signed_part = text.substr(0, second)};
}

bool has_good_signature(const Parts& parts) {
    const auto caid = Caid::parse(text_at(parts.header, {"kid"}));
    if (!caid || parts.signature.size() != crypto_sign_BYTES) return false;
    ensure_sodium();
    const auto bytes = [](std::string_view data) {
        return reinterpret_cast<const unsigned char*>(data.data());
    };
    return crypto_sign_verify_detached(bytes(parts.signature), bytes(parts.signed_part),
                                       parts.signed_part.size(), caid->public_key().data()) == 0;
}

std::optional<std::int64_t> seconds_at(const Json& claims, std::string_view name) {
    const Json& value = at(claims, {name});
    // What a time can't hold is no time: 9999-12-31 is far enough.
    constexpr std::int64_t latest = 253'402'300'799;
    if (!value.is_number_integer()) return std::nullopt;
    const auto seconds = value.get<std::int64_t>();
    if (seconds < 0 || seconds > latest) return std::nullopt;
    return seconds;
}

std::string life_left(std::int64_t exp, std::int64_t now) {
    return now < exp ? std::to_string(exp - now) + " s left"
                     : "expired " + std::to_string(now - exp) + " s ago";
}

}  // namespace

Outcome<void> mint_token(Context& context, const MintToken& options) {
    std::string proxy;
    if (options.proxy) {
        const std::string_view authority =
            options.proxy->empty() ? default_proxy : std::string_view{*options.proxy};
        const auto endpoint = Endpoint::parse(authority);
        if (!endpoint)
            return usage_error("--proxy-url takes the gateway's host:port, such as 127.0.0.1:3128: " +
                               endpoint.error());
        proxy = endpoint->to_string();
    }
    const auto minted = mint(context, options);
    if (!minted) return std::unexpected(minted.error());
    const std::string url =
        proxy.empty() ? "" : "http://" + minted->token.caid.str() + ':' + minted->text + '@' + proxy;
    if (!context.out.json()) {
        context.out.line(proxy.empty() ? minted->text : url);
        return {};
    }
    Json data{{"token", minted->text},
              {"caid", minted->token.caid.str()},
              {"jti", minted->token.jti},
              {"use", options.use},
              {"issuedAt", time_text(minted->token.iat)},
              {"expiresAt", time_text(minted->token.exp)}};
    if (minted->token.max) data["max"] = minted->token.max->to_string();
    if (!url.empty()) data["proxyUrl"] = url;
    context.out.data(data);
    return {};
}

Outcome<void> inspect_token(Context& context, const InspectToken& options) {
    const std::string whole = token_text(options.token);
    std::string_view text = whole;
    if (text.starts_with(scanner_prefix)) text.remove_prefix(scanner_prefix.size());
    const auto parts = take_apart(text);
    if (!parts) return std::unexpected(parts.error());

    const std::int64_t now = unix_now();
    const bool signature = has_good_signature(*parts);
    const auto exp = seconds_at(parts->claims, "exp");
    const auto iat = seconds_at(parts->claims, "iat");
    // Judged at the moment of its making and by its own audience, what remains is its form.
    const std::string audience = text_at(parts->claims, {"aud"});
    const auto form = token::verify(text, {.now = iat.value_or(0), .audience = audience});
    const std::string problem = form ? "" : form.error().detail;
    if (context.out.json()) {
        Json data{{"header", parts->header},
                  {"claims", parts->claims},
                  {"signatureValid", signature},
                  {"formValid", form.has_value()}};
        if (!problem.empty()) data["problem"] = problem;
        if (exp) data["secondsLeft"] = *exp - now;
        context.out.data(data);
        return {};
    }
    Fields fields{{"signature", signature ? "valid" : "NOT valid"},
                  {"form", form ? "a spend token" : "refused by every gateway: " + problem}};
    if (iat) fields.emplace_back("issued", short_time(time_text(*iat)));
    if (exp) fields.emplace_back("expires", short_time(time_text(*exp)) + ", " + life_left(*exp, now));
    for (const auto& [part, name] :
         {std::pair{&parts->header, "header "}, std::pair{&parts->claims, "claim "}}) {
        if (!part->is_object()) continue;
        for (const auto& [member, value] : part->items())
            fields.emplace_back(name + member, text_at(*part, {member}));
    }
    context.out.fields(fields);
    return {};
}

Outcome<void> verify_token(Context& context, const VerifyToken& options) {
    if (options.method.empty() != options.url.empty())
        return usage_error("--method and --url say together what the request is");
    const auto code = verdict(options);
    if (!code) return std::unexpected(code.error());
    const bool ok = code->empty();
    if (context.out.json()) {
        Json data{{"ok", ok}};
        if (!ok) data["code"] = *code;
        context.out.data(data);
    } else {
        context.out.line(ok ? "ok" : *code);
    }
    if (ok) return {};
    return std::unexpected(Failure{.message = {}});
}

}  // namespace nomiqon::cli
