#include "token_proof.h"

#include "nomiqon/token/spend_token.h"

namespace nomiqon::audit {
namespace {

std::optional<Problem> check_claims(const token::SpendToken& token, const Reservation& r) {
    const auto differs = [](std::string_view claim) {
        return Problem{Invariant::token_proof,
                       "the signed token has another " + std::string{claim} + " than the line"};
    };
    if (token.caid.str() != r.caid) return differs("CAID");
    if (token.jti != r.token_id) return differs("id");
    if (token.exp != r.token_exp) return differs("expiry");
    if ((token.use == token::TokenUse::session) != r.token_session) return differs("use");
    if (token.max != r.token_max) return differs("max");
    if (token.ref != r.ref.value_or("")) return differs("ref");
    return std::nullopt;
}

std::optional<Problem> check_binding(const token::SpendToken& token, const Reservation& r) {
    const auto misused = [](std::string_view claim) {
        return Problem{Invariant::token_binding,
                       "the signed token is bound to another " + std::string{claim}};
    };
    if (r.scheme != "http" && r.scheme != "https")
        return Problem{Invariant::form, "its scheme is neither http nor https"};
    if (r.port < 1 || r.port > UINT16_MAX) return Problem{Invariant::form, "its port is none"};
    // A token bound to CONNECT admits every method inside of the connection, which is an https one.
    const bool inside = token.htm == "CONNECT" && r.scheme == "https";
    if (token.htm && *token.htm != r.method && !inside) return misused("method");
    const token::BoundRequest request{.method = r.method,
                                      .scheme = r.scheme == "https" ? Scheme::https : Scheme::http,
                                      .host = r.host,
                                      .port = static_cast<std::uint16_t>(r.port)};
    if (token::check_connect_binding(token, request)) return misused("origin");
    return std::nullopt;
}

}  // namespace

std::optional<Problem> check_token(const Reservation& reservation) {
    const auto token = token::verify_kept(reservation.token);
    if (!token) {
        return Problem{Invariant::token_proof,
                       "its token is not signed by a CAID as it stands: " + token.error().detail};
    }
    if (auto problem = check_claims(*token, reservation)) return problem;
    return check_binding(*token, reservation);
}

}  // namespace nomiqon::audit
