// A request's way: page, version, route, key, scope, parameters, body, idempotency, handler, envelope.

#include "api.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>

#include "api_key.h"
#include "input.h"
#include "nomiqon/core/encoding.h"
#include "nomiqon/core/ids.h"
#include "openapi.h"
#include "router.h"

namespace nomiqon::admin {
namespace {

constexpr std::size_t longest_idempotency_key = 255;

/// A header that may be there once.
Result<std::optional<std::string>> header(const HttpRequest& request, std::string_view name,
                                          std::string_view shown) {
    std::optional<std::string> value;
    for (const auto& [key, text] : request.headers) {
        if (key != name) continue;
        if (value) {
            return std::unexpected(ApiError{
                .code = "bad_request", .message = "a header is there twice", .param = std::string{shown}});
        }
        value = text;
    }
    return value;
}

Result<void> check_version(const HttpRequest& request) {
    const auto version = header(request, "nomiqon-version", "Nomiqon-Version");
    if (!version) return std::unexpected(version.error());
    if (*version && **version != api_version) {
        return std::unexpected(
            validation_error("this gateway speaks version " + std::string{api_version}, "Nomiqon-Version"));
    }
    return {};
}

bool equal_without_case(std::string_view a, std::string_view b) {
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return std::ranges::equal(a, b, {}, lower, lower);
}

ApiError unauthorized(std::string message) {
    return {.code = "unauthorized", .message = std::move(message)};
}

/// The credentials of the scheme Bearer (RFC 6750), whatever they are.
Result<std::string> read_bearer(const HttpRequest& request, Scope scope) {
    const auto value = header(request, "authorization", "Authorization");
    if (!value) return std::unexpected(value.error());
    if (*value) {
        const std::string_view text = **value;
        const auto space = text.find(' ');
        if (space != std::string_view::npos && equal_without_case(text.substr(0, space), "Bearer")) {
            const auto begin = std::min(text.find_first_not_of(' ', space), text.size());
            if (begin < text.size()) return std::string{text.substr(begin)};
        }
    }
    if (scope == Scope::token) return std::unexpected(from_refusal(RefusalCode::spend_token_missing));
    return std::unexpected(unauthorized("send an API key: `Authorization: Bearer nmq_…`"));
}

Result<std::optional<json>> read_idempotency(const HttpRequest& request, const Principal& principal) {
    const auto key = header(request, "idempotency-key", "Idempotency-Key");
    if (!key) return std::unexpected(key.error());
    if (!*key || request.method == "GET") return std::nullopt;
    const bool printable = std::ranges::all_of(**key, [](char c) { return c >= 0x20 && c < 0x7f; });
    if ((*key)->empty() || (*key)->size() > longest_idempotency_key || !printable) {
        return std::unexpected(validation_error("must have 1 to 255 ASCII characters", "Idempotency-Key"));
    }
    const auto fingerprint = sha256_hex(request.method + '\n' + request.target + '\n' + request.body);
    return json{{"api_key", principal.key_id}, {"key", **key}, {"fingerprint", fingerprint}};
}

/// `"3"`, or 3: the version of the policy that a change is meant for.
Result<std::optional<std::int32_t>> read_if_match(const HttpRequest& request) {
    const auto value = header(request, "if-match", "If-Match");
    if (!value) return std::unexpected(value.error());
    if (!*value) return std::nullopt;
    std::string_view digits = **value;
    if (digits.size() >= 2 && digits.starts_with('"') && digits.ends_with('"')) {
        digits = digits.substr(1, digits.size() - 2);
    }
    const bool well_formed = !digits.empty() && digits.size() <= 9 && digits.front() != '0' &&
                             std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
    if (!well_formed)
        return std::unexpected(validation_error("must be a policy's version: \"3\"", "If-Match"));
    return std::stoi(std::string{digits});
}

std::string_view path_of(std::string_view target) {
    return target.substr(0, target.find('?'));
}
std::string_view query_of(std::string_view target) {
    const auto mark = target.find('?');
    return mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
}

Answer from_stored(json stored) {
    return Answer{.status = stored.at("status").get<int>(),
                  .data = std::move(stored.at("data")),
                  .replayed = stored.contains("replayed")};
}

}  // namespace

bool Principal::may(Scope scope) const {
    const auto has = [this](std::string_view name) {
        return std::ranges::find(scopes, name) != scopes.end();
    };
    switch (scope) {
        case Scope::token:
            return false;
        case Scope::read:
            return has("full") || has("operator") || has("read");
        case Scope::operate:
            return has("full") || has("operator");
        case Scope::full:
            return has("full");
    }
    return false;
}

Awaitable<Result<json>> read(const Context& context, std::string function, json arguments) {
    auto answer = co_await context.store.call(function, std::move(arguments));
    if (answer) co_return *std::move(answer);
    if (kind_of(answer.error().code).code == "internal_error") {
        context.log->error("admin_{} failed: {}", function, answer.error().message);
    }
    co_return std::unexpected(from_store(std::move(answer.error())));
}

Awaitable<Outcome> write(const Context& context, const ApiRequest& request, std::string function,
                         json arguments, int status) {
    arguments["by"] = request.principal.key_id;
    arguments["status"] = status;
    if (request.idempotency) arguments["idempotency"] = *request.idempotency;
    auto stored = co_await read(context, std::move(function), std::move(arguments));
    if (!stored) co_return std::unexpected(stored.error());
    co_return from_stored(*std::move(stored));
}

Awaitable<Result<Principal>> Api::authenticate(std::string_view key) {
    if (is_api_key(key)) {
        auto found = co_await read(context_, "authenticate", {{"hash", sha256_hex(key)}});
        if (!found) co_return std::unexpected(found.error());
        if (!found->is_null()) {
            co_return Principal{.key_id = found->at("id").get<std::string>(),
                                .scopes = found->at("scopes").get<std::vector<std::string>>()};
        }
    }
    if (!failed_logins_.admit(std::chrono::steady_clock::now())) {
        co_return std::unexpected(
            ApiError{.code = "rate_limit_exceeded",
                     .message = "too many keys that are no good; a good one is not delayed",
                     .retry_after = 1});
    }
    co_return std::unexpected(unauthorized("this API key is unknown or was revoked"));
}

Awaitable<Outcome> Api::answer(const HttpRequest& request, bool& had_key) {
    if (const auto version = check_version(request); !version) co_return std::unexpected(version.error());
    auto match = find_route(request.method, path_of(request.target));
    if (!match) co_return std::unexpected(match.error());
    const Route& route = *match->route;

    ApiRequest call{.path_ids = std::move(match->ids)};
    auto bearer = read_bearer(request, route.scope);
    if (!bearer) co_return std::unexpected(bearer.error());
    call.bearer = *std::move(bearer);
    if (route.scope != Scope::token) {
        auto principal = co_await authenticate(call.bearer);
        if (!principal) co_return std::unexpected(principal.error());
        had_key = true;
        if (!principal->may(route.scope)) {
            co_return std::unexpected(forbidden(route.scope == Scope::full
                                                    ? "this needs a key with scope `full`"
                                                    : "this needs a key with scope `operator`"));
        }
        call.principal = *std::move(principal);
    }

    auto query = read_query(query_of(request.target), route.query);
    if (!query) co_return std::unexpected(query.error());
    call.query = *std::move(query);
    auto body = read_body(request.body, route.members);
    if (!body) co_return std::unexpected(body.error());
    call.body = *std::move(body);
    const auto if_match = read_if_match(request);
    if (!if_match) co_return std::unexpected(if_match.error());
    call.if_match = *if_match;
    auto claimed_agent = header(request, "x-nomiqon-agent-id", "X-Nomiqon-Agent-Id");
    if (!claimed_agent) co_return std::unexpected(claimed_agent.error());
    call.claimed_agent = *std::move(claimed_agent);

    auto idempotency = read_idempotency(request, call.principal);
    if (!idempotency) co_return std::unexpected(idempotency.error());
    call.idempotency = *std::move(idempotency);
    if (call.idempotency) {
        // Before the handler, which may judge by a state that this very request has changed.
        auto stored = co_await read(context_, "find_answer", *call.idempotency);
        if (!stored) co_return std::unexpected(stored.error());
        if (!stored->is_null()) {
            auto replay = from_stored(*std::move(stored));
            if (route.pattern == "/v1/api-keys") replay.data["key"] = nullptr;
            co_return replay;
        }
    }
    auto outcome = co_await route.handler(context_, call);
    co_return outcome;
}

Awaitable<HttpResponse> Api::handle(HttpRequest request) {
    const auto path = path_of(request.target);
    if (auto found = page(request, path)) {
        count(request.method, found->status);
        co_return *std::move(found);
    }
    const auto request_id = RequestId::generate().str();
    Outcome outcome = std::unexpected(internal_error());
    bool had_key = false;
    try {
        outcome = co_await answer(request, had_key);
    } catch (const std::exception& problem) {
        context_.log->error("{} {} of the admin API failed: {}", request_id, request.method, problem.what());
    }
    auto response = envelope(outcome, request_id);
    response.had_key = had_key;
    if (!outcome && response.status >= 500) {
        context_.log->warn("{} {} {} answered {}", request_id, request.method, path, outcome.error().code);
    }
    count(request.method, response.status);
    co_return response;
}

HttpResponse Api::refuse(ApiError error, int status) {
    auto response = envelope(std::unexpected(std::move(error)), RequestId::generate().str());
    response.status = status;
    count("", status);
    return response;
}

HttpResponse Api::envelope(const Outcome& outcome, const std::string& request_id) const {
    HttpResponse response;
    if (outcome && outcome->raw) response = *outcome->raw;
    response.headers.emplace_back("X-Request-Id", request_id);
    response.headers.emplace_back("Nomiqon-Request-Id", request_id);
    response.headers.emplace_back("Nomiqon-Version", api_version);
    response.headers.emplace_back("Cache-Control", "no-store");
    if (outcome && outcome->raw) return response;
    // Text of a caller's that is no UTF-8 never comes this far; were it to, it is replaced rather than thrown
    // on.
    const auto dump = [](const json& body) {
        return body.dump(-1, ' ', false, json::error_handler_t::replace);
    };
    if (outcome) {
        response.status = outcome->status;
        json meta = outcome->meta;
        meta["requestId"] = request_id;
        meta["timestamp"] = format_time(context_.clock.now());
        meta["version"] = api_version;
        if (outcome->replayed) response.headers.emplace_back("Idempotency-Replayed", "true");
        response.body = dump({{"data", outcome->data}, {"meta", std::move(meta)}});
        return response;
    }
    const auto& error = outcome.error();
    const auto& kind = kind_of(error.code);
    response.status = kind.status;
    if (kind.status == 401) {
        response.headers.emplace_back("WWW-Authenticate",
                                      error.spend_token ? "Bearer realm=\"nomiqon\", error=\"invalid_token\""
                                                        : "Bearer realm=\"nomiqon\"");
    }
    if (error.retry_after > 0)
        response.headers.emplace_back("Retry-After", std::to_string(error.retry_after));
    if (!error.allow.empty()) response.headers.emplace_back("Allow", error.allow);
    response.body = dump({{"error",
                           {{"type", kind.type},
                            {"code", error.code},
                            {"message", error.message},
                            {"param", error.param.empty() ? json(nullptr) : json(error.param)},
                            {"requestId", request_id}}}});
    return response;
}

// Pages that need no key
// -------------------------------------------------------------------------------------------

std::optional<HttpResponse> Api::page(const HttpRequest& request, std::string_view path) const {
    HttpResponse response;
    if (path == "/healthz") {
        response = {.content_type = "text/plain; charset=utf-8", .body = "ok\n"};
    } else if (path == "/readyz") {
        const auto reason = hooks_.not_ready_because ? hooks_.not_ready_because() : std::string{};
        const json state =
            reason.empty() ? json{{"status", "ready"}} : json{{"status", "not_ready"}, {"reason", reason}};
        response = {.status = reason.empty() ? 200 : 503, .body = state.dump()};
    } else if (path == "/metrics") {
        response = {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics()};
    } else if (path == "/openapi.json") {
        response.body = openapi_document();
    } else {
        return std::nullopt;
    }
    // RFC 9110 section 9.3.2: HEAD answers as GET would; the listener leaves the body out.
    if (request.method != "GET" && request.method != "HEAD") {
        return envelope(
            std::unexpected(ApiError{
                .code = "method_not_allowed", .message = "this path takes GET", .allow = "GET, HEAD"}),
            RequestId::generate().str());
    }
    return response;
}

void Api::count(std::string_view method, int status) {
    // One label value for all that is no method of ours, so that a caller can't grow the table.
    static constexpr std::array<std::string_view, 4> methods{"GET", "POST", "PATCH", "DELETE"};
    const bool known = std::ranges::find(methods, method) != methods.end();
    ++answered_[{std::string{known ? method : "other"}, status}];
}

std::string Api::metrics() const {
    std::string text =
        "# HELP nomiqon_admin_requests_total Requests that the admin listener has answered.\n"
        "# TYPE nomiqon_admin_requests_total counter\n";
    for (const auto& [key, count] : answered_) {
        text += fmt::format("nomiqon_admin_requests_total{{method=\"{}\",status=\"{}\"}} {}\n", key.first,
                            key.second, count);
    }
    if (hooks_.metrics) text += hooks_.metrics();
    return text;
}

}  // namespace nomiqon::admin
