#include "errors.h"

#include <algorithm>
#include <array>
#include <utility>

namespace nomiqon::admin {
namespace {

constexpr std::string_view invalid_request = "invalid_request_error";
constexpr std::string_view authentication = "authentication_error";

constexpr std::array kinds{
    ErrorKind{"bad_request", 400, invalid_request},
    ErrorKind{"unauthorized", 401, authentication},
    ErrorKind{"spend_token_missing", 401, authentication},
    ErrorKind{"spend_token_invalid", 401, authentication},
    ErrorKind{"spend_token_expired", 401, authentication},
    ErrorKind{"spend_token_replayed", 401, authentication},
    ErrorKind{"forbidden", 403, "permission_error"},
    ErrorKind{"identity_revoked", 403, "permission_error"},
    ErrorKind{"not_found", 404, invalid_request},
    ErrorKind{"method_not_allowed", 405, invalid_request},
    ErrorKind{"conflict", 409, invalid_request},
    ErrorKind{"precondition_failed", 412, invalid_request},
    ErrorKind{"request_too_large", 413, invalid_request},
    ErrorKind{"validation_error", 422, invalid_request},
    ErrorKind{"rate_limit_exceeded", 429, "rate_limit_error"},
    ErrorKind{"internal_error", 500, "api_error"},
    ErrorKind{"unavailable", 503, "api_error"},
};

}  // namespace

const ErrorKind& kind_of(std::string_view code) {
    const auto* found = std::ranges::find(kinds, code, &ErrorKind::code);
    return found != kinds.end() ? *found : *std::ranges::find(kinds, "internal_error", &ErrorKind::code);
}

ApiError validation_error(std::string message, std::string param) {
    return {.code = "validation_error", .message = std::move(message), .param = std::move(param)};
}
ApiError not_found(std::string message) {
    return {.code = "not_found", .message = std::move(message)};
}
ApiError conflict(std::string message, std::string param) {
    return {.code = "conflict", .message = std::move(message), .param = std::move(param)};
}
ApiError forbidden(std::string message) {
    return {.code = "forbidden", .message = std::move(message)};
}
ApiError internal_error() {
    return {.code = "internal_error",
            .message = "something went wrong here; it is in the log by this request's id"};
}

ApiError from_store(ledger::AdminError error) {
    if (error.code == "unavailable") {
        return {.code = "unavailable",
                .message =
                    "the database can't be reached; nothing may have changed, so try again with the same "
                    "Idempotency-Key",
                .retry_after = 1};
    }
    if (kind_of(error.code).code == "internal_error") return internal_error();
    return {
        .code = std::move(error.code), .message = std::move(error.message), .param = std::move(error.param)};
}

ApiError from_refusal(RefusalCode code) {
    return {.code = std::string{info(code).name},
            .message = std::string{info(code).message},
            .spend_token = true};
}

}  // namespace nomiqon::admin
