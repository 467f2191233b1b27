#include "command_groups.h"

namespace nomiqon::cli {

void add_price_commands(CLI::App& app, Action& chosen) {
    CLI::App& prices = add_group(app, "prices", "what models cost; none of this needs a gateway");

    CLI::App& show = *prices.add_subcommand("show", "the rates that calls are priced with");
    auto& showing = command(show, chosen, show_prices);
    show.add_option("MODEL", showing.model, "all rates of one; else a list");
    show.add_option("--provider", showing.provider, "only those of this `litellm_provider`");
    show.add_option("--file", showing.file, "a price book, - for standard input; else the gateway's own");

    CLI::App& check = *prices.add_subcommand("check", "which entries have no price, and why");
    auto& checking = command(check, chosen, check_prices);
    check.add_option("FILE", checking.file, "a price book, - for standard input; else the gateway's own");
    check.add_flag("--strict", checking.strict, "exit status 1 if there are any");

    CLI::App& importing = *prices.add_subcommand(
        "import", "make a price book of LiteLLM's model_prices_and_context_window.json");
    auto& taking = command(importing, chosen, import_prices);
    importing.add_option("FILE", taking.file, "- for standard input")->required();
    importing.add_option("--output", taking.output, "where it goes, for the configuration's prices.models")
        ->required();
    add_list(importing, "--provider", taking.providers, "only of these; `litellm_provider` of the entries");
    add_list(importing, "--model", taking.models, "only these entries; a * at the end stands for anything");
}

}  // namespace nomiqon::cli
