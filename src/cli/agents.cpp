#include "agent_lookup.h"
#include "agent_view.h"
#include "commands.h"
#include "inputs.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon::cli {
namespace {

constexpr std::size_t max_name_bytes = 256;  // 64 characters, as the API counts them

/// What `POST /v1/agents` is sent, but for the key.
Outcome<Json> creation_of(const CreateAgent& options) {
    if (options.name.empty() || options.name.size() > max_name_bytes)
        return usage_error("an agent's name has 1 to 64 characters");
    const auto metadata = key_values(options.metadata, "--metadata");
    if (!metadata) return std::unexpected(metadata.error());
    auto policy = policy_of(options.policy, false);
    if (!policy) return std::unexpected(policy.error());
    if (!options.policy_id.empty() && !policy->empty())
        return usage_error("--policy-id and a policy of its own exclude each other");

    Json body{{"name", options.name}};
    if (options.policy_id.empty()) {
        body["policy"] = std::move(*policy);
    } else {
        body["policyId"] = options.policy_id;
    }
    if (!metadata->empty()) body["metadata"] = *metadata;
    return body;
}

/// Makes the key pair here, has its private half on disk before the gateway hears of the agent, and takes it
/// back only when the gateway surely made none.
Outcome<Json> create_with_own_key(Context& context, ApiClient& api, Json body) {
    const auto store = context.keys();
    if (!store) return std::unexpected(store.error());
    const auto key = token::SigningKey::generate();
    const std::string name = body["name"];
    const auto pending = (*store)->write_pending(key, name, {});
    if (!pending) return std::unexpected(pending.error());

    body["caid"] = {{"publicKey", key.caid().base58()}};
    auto agent = api.write({.method = "POST", .path = "/v1/agents", .body = std::move(body)});
    if (!agent) {
        Failure failure = std::move(agent.error());
        if (!failure.outcome_unknown) {
            (*store)->discard(*pending);
        } else {
            failure.message +=
                "; the agent may exist all the same, and its key is kept in " + pending->path.string();
            failure.hint = "nomiqon agents show " + name + " tells, and puts the key in its place";
        }
        return std::unexpected(std::move(failure));
    }
    const auto kept = (*store)->adopt(*pending, text_at(*agent, {"id"}), name);
    if (!kept) {
        Failure failure = kept.error();
        failure.message = "the agent " + text_at(*agent, {"id"}) + " is made, but its key stays in " +
                          pending->path.string() + ": " + failure.message;
        return std::unexpected(std::move(failure));
    }
    return agent;
}

Outcome<Json> fund(ApiClient& api, std::string_view id, std::string_view amount, std::string_view reference) {
    // One reference for all attempts of this command: the agent is funded once, however often the answer is
    // lost.
    const std::string own = "cli_" + new_ulid();
    return api.write({.method = "POST",
                      .path = agent_path(id) + "/fund",
                      .body = Json{{"amount", amount}, {"reference", reference.empty() ? own : reference}},
                      .idempotency_key = own});
}

void print_agent(Context& context, const Json& agent) {
    if (context.out.json()) return context.out.data(agent);
    context.out.fields(agent_fields(agent));
}

/// A change that the API answers with the agent, or with nothing.
Outcome<void> change(Context& context, const NamedAgent& options, std::string_view method,
                     std::string_view path_suffix, std::optional<Json> body, std::string_view done) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto id = find_agent_id(**api, options.agent);
    if (!id) return std::unexpected(id.error());
    const auto agent = (*api)->write({.method = std::string{method},
                                      .path = agent_path(*id) + std::string{path_suffix},
                                      .body = std::move(body)});
    if (!agent) return std::unexpected(agent.error());
    if (context.out.json()) {
        context.out.data(*agent);
    } else {
        context.out.line(options.agent + (options.agent == *id ? "" : " (" + *id + ")") + " is " +
                         std::string{done});
    }
    return {};
}

}  // namespace

Outcome<void> create_agent(Context& context, const CreateAgent& options) {
    auto body = creation_of(options);
    if (!body) return std::unexpected(body.error());
    if (!options.fund.empty()) {
        if (auto checked = amount(options.fund, "--fund"); !checked) return std::unexpected(checked.error());
    }
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());

    Outcome<Json> agent;
    if (options.public_key.empty()) {
        agent = create_with_own_key(context, **api, std::move(*body));
    } else {
        (*body)["caid"] = {{"publicKey", options.public_key}};
        agent = (*api)->write({.method = "POST", .path = "/v1/agents", .body = std::move(*body)});
    }
    if (!agent) return std::unexpected(agent.error());
    const std::string id = text_at(*agent, {"id"});
    if (options.fund.empty()) {
        print_agent(context, *agent);
        return {};
    }
    if (const auto funded = fund(**api, id, options.fund, {}); !funded) {
        print_agent(context, *agent);
        Failure failure = funded.error();
        failure.message = "the agent is made, but not funded: " + failure.message;
        failure.hint = "nomiqon agents show " + id + " tells its balance; nomiqon agents fund " + id + ' ' +
                       options.fund + " funds it";
        return std::unexpected(std::move(failure));
    }
    const auto funded_agent = (*api)->get(agent_path(id));
    if (!funded_agent) return std::unexpected(funded_agent.error());
    print_agent(context, *funded_agent);
    return {};
}

Outcome<void> list_agents(Context& context, const ListAgents& options) {
    const auto metadata = key_values(options.metadata, "--metadata");
    if (!metadata) return std::unexpected(metadata.error());
    Query query;
    if (!options.status.empty()) query.emplace_back("status", options.status);
    for (const auto& [key, value] : *metadata)
        query.emplace_back("metadata." + key, value);
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto agents = (*api)->list("/v1/agents", query, options.list);
    if (!agents) return std::unexpected(agents.error());
    if (context.out.json()) {
        context.out.data(agents->rows);
    } else {
        context.out.table(agent_table(agents->rows), "no agent");
    }
    note_more(context, *agents);
    return {};
}

Outcome<void> show_agent(Context& context, const NamedAgent& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto agent = find_agent(**api, options.agent);
    if (!agent) return std::unexpected(agent.error());
    print_agent(context, *agent);
    context.follow(*agent);
    return {};
}

Outcome<void> pause_agent(Context& context, const NamedAgent& options) {
    return change(context, options, "POST", "/pause", std::nullopt, "paused");
}

Outcome<void> resume_agent(Context& context, const NamedAgent& options) {
    return change(context, options, "POST", "/resume", std::nullopt, "active again");
}

Outcome<void> freeze_agent(Context& context, const NamedAgent& options) {
    return change(context, options, "PATCH", "", Json{{"policy", {{"frozen", true}}}},
                  "frozen: nothing is spent");
}

Outcome<void> unfreeze_agent(Context& context, const NamedAgent& options) {
    return change(context, options, "PATCH", "", Json{{"policy", {{"frozen", false}}}}, "no longer frozen");
}

Outcome<void> terminate_agent(Context& context, const NamedAgent& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    // The id first: a terminated agent gives its name up.
    auto agent = find_agent(**api, options.agent);
    if (!agent) return std::unexpected(agent.error());
    const std::string id = text_at(*agent, {"id"});
    if (auto done = change(context, {.agent = id}, "DELETE", "", std::nullopt, "terminated for good"); !done)
        return done;
    (*agent)["status"] = "terminated";
    context.follow(*agent);
    return {};
}

Outcome<void> fund_agent(Context& context, const FundAgent& options) {
    const auto checked = amount(options.amount, "the amount");
    if (!checked) return std::unexpected(checked.error());
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto id = find_agent_id(**api, options.agent);
    if (!id) return std::unexpected(id.error());
    const auto funded = fund(**api, *id, *checked, options.reference);
    if (!funded) return std::unexpected(funded.error());
    if (context.out.json()) {
        context.out.data(*funded);
        return {};
    }
    const auto agent = (*api)->get(agent_path(*id));
    if (!agent) return std::unexpected(agent.error());
    context.out.line(text_at(*agent, {"name"}) + " is funded with " + *checked + " USDC; its balance is " +
                     text_at(*agent, {"wallet", "balance"}));
    return {};
}

}  // namespace nomiqon::cli
