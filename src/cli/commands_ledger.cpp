#include "command_groups.h"

namespace nomiqon::cli {

void add_ledger_commands(CLI::App& app, Action& chosen) {
    CLI::App& ledger = *app.get_subcommand("ledger");

    CLI::App& verify = *ledger.add_subcommand(
        "verify", "compute everything again from the agents' chains, and name the first line that is wrong");
    auto& verifying = command(verify, chosen, verify_ledger);
    auto* const agent = verify.add_option("--agent", verifying.agent, "id or name; else all of them");
    auto* const from =
        verify.add_option("--from", verifying.from, "from this day on; believes the sums before it");
    auto* const to = verify.add_option("--to", verifying.to, "up to this day, the day included");
    verify.add_flag("--no-signatures", verifying.no_signatures,
                    "don't open the signed tokens, which is most of the work");
    auto* const jobs =
        verify.add_option("--jobs", verifying.jobs, "agents at a time (as many as processors)")
            ->check(CLI::Range(std::size_t{1}, std::size_t{64}));
    auto* const heads = verify.add_option(
        "--heads", verifying.heads, "what `verify --json` printed before: the chains must go on from there");
    auto* const file = verify
                           .add_option("--file", verifying.file,
                                       "evidence of `ledger export`, - for standard input; needs no gateway")
                           ->excludes(agent, from, to, jobs, heads);
    add_list(verify, "--caid", verifying.caids,
             "with --file: a key that you know to be the agent's, instead of those that the file names")
        ->needs(file);

    CLI::App& exporting =
        *ledger.add_subcommand("export", "one agent's day as evidence that anybody can check");
    auto& evidence = command(exporting, chosen, export_ledger);
    exporting.add_option("--agent", evidence.agent, "id or name")->required();
    exporting.add_option("--day", evidence.day, "YYYY-MM-DD, UTC")->required();
    exporting.add_option("--output", evidence.output, "a file, made 0600; else standard output");

    CLI::App& adjust = *ledger.add_subcommand("adjust", "refund a wallet from the treasury, or take from it");
    auto& adjusting = command(adjust, chosen, adjust_ledger);
    adjust.add_option("--agent", adjusting.agent, "id or name")->required();
    adjust.add_option("--amount", adjusting.amount, "USDC into the wallet, or, with a minus, out of it")
        ->required();
    adjust.add_option("--reason", adjusting.reason, "kept in the ledger for good")->required();
}

}  // namespace nomiqon::cli
