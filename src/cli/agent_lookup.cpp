#include "agent_lookup.h"

#include <vector>

#include "nomiqon/core/ids.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon::cli {
namespace {

Outcome<Json> find_by_name(ApiClient& api, std::string_view name) {
    // The newest come first, and only one that lives can bear the name: most look-ups end with the first
    // page.
    const auto is_it = [name](const Json& agent) {
        return text_at(agent, {"name"}) == name && text_at(agent, {"status"}) != "terminated";
    };
    const auto agents = api.list("/v1/agents", {}, {.all = true, .last = is_it});
    if (!agents) return std::unexpected(agents.error());
    std::vector<std::string> names;
    std::vector<const Json*> terminated;
    for (const auto& agent : agents->rows) {
        names.push_back(text_at(agent, {"name"}));
        if (names.back() != name) continue;
        if (is_it(agent)) return agent;
        terminated.push_back(&agent);
    }
    if (terminated.size() == 1) return *terminated.front();
    if (terminated.size() > 1) {
        std::string ids;
        for (const auto* agent : terminated)
            ids += (ids.empty() ? "" : ", ") + text_at(*agent, {"id"});
        return failed("several terminated agents were called " + in_backticks(name) + ": " + ids,
                      "name the id instead");
    }
    const std::vector<std::string_view> candidates{names.begin(), names.end()};
    const auto near = nearest_name(name, candidates);
    return failed("there is no agent called " + in_backticks(name),
                  near ? "did you mean " + in_backticks(*near) + "?" : "nomiqon agents list shows all");
}

}  // namespace

Outcome<Json> find_agent(ApiClient& api, std::string_view id_or_name) {
    if (AgentId::parse(id_or_name)) return api.get(agent_path(id_or_name));
    return find_by_name(api, id_or_name);
}

Outcome<std::string> find_agent_id(ApiClient& api, std::string_view id_or_name) {
    if (AgentId::parse(id_or_name)) return std::string{id_or_name};
    const auto agent = find_by_name(api, id_or_name);
    if (!agent) return std::unexpected(agent.error());
    return text_at(*agent, {"id"});
}

std::string agent_path(std::string_view id) {
    return "/v1/agents/" + percent_encode(id);
}

}  // namespace nomiqon::cli
