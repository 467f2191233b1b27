#pragma once

#include <string>
#include <string_view>

#include "nomiqon/core/refusal.h"
#include "nomiqon/ledger/ledger.h"

namespace nomiqon::admin {

/// A no of the API: `code` is one of the table in errors.cpp, which gives it a status and a type.
struct ApiError {
    std::string code;
    std::string message;       ///< a sentence for the caller, without secrets
    std::string param{};       ///< a JSON pointer into the body or to a query parameter, or a header's name
    int retry_after = 0;       ///< seconds; 0: no such header
    std::string allow{};       ///< of `method_not_allowed`
    bool spend_token = false;  ///< it was a spend token that failed, not an API key
};

struct ErrorKind {
    std::string_view code;
    int status;
    std::string_view type;
};

/// A code that is not in the table is an internal error.
[[nodiscard]] const ErrorKind& kind_of(std::string_view code);

[[nodiscard]] ApiError validation_error(std::string message, std::string param);
[[nodiscard]] ApiError not_found(std::string message);
[[nodiscard]] ApiError conflict(std::string message, std::string param = {});
[[nodiscard]] ApiError forbidden(std::string message);
[[nodiscard]] ApiError internal_error();
/// What the database said, without the text of its own mistakes.
[[nodiscard]] ApiError from_store(ledger::AdminError error);
/// A spend token that is no good, in the API's envelope.
[[nodiscard]] ApiError from_refusal(RefusalCode code);

}  // namespace nomiqon::admin
