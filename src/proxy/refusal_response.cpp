#include "refusal_response.h"

#include <nlohmann/json.hpp>

namespace nomiqon::proxy {

std::string refusal_body(const Refusal& refusal, std::string_view request_id) {
    const auto& known = info(refusal.code);
    nlohmann::ordered_json error{
        {"type", "spend_authorization_error"}, {"code", known.name}, {"message", known.message}};
    if (!refusal.agent.empty()) error["agent"] = refusal.agent;
    error["requestId"] = request_id;
    if (refusal.cap) {
        error["cap"] = refusal.cap->cap;
        error["limit"] = refusal.cap->limit.to_string();
        error["spent"] = refusal.cap->spent.to_string();
        error["reserved"] = refusal.cap->reserved.to_string();
        if (refusal.cap->resets_at) error["resetsAt"] = format_time(*refusal.cap->resets_at);
    }
    const nlohmann::ordered_json body{{"error", std::move(error)}};
    // `replace`: no text of ours is invalid UTF-8, and a refusal must not fail on one that is.
    return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string render_refusal(const Refusal& refusal, const RefusalContext& context) {
    const auto& known = info(refusal.code);
    const int status = context.inside && known.status == 407 ? 401 : known.status;
    const std::string body = refusal_body(refusal, context.request_id);

    std::string answer = "HTTP/1.1 " + std::to_string(status) + ' ';
    const auto field = [&answer](std::string_view name, std::string_view value) {
        answer.append(name).append(": ").append(value).append("\r\n");
    };
    answer.append(known.name).append("\r\n");
    field("X-Nomiqon-Error", known.name);
    field("X-Nomiqon-Request-Id", context.request_id);
    field("x-should-retry", known.retry_helps ? "true" : "false");
    if (status == 407) field("Proxy-Authenticate", "Basic realm=\"nomiqon\"");
    // Not Basic: a client would answer it with its credentials for the provider.
    if (status == 401) field("WWW-Authenticate", "Bearer realm=\"nomiqon\"");
    // What is held or busy comes free within the time of a request or two.
    if (status == 429 || status == 503) field("Retry-After", "1");
    field("Cache-Control", "no-store");
    field("Content-Type", "application/json");
    field("Content-Length", std::to_string(body.size()));
    // Said in both cases: HTTP/1.0 clients, which CONNECT so, keep nothing open unasked.
    field("Connection", context.close ? "close" : "keep-alive");
    answer.append("\r\n");
    if (!context.to_head) answer.append(body);
    return answer;
}

}  // namespace nomiqon::proxy
