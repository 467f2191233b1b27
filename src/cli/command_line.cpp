#include "command_line.h"

#include <algorithm>
#include <string_view>

#include "command_groups.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon::cli {
namespace {

constexpr const char* footer =
    "Exit status: 0 done, 1 refused or failed, 2 a mistake in the command line.\n"
    "NOMIQON_BASE_URL and NOMIQON_API_KEY say which gateway; agents' private keys lie in\n"
    "$XDG_CONFIG_HOME/nomiqon/keys. See docs/cli.md.";

void add_global_options(CLI::App& app, GlobalOptions& global) {
    app.add_flag("--json", global.json, "print the API's data as JSON, and errors too");
    app.add_option("--base-url", global.base_url,
                   "of the admin API (NOMIQON_BASE_URL, http://127.0.0.1:3129)");
    app.add_option("--api-key", global.api_key, "better in NOMIQON_API_KEY: other users see arguments");
    app.add_option("--timeout", global.timeout, "for one answer (30s)");
    app.set_version_flag("--version", "nomiqon " NOMIQON_VERSION);
}

/// The command that the words lead to, as far as they are known.
const CLI::App& deepest(const CLI::App& app) {
    const CLI::App* current = &app;
    for (auto used = current->get_subcommands(); !used.empty(); used = current->get_subcommands())
        current = used.front();
    return *current;
}

std::string path_of(const CLI::App& app) {
    const CLI::App* const parent = app.get_parent();
    return (parent == nullptr ? "" : path_of(*parent) + ' ') + app.get_name();
}

Failure wrong(std::string message, std::string hint) {
    return {.message = std::move(message), .hint = std::move(hint), .exit_code = exit_usage};
}

Failure unknown_command(const CLI::App& group, const std::string& word) {
    std::vector<std::string> names;
    for (const auto* child : group.get_subcommands([](const CLI::App*) { return true; }))
        names.push_back(child->get_name());
    const std::vector<std::string_view> candidates{names.begin(), names.end()};
    const auto near = nearest_name(word, candidates);
    return wrong(
        "there is no command " + in_backticks(path_of(group) + ' ' + word),
        (near ? "did you mean " + in_backticks(path_of(group) + ' ' + *near) + "? " : std::string{}) +
            path_of(group) + " --help lists them");
}

/// CLI11's own words quote the arguments, which may be tokens or keys; these name options and commands only.
Failure explain(const CLI::App& app, const CLI::ParseError& error) {
    const CLI::App& last = deepest(app);
    const std::string help = path_of(last) + " --help";
    const bool is_group = !last.get_subcommands([](const CLI::App*) { return true; }).empty();
    for (const auto& word : app.remaining(true)) {
        if (word.starts_with("--")) {
            const auto name = word.substr(0, word.find('='));
            return wrong(path_of(last) + " has no option " + in_backticks(name), help);
        }
        if (word.starts_with('-'))
            return wrong(path_of(last) + " has no option " + in_backticks(word.substr(0, 2)), help);
        if (is_group) return unknown_command(last, word);
        return wrong(path_of(last) + " has one argument too many", help);
    }
    if (is_group) return wrong(path_of(last) + " needs a command", help + " lists them");
    return wrong(error.what(), help);
}

/// Known before the rest is understood, so that a mistake is told as it was asked for.
bool asks_for_json(int argc, const char* const* argv) {
    return std::any_of(argv, argv + argc,
                       [](const char* word) { return std::string_view{word} == "--json"; });
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv) {
    CommandLine result;
    CLI::App app{"The command line of nomiqon-gateway", "nomiqon"};
    app.fallthrough();  // --json and the other global options may stand anywhere
    app.require_subcommand(1);
    app.footer(footer);
    app.get_formatter()->column_width(26);
    add_global_options(app, result.global);
    add_agent_commands(app, result.action);
    add_policy_commands(app, result.action);
    add_ca_commands(app, result.action);
    add_other_commands(app, result.action);
    add_ledger_commands(app, result.action);
    add_price_commands(app, result.action);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& help) {
        app.exit(help);
        result.action = nullptr;
    } catch (const CLI::ParseError& error) {
        result.wrong = explain(app, error);
        result.global.json = asks_for_json(argc, argv);
        result.action = nullptr;
    }
    return result;
}

}  // namespace nomiqon::cli
