#include "settings.h"

#include <pwd.h>
#include <unistd.h>
#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "nomiqon/core/config.h"
#include "nomiqon/core/ip_address.h"

namespace nomiqon::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view default_base_url = "http://127.0.0.1:3129";
constexpr std::size_t max_api_key_length = 256;

std::optional<Scheme> take_scheme(std::string_view& text) {
    for (const Scheme scheme : {Scheme::http, Scheme::https}) {
        const std::string start = std::string{to_string(scheme)} + "://";
        if (!text.starts_with(start)) continue;
        text.remove_prefix(start.size());
        return scheme;
    }
    return std::nullopt;
}

bool is_url_text(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f' && c != '?' && c != '#'; });
}

Outcome<BaseUrl> parse_base_url(std::string_view text, std::string source) {
    const auto wrong = [&](std::string_view why) {
        return usage_error("the base URL from " + source + " is not one: " + std::string{why},
                           "it looks like http://127.0.0.1:3129 or https://gateway.example.com");
    };
    std::string_view rest = text;
    const auto scheme = take_scheme(rest);
    if (!scheme) return wrong("it must start with http:// or https://");
    if (!is_url_text(rest)) return wrong("it must have no space, query or fragment");
    const auto authority = rest.substr(0, rest.find('/'));
    // Whoever writes a password there would see it in error messages.
    if (authority.contains('@')) return wrong("it must hold no user or password");
    auto endpoint = Endpoint::parse(authority, default_port(*scheme));
    if (!endpoint) return wrong(endpoint.error());
    std::string_view path = rest.substr(authority.size());
    while (path.ends_with('/'))
        path.remove_suffix(1);
    return BaseUrl{.scheme = *scheme,
                   .endpoint = std::move(*endpoint),
                   .path_prefix = std::string{path},
                   .text = std::string{text},
                   .source = std::move(source)};
}

bool is_loopback(const HostName& host) {
    if (host.str() == "localhost" || host.str() == "[::1]") return true;
    const auto address = IpAddress::parse(host.str());
    return address && address->is_v4() && address->bytes()[0] == 127;
}

/// Visible ASCII only: it goes into a header line.
bool is_api_key(std::string_view text) {
    return !text.empty() && text.size() <= max_api_key_length &&
           std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

Outcome<ApiKey> checked_key(std::string value, std::string source) {
    if (is_api_key(value)) return ApiKey{.value = std::move(value), .source = std::move(source)};
    return usage_error("what " + source + " holds is no API key (nmq_…)");
}

std::optional<fs::path> gateway_data_dir() {
    if (auto directory = environment("NOMIQON_DATA_DIR")) return *directory;
    auto config = load_config(std::nullopt, {});
    if (!config) return std::nullopt;
    return config->data_dir;
}

std::optional<std::string> read_admin_key(const fs::path& path) {
    std::ifstream file{path};
    std::string line;
    if (!file || !std::getline(file, line) || line.size() > max_api_key_length) return std::nullopt;
    return line;
}

}  // namespace

std::optional<std::string> environment(const char* name) {
    const char* const value = std::getenv(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
}

Outcome<BaseUrl> find_base_url(const GlobalOptions& options) {
    if (!options.base_url.empty()) return parse_base_url(options.base_url, "--base-url");
    if (const auto url = environment("NOMIQON_BASE_URL")) return parse_base_url(*url, "NOMIQON_BASE_URL");
    return parse_base_url(default_base_url, "the default");
}

Outcome<ApiKey> find_api_key(const GlobalOptions& options, const BaseUrl& url) {
    if (!options.api_key.empty()) return checked_key(options.api_key, "--api-key");
    if (auto key = environment("NOMIQON_API_KEY")) return checked_key(std::move(*key), "NOMIQON_API_KEY");
    if (!is_loopback(url.endpoint.host)) {
        return usage_error("there is no API key for " + url.text,
                           "set NOMIQON_API_KEY to a key of that gateway");
    }
    const auto directory = gateway_data_dir();
    const auto path = directory.value_or("") / "admin.key";
    if (directory) {
        if (auto key = read_admin_key(path)) return checked_key(std::move(*key), "the file " + path.string());
    }
    return usage_error("there is no API key",
                       "set NOMIQON_API_KEY; the gateway's first start wrote a key to <data dir>/admin.key" +
                           (directory ? ", and " + path.string() + " can't be read" : std::string{}));
}

Outcome<Duration> find_timeout(const GlobalOptions& options) {
    const auto timeout = parse_duration(options.timeout);
    if (timeout && timeout->count() > 0) return *timeout;
    return usage_error("--timeout must be a time above zero, such as 500ms, 30s or 2m");
}

Outcome<fs::path> find_data_dir(const std::string& named) {
    if (!named.empty()) return fs::absolute(named);
    if (auto directory = gateway_data_dir()) return fs::absolute(*directory);
    return usage_error("it is not known where the gateway's data directory is", "name it with --data-dir");
}

Outcome<fs::path> key_directory() {
    // The XDG Base Directory specification: a relative path in its variables is to be ignored.
    if (const auto config = environment("XDG_CONFIG_HOME"); config && fs::path{*config}.is_absolute())
        return fs::path{*config} / "nomiqon/keys";
    if (const auto home = environment("HOME"); home && fs::path{*home}.is_absolute())
        return fs::path{*home} / ".config/nomiqon/keys";
    if (const passwd* user = getpwuid(geteuid()); user != nullptr && fs::path{user->pw_dir}.is_absolute())
        return fs::path{user->pw_dir} / ".config/nomiqon/keys";
    return usage_error("this user has no home directory to keep agents' keys in",
                       "set XDG_CONFIG_HOME to an absolute path");
}

}  // namespace nomiqon::cli
