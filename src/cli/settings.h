#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "failure.h"
#include "nomiqon/core/host.h"
#include "nomiqon/core/time.h"

namespace nomiqon::cli {

/// What stands for every command, as it was typed.
struct GlobalOptions {
    bool json = false;
    std::string base_url;
    std::string api_key;
    std::string timeout = "30s";
};

/// Where the admin API is, and where that was said.
struct BaseUrl {
    Scheme scheme = Scheme::http;
    Endpoint endpoint;
    std::string path_prefix;  ///< without trailing slash
    std::string text;
    std::string source;
};

struct ApiKey {
    std::string value;   ///< a secret
    std::string source;  ///< `NOMIQON_API_KEY`, or which file
};

/// From `--base-url`, `NOMIQON_BASE_URL`, or the gateway's own default.
[[nodiscard]] Outcome<BaseUrl> find_base_url(const GlobalOptions& options);

/// From `--api-key`, `NOMIQON_API_KEY`, or the first key that a gateway of this machine wrote to its data
/// directory. That last one is only taken for a base URL on the loopback: a local administrator's key is
/// nobody else's to see.
[[nodiscard]] Outcome<ApiKey> find_api_key(const GlobalOptions& options, const BaseUrl& url);

/// `--timeout`: how long one answer may take; above zero.
[[nodiscard]] Outcome<Duration> find_timeout(const GlobalOptions& options);

/// A gateway's data directory on this machine: `named` (of `--data-dir`), `NOMIQON_DATA_DIR`, or the
/// gateway's own default.
[[nodiscard]] Outcome<std::filesystem::path> find_data_dir(const std::string& named);

/// `$XDG_CONFIG_HOME/nomiqon/keys`, by default `~/.config/nomiqon/keys`.
[[nodiscard]] Outcome<std::filesystem::path> key_directory();

/// An environment variable that is there and not empty.
[[nodiscard]] std::optional<std::string> environment(const char* name);

}  // namespace nomiqon::cli
