#include <algorithm>

#include "agent_lookup.h"
#include "agent_view.h"
#include "commands.h"
#include "inputs.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon::cli {
namespace {

constexpr int max_attempts = 3;  // of reading, changing and writing a list that others change too

void print_policy(Context& context, const Json& policy) {
    if (context.out.json()) return context.out.data(policy);
    context.out.fields(policy_fields(policy));
}

/// An entry may be a host, or an object with a host and conditions.
bool names_host(const Json& entry, const std::string& host) {
    return entry == Json(host) || at(entry, {"host"}) == Json(host);
}

/// The allowlist with some hosts more and some fewer, in its own order.
Outcome<Json> edited_allowlist(const Json& policy, const SetPolicy& options) {
    const Json& current = at(policy, {"allowlist"});
    if (current.is_null() && !options.remove_allow.empty())
        return failed("the policy has no allowlist to remove from; every host is allowed");
    Json list = current.is_array() ? current : Json::array();
    for (const auto& host : options.remove_allow) {
        Json others = Json::array();
        for (const auto& entry : list)
            if (!names_host(entry, host)) others.push_back(entry);
        if (others.size() == list.size())
            return failed(in_backticks(host) +
                          " is not on the allowlist: " + (list.empty() ? "it is empty" : joined(list)));
        list = std::move(others);
    }
    for (const auto& host : options.add_allow)
        if (std::ranges::find(list, Json(host)) == list.end()) list.push_back(host);
    return list;
}

Outcome<Json> change_policy(ApiClient& api, const std::string& id, const Json& policy,
                            const std::string& reason, std::string if_match) {
    Json body{{"policy", policy}};
    if (!reason.empty()) body["reason"] = reason;
    return api.write({.method = "PATCH",
                      .path = agent_path(id),
                      .body = std::move(body),
                      .if_match = std::move(if_match)});
}

/// Reads, changes and writes under the version that was read, again when somebody else was faster; unless the
/// caller named a version, which must then be the one.
Outcome<Json> edit_allowlist(ApiClient& api, const std::string& id, Json partial, const SetPolicy& options) {
    for (int attempt = 1;; ++attempt) {
        const auto agent = api.get(agent_path(id));
        if (!agent) return agent;
        auto list = edited_allowlist(at(*agent, {"policy"}), options);
        if (!list) return list;
        partial["allowlist"] = std::move(*list);
        const std::string version =
            options.if_version ? std::to_string(*options.if_version) : text_at(*agent, {"policy", "version"});
        auto changed = change_policy(api, id, partial, options.reason, version);
        const bool overtaken = !changed && changed.error().code == "precondition_failed";
        if (!overtaken || options.if_version || attempt == max_attempts) return changed;
    }
}

Outcome<Json> partial_policy(const SetPolicy& options) {
    auto partial = policy_of(options.policy, true);
    if (!partial) return partial;
    const bool edits = !options.add_allow.empty() || !options.remove_allow.empty();
    if (edits && partial->contains("allowlist"))
        return usage_error("--allow replaces the list; it can't be said with --add-allow or --remove-allow");
    if (partial->empty() && !edits)
        return usage_error("there is nothing to change", "see nomiqon policy set --help");
    return partial;
}

/// A template's id, by id or by name.
Outcome<std::string> find_template_id(ApiClient& api, const std::string& id_or_name) {
    if (PolicyId::parse(id_or_name)) return id_or_name;
    const auto templates = api.list("/v1/policies", {}, {.all = true});
    if (!templates) return std::unexpected(templates.error());
    for (const auto& policy : templates->rows)
        if (text_at(policy, {"name"}) == id_or_name) return text_at(policy, {"id"});
    return failed("there is no policy called " + in_backticks(id_or_name), "nomiqon policies list shows all");
}

std::string blank_or(const Json& policy, std::string_view member) {
    const Json& value = at(policy, {member});
    return value.is_array() ? joined(value) : text_at(policy, {member});
}

}  // namespace

Outcome<void> get_policy(Context& context, const NamedAgent& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto agent = find_agent(**api, options.agent);
    if (!agent) return std::unexpected(agent.error());
    print_policy(context, at(*agent, {"policy"}));
    return {};
}

Outcome<void> set_policy(Context& context, const SetPolicy& options) {
    const auto partial = partial_policy(options);
    if (!partial) return std::unexpected(partial.error());
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto id = find_agent_id(**api, options.agent);
    if (!id) return std::unexpected(id.error());

    const bool edits = !options.add_allow.empty() || !options.remove_allow.empty();
    const auto agent = edits ? edit_allowlist(**api, *id, *partial, options)
                             : change_policy(**api, *id, *partial, options.reason,
                                             options.if_version ? std::to_string(*options.if_version) : "");
    if (!agent) return std::unexpected(agent.error());
    print_policy(context, at(*agent, {"policy"}));
    return {};
}

Outcome<void> list_policy_versions(Context& context, const NamedAgent& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto id = find_agent_id(**api, options.agent);
    if (!id) return std::unexpected(id.error());
    const auto versions = (*api)->list(agent_path(*id) + "/policies", {}, {.all = true});
    if (!versions) return std::unexpected(versions.error());
    if (context.out.json()) {
        context.out.data(versions->rows);
        return {};
    }
    Table table{.columns = {{"VERSION", true},
                            {"CREATED"},
                            {"BY"},
                            {"DAILY CAP", true},
                            {"TOTAL CAP", true},
                            {"PER REQUEST", true},
                            {"FROZEN"},
                            {"REASON"},
                            {"ALLOWLIST"}},
                .rows = {}};
    for (const auto& policy : versions->rows) {
        table.rows.push_back({text_at(policy, {"version"}), short_time(text_at(policy, {"createdAt"})),
                              text_at(policy, {"createdBy"}), text_at(policy, {"dailyCap"}),
                              text_at(policy, {"totalCap"}), text_at(policy, {"maxPerRequest"}),
                              at(policy, {"frozen"}) == true ? "yes" : "", text_at(policy, {"reason"}),
                              blank_or(policy, "allowlist")});
    }
    context.out.table(table, "no version");
    return {};
}

Outcome<void> create_template(Context& context, const CreateTemplate& options) {
    const auto policy = policy_of(options.policy, false);
    if (!policy) return std::unexpected(policy.error());
    Json body{{"name", options.name}};
    body.update(*policy);
    body["name"] = options.name;
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto made = (*api)->write({.method = "POST", .path = "/v1/policies", .body = std::move(body)});
    if (!made) return std::unexpected(made.error());
    print_policy(context, *made);
    return {};
}

Outcome<void> list_templates(Context& context, const ListOnly& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto templates = (*api)->list("/v1/policies", {}, options.list);
    if (!templates) return std::unexpected(templates.error());
    if (context.out.json()) {
        context.out.data(templates->rows);
    } else {
        Table table{.columns = {{"ID"},
                                {"NAME"},
                                {"DAILY CAP", true},
                                {"TOTAL CAP", true},
                                {"PER REQUEST", true},
                                {"CREATED"},
                                {"ALLOWLIST"}},
                    .rows = {}};
        for (const auto& policy : templates->rows) {
            table.rows.push_back({text_at(policy, {"id"}), text_at(policy, {"name"}),
                                  text_at(policy, {"dailyCap"}), text_at(policy, {"totalCap"}),
                                  text_at(policy, {"maxPerRequest"}),
                                  short_time(text_at(policy, {"createdAt"})), blank_or(policy, "allowlist")});
        }
        context.out.table(table, "no policy");
    }
    note_more(context, *templates);
    return {};
}

Outcome<void> delete_template(Context& context, const NamedTemplate& options) {
    const auto api = context.api();
    if (!api) return std::unexpected(api.error());
    const auto id = find_template_id(**api, options.policy);
    if (!id) return std::unexpected(id.error());
    const auto deleted = (*api)->write({.method = "DELETE", .path = "/v1/policies/" + percent_encode(*id)});
    if (!deleted) return std::unexpected(deleted.error());
    if (context.out.json()) {
        context.out.data(*deleted);
    } else {
        context.out.line(options.policy + " is deleted; agents that were given it keep what they have");
    }
    return {};
}

}  // namespace nomiqon::cli
