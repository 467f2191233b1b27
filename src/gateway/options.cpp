#include "options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace nomiqon::gateway {
namespace {

std::optional<std::string> environment(const char* name) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
}

// A URL may hold a password, and every user of the machine can read a process's arguments.
void hide_database_url(int argc, char** argv) {
    constexpr std::string_view option{"--database-url"};
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument{argv[i]};
        char* value = nullptr;
        if (argument == option && i + 1 < argc) value = argv[i + 1];
        if (argument.starts_with("--database-url=")) value = argv[i] + option.size() + 1;
        if (value != nullptr) std::memset(value, '-', std::strlen(value));
    }
}

}  // namespace

std::expected<Options, int> read_options(int argc, char** argv) {
    Options options{.config_file = environment("NOMIQON_CONFIG"), .overrides = {}, .check_config = false};
    options.overrides.database_url = environment("NOMIQON_DATABASE_URL");
    options.overrides.runtime_url = environment("NOMIQON_DATABASE_RUNTIME_URL");
    options.overrides.data_dir = environment("NOMIQON_DATA_DIR");

    CLI::App app{"A forward proxy that lets an agent's request out only after its spend is reserved.",
                 "nomiqon-gateway"};
    app.set_version_flag("--version", "nomiqon-gateway " NOMIQON_VERSION);
    app.add_option("--config", options.config_file, "Configuration file, or NOMIQON_CONFIG")
        ->type_name("FILE");
    app.add_option("--data-dir", options.overrides.data_dir,
                   "Where the gateway keeps its state, or NOMIQON_DATA_DIR")
        ->type_name("DIR");
    app.add_option("--proxy-listen", options.overrides.proxy_listen, "Address of the proxy (127.0.0.1:3128)")
        ->type_name("IP:PORT");
    app.add_option("--admin-listen", options.overrides.admin_listen, "Address of the API (127.0.0.1:3129)")
        ->type_name("IP:PORT");
    app.add_option(
           "--database-url", options.overrides.database_url,
           "PostgreSQL to use, or NOMIQON_DATABASE_URL (which other users can't see in the process list); "
           "without one, a private PostgreSQL is run in the data directory")
        ->type_name("URL");
    app.add_flag("--check-config", options.check_config,
                 "Say every mistake of the configuration and change nothing");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const int status = app.exit(error);
        return std::unexpected{status == 0 ? 0 : 2};
    }
    hide_database_url(argc, argv);
    return options;
}

}  // namespace nomiqon::gateway
