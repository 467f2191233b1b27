#include <string>

#include "nomiqon/token/spend_token.h"

namespace nomiqon::token {
namespace {

Refusal mismatch(std::string_view claim) {
    return {.code = RefusalCode::spend_token_mismatch, .detail = std::string{claim}};
}

std::optional<Refusal> check_origin(const SpendToken& token, const BoundRequest& request) {
    if (!token.htu) return std::nullopt;
    if (token.htu->scheme != request.scheme) return mismatch("htu: scheme");
    if (token.htu->host != request.host) return mismatch("htu: host");
    if (token.htu->port != request.port) return mismatch("htu: port");
    return std::nullopt;
}

std::optional<Refusal> check_url(const SpendToken& token, const BoundRequest& request) {
    if (auto refusal = check_origin(token, request)) return refusal;
    if (token.htu && !token.htu->path.empty() && request.path != token.htu->path)
        return mismatch("htu: path");
    return std::nullopt;
}

}  // namespace

std::optional<Refusal> check_binding(const SpendToken& token, const BoundRequest& request) {
    if (token.htm && *token.htm != request.method) return mismatch("htm");
    return check_url(token, request);
}

std::optional<Refusal> check_connect_binding(const SpendToken& token, const BoundRequest& request) {
    return check_origin(token, request);
}

std::optional<Refusal> check_inner_binding(const SpendToken& token, const BoundRequest& request) {
    if (token.htm && *token.htm != "CONNECT" && *token.htm != request.method) return mismatch("htm");
    return check_url(token, request);
}

}  // namespace nomiqon::token
