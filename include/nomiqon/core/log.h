#pragma once

#include <spdlog/logger.h>
#include <memory>
#include <string>

namespace nomiqon {

struct LogOptions {
    std::string level = "info";   ///< trace, debug, info, warn, error
    std::string format = "text";  ///< text, or json: one object a line
};

/// A logger that writes to standard error without blocking on anything else. Thread-safe. What it is given
/// must hold no token, key or credential: callers log ids and codes.
[[nodiscard]] std::shared_ptr<spdlog::logger> make_logger(const LogOptions& options);

}  // namespace nomiqon
