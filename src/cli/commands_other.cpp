#include "command_groups.h"

namespace nomiqon::cli {
namespace {

void add_token_commands(CLI::App& app, Action& chosen) {
    CLI::App& group = add_group(app, "token", "spend tokens; none of this needs a gateway");

    CLI::App& mint = *group.add_subcommand("mint", "sign a token with the agent's key on this machine");
    auto& minting = command(mint, chosen, mint_token);
    mint.add_option("--agent", minting.agent, "id or name")->required();
    mint.add_option("--use", minting.use, "once (one request), or session (many, up to --max)");
    mint.add_option("--max", minting.max, "the most USDC it may spend; a session needs it");
    mint.add_option("--ttl", minting.ttl,
                    "how long it lives (once: 60s, at most 5m; session: 1h, at most 24h)");
    mint.add_option("--method", minting.method, "only for this method; CONNECT for a tunnel");
    mint.add_option("--url", minting.url, "only for this origin, or this very URL");
    mint.add_option("--ref", minting.ref, "the agent's own label, kept in the ledger");
    mint.add_option("--audience", minting.audience, "the gateway's token.audience (nomiqon)");
    mint.add_option("--proxy-url", minting.proxy,
                    "print http://<CAID>:<token>@HOST:PORT for HTTPS_PROXY (127.0.0.1:3128)")
        ->expected(0, 1);

    CLI::App& inspect = *group.add_subcommand("inspect", "what a token says, and whether it is signed");
    inspect.add_option("TOKEN", command(inspect, chosen, inspect_token).token, "- for standard input")
        ->required();

    CLI::App& verify =
        *group.add_subcommand("verify", "ok, or the code a gateway answers from the token alone");
    auto& verifying = command(verify, chosen, verify_token);
    verify.add_option("TOKEN", verifying.token, "- for standard input")->required();
    verify.add_option("--now", verifying.now, "Unix seconds, instead of this machine's clock");
    verify.add_option("--audience", verifying.audience, "the gateway's token.audience (nomiqon)");
    verify.add_option("--method", verifying.method, "of the request that it is for");
    verify.add_option("--url", verifying.url, "of the request; for CONNECT https://host");
}

void add_filters(CLI::App& app, TransactionFilters& filters) {
    app.add_option("--agent", filters.agent, "id or name");
    app.add_option("--status", filters.status, "approved, settling, settled, voided or rejected");
    app.add_option("--recipient", filters.recipient, "the host that was asked");
    app.add_option("--ref", filters.ref, "the agent's own label");
    app.add_option("--from", filters.from, "from this day or time on");
    app.add_option("--to", filters.to, "up to this day, the day included, or before this time");
}

void add_money_commands(CLI::App& app, Action& chosen) {
    CLI::App& transactions = add_group(app, "transactions", "what agents asked for, and what became of it");
    CLI::App& list = *transactions.add_subcommand("list", "newest first; refusals too");
    auto& listing = command(list, chosen, list_transactions);
    add_filters(list, listing.filters);
    add_list_options(list, listing.list);
    CLI::App& show = *transactions.add_subcommand("show", "one of them");
    show.add_option("ID", command(show, chosen, show_transaction).id, "txn_…")->required();
    CLI::App& stats = *transactions.add_subcommand("stats", "sums, and who was paid most");
    add_filters(stats, command(stats, chosen, transaction_stats));

    CLI::App& ledger = add_group(app, "ledger", "the double entries");
    CLI::App& transfers = *ledger.add_subcommand("transfers", "every movement of money");
    auto& moving = command(transfers, chosen, list_transfers);
    transfers.add_option("--agent", moving.agent, "id or name");
    transfers.add_option("--day", moving.day, "YYYY-MM-DD, UTC");
    transfers.add_option("--account", moving.account, "treasury, wallet, held, provider:<host>");
    transfers.add_option("--transaction", moving.transaction, "txn_…");
    add_list_options(transfers, moving.list);

    CLI::App& report = add_group(app, "report", "for finance");
    CLI::App& spend = *report.add_subcommand("spend", "what was settled, grouped");
    auto& reporting = command(spend, chosen, report_spend);
    spend.add_option("--group-by", reporting.group_by,
                     "agent, day, host, model, ref, crew, team, …, by commas");
    spend.add_option("--from", reporting.from, "from this day on");
    spend.add_option("--to", reporting.to, "up to this day, the day included");
    spend.add_flag("--csv", reporting.csv, "for a spreadsheet");
}

void add_api_key_commands(CLI::App& app, Action& chosen) {
    CLI::App& group = add_group(app, "api-keys", "keys of the admin API");
    CLI::App& create = *group.add_subcommand("create", "make one; it is shown once");
    auto& creating = command(create, chosen, create_api_key);
    create.add_option("NAME", creating.name, "what it is for")->required();
    add_list(create, "--scope,--scopes", creating.scopes, "read (the default), operator, full");
    CLI::App& list = *group.add_subcommand("list", "all, without the keys themselves");
    add_list_options(list, command(list, chosen, list_api_keys).list);
    CLI::App& remove = *group.add_subcommand("delete", "revoke one for good");
    remove.add_option("ID", command(remove, chosen, delete_api_key).id, "key_…")->required();
}

}  // namespace

void add_other_commands(CLI::App& app, Action& chosen) {
    add_token_commands(app, chosen);
    add_money_commands(app, chosen);
    add_api_key_commands(app, chosen);

    CLI::App& me = *app.add_subcommand("me", "an agent's own view, by a token minted here; needs no API key");
    auto& asking = command(me, chosen, show_me);
    me.add_option("AGENT,--agent", asking.agent, "id or name")->required();
    me.add_option("--audience", asking.audience, "the gateway's token.audience (nomiqon)");

    command(*app.add_subcommand("version", "the version of this program"), chosen, show_version);
}

}  // namespace nomiqon::cli
