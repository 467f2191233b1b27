#pragma once

#include <expected>
#include <string>
#include <utility>

namespace nomiqon::cli {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;  ///< refused, or could not be done
inline constexpr int exit_usage = 2;   ///< the command line itself is wrong; nothing was tried

/// Why a command did not do what it was asked, for a person. Holds no key and no token.
struct Failure {
    std::string message;
    std::string code{};        ///< the API's, where it answered
    std::string request_id{};  ///< of the API's answer
    std::string param{};       ///< a JSON pointer into what was sent
    std::string hint{};        ///< what to do next
    int exit_code = exit_failed;
    bool outcome_unknown = false;  ///< the request went out and no answer came: it may have been done
};

template <class T>
using Outcome = std::expected<T, Failure>;

[[nodiscard]] inline std::unexpected<Failure> failed(std::string message, std::string hint = {}) {
    return std::unexpected(Failure{.message = std::move(message), .hint = std::move(hint)});
}
[[nodiscard]] inline std::unexpected<Failure> usage_error(std::string message, std::string hint = {}) {
    return std::unexpected(
        Failure{.message = std::move(message), .hint = std::move(hint), .exit_code = exit_usage});
}

}  // namespace nomiqon::cli
