#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "command_line.h"

/// Pieces that the declarations of commands share. Heavy: for the units that declare commands only.
namespace nomiqon::cli {

/// Ties a command to its options and its function; what was typed is in the options when the function runs.
template <class Options>
Options& command(CLI::App& app, Action& chosen, Outcome<void> (*run)(Context&, const Options&)) {
    const auto options = std::make_shared<Options>();
    app.callback([&chosen, options, run] {
        chosen = [options, run](Context& context) { return run(context, *options); };
    });
    return *options;
}

/// An option that may stand several times, with one value or several by commas; it eats no positional after
/// it.
inline CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& values,
                             const std::string& description) {
    return app.add_option(name, values, description)->allow_extra_args(false)->delimiter(',');
}

inline void add_list_options(CLI::App& app, ListOptions& list) {
    auto* const limit = app.add_option("--limit", list.limit, "at most so many rows (50)")
                            ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}));
    app.add_flag("--all", list.all, "every row")->excludes(limit);
}

inline CLI::App& add_group(CLI::App& app, const std::string& name, const std::string& description) {
    CLI::App* const group = app.add_subcommand(name, description);
    group->require_subcommand(1);
    return *group;
}

void add_agent_commands(CLI::App& app, Action& chosen);   // commands_agents.cpp
void add_policy_commands(CLI::App& app, Action& chosen);  // commands_agents.cpp
void add_ca_commands(CLI::App& app, Action& chosen);      // commands_ca.cpp
void add_other_commands(CLI::App& app, Action& chosen);   // commands_other.cpp
void add_price_commands(CLI::App& app, Action& chosen);   // commands_prices.cpp
void add_ledger_commands(CLI::App& app,
                         Action& chosen);  // commands_ledger.cpp; after the group `ledger` is there

}  // namespace nomiqon::cli
