#include "handlers.h"
#include "input.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/wallet/identity.h"
#include "nomiqon/wallet/token_account.h"
#include "pagination.h"
#include "policy_input.h"

namespace nomiqon::admin {
namespace {

Result<Caid> read_caid(const json& body) {
    const auto found = body.find("caid");
    if (found == body.end() || found->is_null()) {
        return std::unexpected(
            validation_error("an agent needs an identity: {\"publicKey\": …}, the public half of an Ed25519 "
                             "key pair that stays with the "
                             "agent; the SDKs and `nomiqon agents create` make one where they run",
                             "/caid"));
    }
    if (!found->is_object())
        return std::unexpected(validation_error("must be an object: {\"publicKey\": …}", "/caid"));
    for (const auto& item : found->items()) {
        if (item.key() != "publicKey") {
            return std::unexpected(
                validation_error("unknown member; there is: publicKey", "/caid/" + item.key()));
        }
    }
    const auto key = found->find("publicKey");
    if (key == found->end() || !key->is_string()) {
        return std::unexpected(
            validation_error("must be a public key in base58, or caid_…", "/caid/publicKey"));
    }
    auto caid = wallet::parse_registrable(key->get_ref<const std::string&>());
    if (!caid) return std::unexpected(validation_error(caid.error(), "/caid/publicKey"));
    return *std::move(caid);
}

Awaitable<Outcome> set_status(const Context& context, const ApiRequest& request, std::string_view to) {
    auto answer =
        co_await write(context, request, "set_agent_status", {{"agent", request.path_ids.at(0)}, {"to", to}});
    co_return answer;
}

}  // namespace

Awaitable<Outcome> create_agent(const Context& context, const ApiRequest& request) {
    const auto name = require_text(request.body, "name", {});
    if (!name) co_return std::unexpected(name.error());
    const auto caid = read_caid(request.body);
    if (!caid) co_return std::unexpected(caid.error());
    const auto metadata = read_metadata(request.body, Nulls::drop);
    if (!metadata) co_return std::unexpected(metadata.error());
    const auto reason = read_text(request.body, "reason", {.max = 500});
    if (!reason) co_return std::unexpected(reason.error());
    const auto document = co_await require_policy(context, request.body);
    if (!document) co_return std::unexpected(document.error());

    const auto& mint = context.config.wallet.mint;
    const auto account = wallet::associated_token_account(caid->public_key(), mint);
    if (!account) {
        context.log->error("no token account can be derived for wallet.mint {}", mint);
        co_return std::unexpected(internal_error());
    }
    json arguments{{"agent", AgentId::generate().str()},
                   {"name", *name},
                   {"caid", caid->str()},
                   {"owner", caid->base58()},
                   {"address", account->base58},
                   {"mint", mint},
                   {"policy_id", PolicyId::generate().str()},
                   {"document", *document},
                   {"metadata", *metadata}};
    if (*reason) arguments["reason"] = **reason;
    auto answer = co_await write(context, request, "create_agent", std::move(arguments), 201);
    co_return answer;
}

Awaitable<Outcome> list_agents(const Context& context, const ApiRequest& request) {
    json arguments{{"metadata", json::object()}};
    for (const auto& [name, value] : request.query) {
        if (name.starts_with("metadata.")) arguments["metadata"][name.substr(9)] = value;
    }
    if (const auto status = request.query.find("status"); status != request.query.end()) {
        if (status->second != "active" && status->second != "paused" && status->second != "terminated") {
            co_return std::unexpected(validation_error("must be active, paused or terminated", "/status"));
        }
        arguments["status"] = status->second;
    }
    auto answer = co_await list(context, request, "list_agents", std::move(arguments), "agents");
    co_return answer;
}

Awaitable<Outcome> get_agent(const Context& context, const ApiRequest& request) {
    auto agent = co_await read(context, "get_agent", {{"agent", request.path_ids.at(0)}});
    if (!agent) co_return std::unexpected(agent.error());
    co_return Answer{.data = *std::move(agent)};
}

Awaitable<Outcome> pause_agent(const Context& context, const ApiRequest& request) {
    return set_status(context, request, "paused");
}
Awaitable<Outcome> resume_agent(const Context& context, const ApiRequest& request) {
    return set_status(context, request, "active");
}
Awaitable<Outcome> terminate_agent(const Context& context, const ApiRequest& request) {
    return set_status(context, request, "terminated");
}

Awaitable<Outcome> list_agent_policies(const Context& context, const ApiRequest& request) {
    return list(context, request, "list_agent_policies", {{"agent", request.path_ids.at(0)}}, "versions",
                "version");
}

}  // namespace nomiqon::admin
