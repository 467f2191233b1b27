#include "agent_view.h"

namespace nomiqon::cli {
namespace {

std::string identities(const Json& caids) {
    std::string text;
    for (const auto& caid : caids)
        text += (text.empty() ? "" : ", ") + text_at(caid, {"caid"}) + " (" + text_at(caid, {"status"}) + ")";
    return text;
}

std::string pairs(const Json& object) {
    std::string text;
    if (!object.is_object()) return text;
    for (const auto& [key, value] : object.items())
        text += (text.empty() ? "" : ", ") + key + '=' + text_at(object, {key});
    return text;
}

}  // namespace

std::string joined(const Json& list) {
    std::string text;
    for (const auto& entry : list) {
        text += text.empty() ? "" : ", ";
        text += entry.is_string() ? entry.get<std::string>()
                                  : entry.dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    return text;
}

Fields agent_fields(const Json& agent) {
    Fields fields{{"id", text_at(agent, {"id"})},
                  {"name", text_at(agent, {"name"})},
                  {"status", text_at(agent, {"status"})},
                  {"identities", identities(at(agent, {"caids"}))},
                  {"wallet", text_at(agent, {"wallet", "address"})},
                  {"wallet status", text_at(agent, {"wallet", "status"})},
                  {"balance", text_at(agent, {"wallet", "balance"})},
                  {"reserved", text_at(agent, {"wallet", "reserved"})},
                  {"available", text_at(agent, {"wallet", "available"})},
                  {"metadata", pairs(at(agent, {"metadata"}))},
                  {"created", short_time(text_at(agent, {"createdAt"}))}};
    for (auto& [name, value] : policy_fields(at(agent, {"policy"})))
        fields.emplace_back("policy " + name, std::move(value));
    return fields;
}

Table agent_table(const Json& agents) {
    Table table{.columns = {{"ID"},
                            {"NAME"},
                            {"STATUS"},
                            {"AVAILABLE", true},
                            {"RESERVED", true},
                            {"DAILY CAP", true},
                            {"SPENT TODAY", true},
                            {"CREATED"}},
                .rows = {}};
    for (const auto& agent : agents) {
        std::string status = text_at(agent, {"status"});
        if (at(agent, {"policy", "frozen"}) == true) status += ", frozen";
        table.rows.push_back({text_at(agent, {"id"}), text_at(agent, {"name"}), std::move(status),
                              text_at(agent, {"wallet", "available"}), text_at(agent, {"wallet", "reserved"}),
                              text_at(agent, {"policy", "dailyCap"}),
                              text_at(agent, {"policy", "_computed", "spentToday"}),
                              short_time(text_at(agent, {"createdAt"}))});
    }
    return table;
}

Fields policy_fields(const Json& policy) {
    Fields fields;
    if (!policy.is_object()) return fields;
    for (const auto& [name, value] : policy.items()) {
        if (name == "_computed") continue;
        // An empty allowlist says something: nothing may be asked for.
        const bool list = value.is_array();
        fields.emplace_back(name, list ? (value.empty() && name == "allowlist" ? "(empty: no host is allowed)"
                                                                               : joined(value))
                                       : short_time(text_at(policy, {name})));
    }
    if (const Json& computed = at(policy, {"_computed"}); computed.is_object()) {
        for (const auto& [name, value] : computed.items())
            fields.emplace_back(name, text_at(computed, {name}));
    }
    return fields;
}

}  // namespace nomiqon::cli
