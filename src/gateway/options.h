#pragma once

#include <expected>
#include <filesystem>
#include <optional>

#include "nomiqon/core/config.h"

namespace nomiqon::gateway {

/// The command line and the environment of `nomiqon-gateway`.
struct Options {
    std::optional<std::filesystem::path> config_file;
    ConfigOverrides overrides;
    bool check_config = false;
};

/// Reads them; the error is an exit status, with all said (help and version exit with 0).
[[nodiscard]] std::expected<Options, int> read_options(int argc, char** argv);

}  // namespace nomiqon::gateway
