#include "command_groups.h"

namespace nomiqon::cli {
namespace {

void add_policy_flags(CLI::App& app, PolicyFlags& policy, bool changing) {
    const std::string or_none = changing ? ", or none" : "";
    app.add_option("--daily-cap", policy.daily_cap, "USDC a day (UTC)" + or_none);
    app.add_option("--total-cap", policy.total_cap, "USDC in all" + or_none);
    app.add_option("--max-per-request", policy.max_per_request, "USDC for one request" + or_none);
    add_list(app, "--allow", policy.allow,
             "a host that may be asked, such as api.openai.com or *.example.com" + or_none);
    add_list(app, "--block", policy.block, "a host that may not be asked, whatever is allowed" + or_none);
    app.add_option(changing ? "--file" : "--policy", policy.file,
                   "a policy in a JSON file, - for standard input");
}

CLI::App& add_named(CLI::App& group, Action& chosen, const std::string& name, const std::string& description,
                    Outcome<void> (*run)(Context&, const NamedAgent&)) {
    CLI::App& app = *group.add_subcommand(name, description);
    auto& options = command(app, chosen, run);
    app.add_option("AGENT,--agent", options.agent, "id or name")->required();
    return app;
}

void add_create(CLI::App& group, Action& chosen) {
    CLI::App& app = *group.add_subcommand("create", "make an agent, and its key pair on this machine");
    auto& options = command(app, chosen, create_agent);
    app.add_option("NAME", options.name, "1 to 64 characters")->required();
    add_policy_flags(app, options.policy, false);
    app.add_option("--policy-id", options.policy_id, "a template (pol_…) instead of a policy of its own");
    // A value may hold commas.
    app.add_option("--metadata", options.metadata, "key=value")->allow_extra_args(false);
    app.add_option("--fund", options.fund, "USDC from the treasury, at once");
    app.add_option("--public-key", options.public_key, "of a key pair made elsewhere: base58, or caid_…");
}

void add_money_and_keys(CLI::App& group, Action& chosen) {
    CLI::App& fund = *group.add_subcommand("fund", "move USDC from the treasury to the agent's wallet");
    auto& funding = command(fund, chosen, fund_agent);
    fund.add_option("AGENT,--agent", funding.agent, "id or name")->required();
    fund.add_option("AMOUNT", funding.amount, "USDC")->required();
    fund.add_option("--reference", funding.reference, "funds once, however often it is sent");

    CLI::App& add = *group.add_subcommand("add-key", "make the agent another key pair on this machine");
    auto& adding = command(add, chosen, add_key);
    add.add_option("AGENT,--agent", adding.agent, "id or name")->required();
    add.add_option("--public-key", adding.public_key, "of a key pair made elsewhere: base58, or caid_…");

    CLI::App& revoke =
        *group.add_subcommand("revoke", "revoke an identity for good, and cut what it has open");
    auto& revoking = command(revoke, chosen, revoke_identity);
    revoke.add_option("AGENT,--agent", revoking.agent, "id or name")->required();
    revoke.add_option("CAID,--caid", revoking.caid, "caid_…; not needed where only one is active");
}

}  // namespace

void add_agent_commands(CLI::App& app, Action& chosen) {
    CLI::App& group = add_group(app, "agents", "agents, their identities and their money");
    add_create(group, chosen);

    CLI::App& list = *group.add_subcommand("list", "all agents, newest first");
    auto& listing = command(list, chosen, list_agents);
    list.add_option("--status", listing.status, "active, paused or terminated")
        ->check(CLI::IsMember({"active", "paused", "terminated"}));
    list.add_option("--metadata", listing.metadata, "key=value; all must match")->allow_extra_args(false);
    add_list_options(list, listing.list);

    add_named(group, chosen, "show", "one agent with its policy and wallet", show_agent);
    add_named(group, chosen, "spend", "what it has spent today, and what is left", agent_spend);
    add_named(group, chosen, "pause", "stop it until it is resumed", pause_agent);
    add_named(group, chosen, "resume", "undo pause", resume_agent);
    add_named(group, chosen, "freeze", "the kill switch: no more spending, open connections are cut",
              freeze_agent);
    add_named(group, chosen, "unfreeze", "undo freeze", unfreeze_agent);
    add_named(group, chosen, "terminate", "end it for good; its money goes back to the treasury",
              terminate_agent);
    add_money_and_keys(group, chosen);
}

void add_policy_commands(CLI::App& app, Action& chosen) {
    CLI::App& group = add_group(app, "policy", "an agent's own policy");
    add_named(group, chosen, "get", "the current version", get_policy);
    add_named(group, chosen, "versions", "all versions: by whom, when, why", list_policy_versions);

    CLI::App& set = *group.add_subcommand("set", "change some of it; what isn't named stays");
    auto& setting = command(set, chosen, set_policy);
    set.add_option("AGENT,--agent", setting.agent, "id or name")->required();
    add_policy_flags(set, setting.policy, true);
    add_list(set, "--add-allow", setting.add_allow, "one more host for the allowlist");
    add_list(set, "--remove-allow", setting.remove_allow, "one fewer");
    set.add_option("--reason", setting.reason, "kept with the version");
    set.add_option("--if-version", setting.if_version, "only when this is the current version");

    CLI::App& templates = add_group(app, "policies", "named policies to give to agents");
    CLI::App& create = *templates.add_subcommand("create", "make one");
    auto& creating = command(create, chosen, create_template);
    create.add_option("NAME", creating.name, "its name")->required();
    add_policy_flags(create, creating.policy, false);
    CLI::App& list = *templates.add_subcommand("list", "all of them");
    add_list_options(list, command(list, chosen, list_templates).list);
    CLI::App& remove = *templates.add_subcommand("delete", "delete one; agents keep what they were given");
    remove.add_option("POLICY", command(remove, chosen, delete_template).policy, "id or name")->required();
}

}  // namespace nomiqon::cli
