#include <vector>

#include "agent_lookup.h"
#include "commands.h"
#include "nomiqon/core/caid.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon::cli {
namespace {

/// The identity that is meant: the one that was named, or the only active one.
Outcome<std::string> identity_of(const Json& agent, const RevokeIdentity& options) {
    if (!options.caid.empty()) {
        if (!Caid::parse(options.caid))
            return usage_error(in_backticks(options.caid) + " is no CAID (caid_…)");
        return options.caid;
    }
    std::vector<std::string> active;
    for (const auto& caid : at(agent, {"caids"}))
        if (text_at(caid, {"status"}) == "active") active.push_back(text_at(caid, {"caid"}));
    if (active.size() == 1) return active.front();
    if (active.empty())
        return failed("every identity of " + in_backticks(options.agent) + " is revoked already");
    std::string list;
    for (const auto& caid : active)
        list += (list.empty() ? "" : ", ") + caid;
    return usage_error(in_backticks(options.agent) + " has several active identities: " + list,
                       "name the one to revoke: nomiqon agents revoke AGENT CAID");
}

Outcome<Json> register_key(ApiClient& api, std::string_view agent_id, std::string_view public_key) {
    return api.write(
        {.method = "POST", .path = agent_path(agent_id) + "/caids", .body = Json{{"publicKey", public_key}}});
}

/// Like the creation of an agent: on disk first, taken back only when it surely isn't registered.
Outcome<std::string> add_own_key(Context& context, ApiClient& api, const Json& agent) {
    const std::string id = text_at(agent, {"id"});
    const std::string name = text_at(agent, {"name"});
    const auto store = context.keys();
    if (!store) return std::unexpected(store.error());
    const auto key = token::SigningKey::generate();
    const auto pending = (*store)->write_pending(key, name, id);
    if (!pending) return std::unexpected(pending.error());
    if (auto registered = register_key(api, id, key.caid().base58()); !registered) {
        Failure failure = std::move(registered.error());
        if (failure.outcome_unknown) {
            failure.message +=
                "; the key may be registered all the same, and is kept in " + pending->path.string();
            failure.hint = "nomiqon agents show " + name + " tells, and puts the key in its place";
        } else {
            (*store)->discard(*pending);
        }
        return std::unexpected(std::move(failure));
    }
    const auto kept = (*store)->adopt(*pending, id, name);
    if (!kept) return std::unexpected(kept.error());
    return key.caid().str();
}

}  // namespace

Outcome<void> revoke_identity(Context& context, const RevokeIdentity& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto agent = find_agent(**api, options.agent);
    if (!agent) return std::unexpected(agent.error());
    const auto caid = identity_of(*agent, options);
    if (!caid) return std::unexpected(caid.error());
    const std::string id = text_at(*agent, {"id"});
    const auto revoked =
        (*api)->write({.method = "DELETE", .path = agent_path(id) + "/caids/" + percent_encode(*caid)});
    if (!revoked) return std::unexpected(revoked.error());
    if (context.out.json()) {
        context.out.data(*revoked);
    } else {
        context.out.line(*caid + " of " + text_at(*agent, {"name"}) + " is revoked for good");
    }
    if (const auto now = (*api)->get(agent_path(id))) context.follow(*now);
    return {};
}

Outcome<void> add_key(Context& context, const AddKey& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto agent = find_agent(**api, options.agent);
    if (!agent) return std::unexpected(agent.error());
    const std::string id = text_at(*agent, {"id"});
    std::string added = options.public_key;
    if (added.empty()) {
        auto own = add_own_key(context, **api, *agent);
        if (!own) return std::unexpected(own.error());
        added = std::move(*own);
    } else if (auto registered = register_key(**api, id, added); !registered) {
        return std::unexpected(registered.error());
    }
    if (context.out.json()) {
        const auto now = (*api)->get(agent_path(id));
        if (!now) return std::unexpected(now.error());
        context.out.data(*now);
        return {};
    }
    context.out.line(text_at(*agent, {"name"}) + " may sign with " + added + " too");
    context.out.note("the older keys stay valid until nomiqon agents revoke");
    return {};
}

}  // namespace nomiqon::cli
