#include "nomiqon/core/config.h"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <system_error>

#include "config_keys.h"
#include "config_places.h"
#include "config_value.h"
#include "nomiqon/core/strict_json.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon {
namespace {

namespace fs = std::filesystem;
using config_detail::Findings;

constexpr std::size_t largest_file = 1024UL * 1024;

using Problems = std::vector<ConfigProblem>;

/// Reads the file into `config`. Relative paths in it are relative to the directory that it lies in.
void read_config_file(const fs::path& file, Config& config, Problems& problems) {
    const auto text = config_detail::read_file(file, largest_file);
    if (!text) return problems.push_back({file.string(), "the configuration " + text.error()});
    if (text->find_first_not_of(" \t\r\n") == std::string::npos) {
        return problems.push_back({file.string(), "the configuration is empty; `{}` takes every default"});
    }
    const auto document = parse_strict_json(*text, {.allow_comments = true});
    if (!document) {
        const auto& problem = document.error();
        auto place = file.string();
        if (problem.line != 0) {
            place += ':' + std::to_string(problem.line) + ':' + std::to_string(problem.column);
        }
        if (!problem.pointer.empty()) place += ' ' + problem.pointer;
        return problems.push_back({std::move(place), problem.message});
    }

    Findings findings;
    std::error_code error;
    findings.base = fs::absolute(file, error).parent_path();
    config_detail::read_document({*document, "", findings}, config);
    if (findings.problems.empty() && findings.warnings.empty()) return;

    const config_detail::Places places(*text);
    const auto place = [&](const std::string& pointer) {
        return file.string() + ':' + places.of(pointer) + (pointer.empty() ? "" : ' ' + pointer);
    };
    for (auto& problem : findings.problems)
        problems.push_back({place(problem.pointer), std::move(problem.text)});
    for (const auto& warning : findings.warnings) {
        config.warnings.push_back(place(warning.pointer) + ": " + warning.text);
    }
}

void override_listen(const std::optional<std::string>& text, std::string option, ListenAddress& address,
                     Problems& problems) {
    if (!text) return;
    if (const auto parsed = ListenAddress::parse(*text)) {
        address = *parsed;
    } else {
        problems.push_back(
            {std::move(option), in_backticks(*text) + " is no address and port, such as \"127.0.0.1:3128\""});
    }
}

void override_url(const std::optional<std::string>& text, std::string option, std::string& url,
                  Problems& problems) {
    if (!text || text->empty()) return;  // an empty NOMIQON_DATABASE_URL is one that isn't set
    if (auto problem = config_detail::database_url_problem(*text)) {
        problems.push_back({std::move(option), std::move(*problem)});
    } else {
        url = *text;
    }
}

void apply_overrides(const ConfigOverrides& overrides, Config& config, Problems& problems) {
    if (overrides.data_dir) {
        std::error_code error;
        if (overrides.data_dir->empty()) {
            problems.push_back({"--data-dir", "must not be empty"});
        } else {
            config.data_dir = fs::absolute(*overrides.data_dir, error).lexically_normal();
        }
    }
    override_listen(overrides.proxy_listen, "--proxy-listen", config.proxy_listen, problems);
    override_listen(overrides.admin_listen, "--admin-listen", config.admin_listen, problems);
    override_url(overrides.database_url, "--database-url", config.database.url, problems);
    override_url(overrides.runtime_url, "--runtime-url", config.database.runtime_url, problems);
}

/// Where a program of this user keeps its data: /var/lib for root, else by the XDG Base Directory
/// specification, which says that a relative path in its variables is to be ignored.
std::optional<fs::path> default_data_dir() {
    if (geteuid() == 0) return "/var/lib/nomiqon";
    if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && fs::path(data).is_absolute()) {
        return fs::path(data) / "nomiqon";
    }
    if (const char* home = std::getenv("HOME"); home != nullptr && fs::path(home).is_absolute()) {
        return fs::path(home) / ".local/share/nomiqon";
    }
    if (const passwd* user = getpwuid(geteuid()); user != nullptr && fs::path(user->pw_dir).is_absolute()) {
        return fs::path(user->pw_dir) / ".local/share/nomiqon";
    }
    return std::nullopt;
}

void settle_data_dir(Config& config, Problems& problems) {
    if (config.data_dir.empty()) {
        auto directory = default_data_dir();
        if (!directory) {
            return problems.push_back(
                {"dataDir", "this user has no home directory; say where with --data-dir"});
        }
        config.data_dir = std::move(*directory);
    }
    std::error_code error;
    const auto status = fs::status(config.data_dir, error);
    if (fs::exists(status) && !fs::is_directory(status)) {
        problems.push_back({"dataDir", config.data_dir.string() + " is not a directory"});
    }
}

bool is_wildcard(const ListenAddress& listen) {
    return listen.address == IpAddress::v4({0, 0, 0, 0}) || listen.address == IpAddress::v6({});
}

void check_together(const Config& config, Problems& problems) {
    const auto& proxy = config.proxy_listen;
    const auto& admin = config.admin_listen;
    const bool same_address = proxy.address == admin.address || is_wildcard(proxy) || is_wildcard(admin);
    if (same_address && proxy.port == admin.port && proxy.port != 0) {
        problems.push_back({"admin.listen", admin.to_string() + " is where the proxy listens (" +
                                                proxy.to_string() + "); give them different ports"});
    }
    if (!config.database.runtime_url.empty() && config.database.url.empty()) {
        problems.push_back(
            {"database.runtimeUrl", "names a role of a database that `database.url` doesn't name"});
    }
}

}  // namespace

std::string ListenAddress::to_string() const {
    const auto host = address.is_v4() ? address.to_string() : '[' + address.to_string() + ']';
    return host + ':' + std::to_string(port);
}

std::optional<ListenAddress> ListenAddress::parse(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    auto host = text.substr(0, colon);
    const auto digits = text.substr(colon + 1);
    const bool bracketed = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
    if (bracketed) host = host.substr(1, host.size() - 2);
    const auto address = IpAddress::parse(host);
    if (!address || address->is_v4() == bracketed) return std::nullopt;
    const auto port = digits == "0" ? std::optional<std::uint16_t>(0) : parse_port(digits);
    if (!port) return std::nullopt;
    return ListenAddress{.address = *address, .port = *port};
}

std::expected<Config, std::vector<ConfigProblem>> load_config(const std::optional<fs::path>& file,
                                                              const ConfigOverrides& overrides) {
    Config config;
    Problems problems;
    if (file) read_config_file(*file, config, problems);
    apply_overrides(overrides, config, problems);
    settle_data_dir(config, problems);
    check_together(config, problems);
    if (!problems.empty()) return std::unexpected(std::move(problems));
    return config;
}

}  // namespace nomiqon
