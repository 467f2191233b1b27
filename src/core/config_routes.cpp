#include "config_routes.h"

#include <algorithm>
#include <array>

#include "nomiqon/core/host_pattern.h"
#include "nomiqon/core/ids.h"
#include "nomiqon/core/suggestion.h"

namespace nomiqon::config_detail {
namespace {

constexpr std::size_t most_routes = 10'000;
constexpr std::size_t most_paths = 1'000;
constexpr std::size_t most_agents = 10'000;
constexpr std::size_t most_deployments = 1'000;
constexpr std::size_t most_tools = 100;

constexpr std::array<std::string_view, 2> modes{"tunnel", "intercept"};
constexpr std::array<std::string_view, 2> reserve_modes{"bound", "typical"};
constexpr std::array<std::string_view, 14> meters{"openai", "azure",    "anthropic", "gemini",     "mistral",
                                                  "groq",   "deepseek", "together",  "openrouter", "tavily",
                                                  "brave",  "bing",     "serpapi",   "pinecone"};

/// Hop by hop (RFC 9110 section 7.6.1), framing, or the gateway's own: a credential in one would never
/// arrive, or would change where the message ends.
constexpr std::array<std::string_view, 13> forbidden_headers{"connection",
                                                             "keep-alive",
                                                             "proxy-authenticate",
                                                             "proxy-authorization",
                                                             "proxy-connection",
                                                             "te",
                                                             "trailer",
                                                             "transfer-encoding",
                                                             "upgrade",
                                                             "host",
                                                             "expect",
                                                             "content-encoding",
                                                             "content-length"};

std::string lower(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return result;
}

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// RFC 9110 section 5.6.2.
bool is_token(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return is_alphanumeric(c) || std::string_view("!#$%&'*+-.^_`|~").contains(c);
    });
}

void read_paths(const Value& value, std::vector<std::string>& paths) {
    if (!value.expect_array()) return;
    if (value.data().empty()) value.problem("names no path; leave the key out instead");
    if (value.data().size() > most_paths) {
        return value.problem("has more than " + std::to_string(most_paths) + " entries");
    }
    for (std::size_t i = 0; i < value.data().size(); ++i) {
        const auto element = value.element(i);
        const auto path = element.text();
        if (!path) continue;
        if (!path->starts_with('/') || path->find_first_of("?#* ") != std::string::npos) {
            element.problem("must be an exact path that starts with `/`, without `?`, `#`, `*` and blanks");
        } else {
            paths.push_back(*path);
        }
    }
}

std::optional<Secret> read_secret(const Value& value) {
    bool references = false;
    auto secret = value.secret(references);
    if (!secret) return std::nullopt;
    const auto text = secret->reveal();
    const auto visible = [](unsigned char c) { return c >= 0x20 && c < 0x7F; };
    if (!std::ranges::all_of(text, visible) || text.starts_with(' ') || text.ends_with(' ')) {
        value.problem("must be visible ASCII without blanks around it and without line breaks inside");
    }
    if (!references) {
        value.warning(
            "this credential is written out in the configuration; \"${file:PATH}\", \"${env:NAME}\" or "
            "\"${cmd:COMMAND}\" keeps it out of copies of the file");
    }
    return secret;
}

void read_agents_secrets(const Value& value, std::map<std::string, Secret, std::less<>>& agents) {
    if (!value.expect_object()) return;
    if (value.data().size() > most_agents) {
        return value.problem("has more than " + std::to_string(most_agents) + " entries");
    }
    for (const auto& [id, unused] : value.data().items()) {
        const auto member = value.member(id);
        if (!AgentId::parse(id)) {
            member.problem(in_backticks(id) + " is no agent's id: \"ag_\" and 26 letters and digits");
        } else if (auto secret = read_secret(member)) {
            agents.emplace(id, *std::move(secret));
        }
    }
}

constexpr std::array credential_members{
    Member<RouteCredential>{
        "header",
        [](const Value& value, RouteCredential& credential) {
            const auto name = value.text();
            if (!name) return;
            const auto folded = lower(*name);
            if (!is_token(*name)) {
                value.problem(in_backticks(*name) + " is no header name");
            } else if (std::ranges::find(forbidden_headers, folded) != forbidden_headers.end() ||
                       folded.starts_with("x-nomiqon-")) {
                value.problem(in_backticks(*name) + " can't carry a credential to a provider");
            }
            credential.header = *name;
        }},
    Member<RouteCredential>{"query",
                            [](const Value& value, RouteCredential& credential) {
                                const auto name = value.text();
                                if (!name) return;
                                if (!std::ranges::all_of(*name, [](char c) {
                                        return is_alphanumeric(c) || std::string_view("-._~").contains(c);
                                    })) {
                                    value.problem(
                                        "the name of a query parameter has letters, digits and `-._~` only");
                                }
                                credential.query = *name;
                            }},
    Member<RouteCredential>{"value",
                            [](const Value& value, RouteCredential& credential) {
                                if (auto secret = read_secret(value)) credential.value = *std::move(secret);
                            }},
    Member<RouteCredential>{"agents",
                            [](const Value& value, RouteCredential& credential) {
                                read_agents_secrets(value, credential.agents);
                            }},
};

void read_credential(const Value& value, Route& route) {
    route.credential.emplace();
    read_members<RouteCredential>(value, credential_members, *route.credential);
    const auto& data = value.data();
    if (!data.is_object()) return;
    if (data.contains("header") == data.contains("query")) {
        value.problem("needs exactly one of `header` and `query`: where the provider looks for it");
    }
    if (!data.contains("value"))
        value.problem("needs a `value`, such as \"Bearer ${file:/run/secrets/provider}\"");
}

constexpr std::array price_members{
    Member<RoutePrice>{"perRequest",
                       [](const Value& v, RoutePrice& price) { price.per_request = v.amount(); }},
    Member<RoutePrice>{"perConnection",
                       [](const Value& v, RoutePrice& price) { price.per_connection = v.amount(); }},
    Member<RoutePrice>{"free",
                       [](const Value& v, RoutePrice& price) { price.free = v.boolean().value_or(false); }},
    Member<RoutePrice>{"paths", [](const Value& v, RoutePrice& price) { read_paths(v, price.paths); }},
    Member<RoutePrice>{"maxSeconds",
                       [](const Value& v, RoutePrice& price) {
                           if (const auto n = v.count(1, 86'400)) price.max_time = std::chrono::seconds(*n);
                       }},
    Member<RoutePrice>{"maxBytes",
                       [](const Value& v, RoutePrice& price) { price.max_bytes = v.count(1, 1ULL << 40U); }},
};

void check_amount(const Value& price, const std::string& name, const std::optional<Usdc>& amount, bool free) {
    if (!amount) return;
    if (amount->is_zero() && !free) {
        price.member(name).problem("a price of 0 counts only beside \"free\": true");
    } else if (!amount->is_zero() && free) {
        price.member(name).problem("a free route has no price; leave out one of the two");
    }
}

void read_price(const Value& value, Route& route) {
    auto& price = route.price.emplace();
    read_members<RoutePrice>(value, price_members, price);
    const auto& data = value.data();
    if (!data.is_object()) return;
    check_amount(value, "perRequest", price.per_request, price.free);
    check_amount(value, "perConnection", price.per_connection, price.free);
    if (!data.contains("perRequest") && !data.contains("perConnection") && !data.contains("free")) {
        value.problem("needs `perRequest` or `perConnection`, or \"free\": true");
    }
}

struct RouteDraft {
    Route route;
    std::vector<std::string> paths;  ///< written beside the price
    bool port_in_host = false;
    bool mode_known = true;
};

void read_host(const Value& value, RouteDraft& draft) {
    const auto written = value.text();
    if (!written) return;
    // One label after the star is enough here: a route says what a host costs, it permits nothing.
    const auto pattern = HostPattern::parse(*written, 1);
    if (!pattern) return value.problem(in_backticks(*written) + " is no host: " + pattern.error());
    draft.route.host = pattern->host_text();
    draft.port_in_host = pattern->port.has_value();
    if (pattern->port) draft.route.port = pattern->port;
}

/// Azure calls a model by the name of its deployment, which whoever made it has chosen.
void read_deployments(const Value& value, Route& route) {
    if (!value.expect_object()) return;
    if (value.data().size() > most_deployments) {
        return value.problem("has more than " + std::to_string(most_deployments) + " entries");
    }
    for (const auto& [name, unused] : value.data().items()) {
        const auto member = value.member(name);
        const auto model = member.text();
        if (name.empty() || name.contains('/')) {
            member.problem(in_backticks(name) + " is no deployment's name");
        } else if (model) {
            route.deployments.emplace(name, *model);
        }
    }
}

constexpr std::array tool_members{
    Member<RouteTool>{"fee", [](const Value& v, RouteTool& tool) { tool.fee = v.amount().value_or(Usdc{}); }},
    Member<RouteTool>{
        "maxCalls", [](const Value& v, RouteTool& tool) { tool.max_calls = v.count(1, 1'000).value_or(1); }},
    Member<RouteTool>{
        "tokensPerCall",
        [](const Value& v, RouteTool& tool) { tool.tokens_per_call = v.count(0, 10'000'000).value_or(0); }},
};

void read_tools(const Value& value, Route& route) {
    if (!value.expect_object()) return;
    if (value.data().size() > most_tools) {
        return value.problem("has more than " + std::to_string(most_tools) + " entries");
    }
    for (const auto& [name, data] : value.data().items()) {
        const auto member = value.member(name);
        auto& tool = route.tools[name];
        read_members<RouteTool>(member, tool_members, tool);
        if (!data.is_object()) continue;
        for (const auto& needed : tool_members) {
            if (!data.contains(needed.name)) member.problem("needs `" + std::string(needed.name) + '`');
        }
    }
}

void read_provider(const Value& value, Route& route) {
    const auto name = value.text();
    if (!name) return;
    const bool fits = name->size() <= 64 && std::ranges::all_of(*name, [](char c) {
                          return is_alphanumeric(c) || std::string_view("_-./").contains(c);
                      });
    if (!fits) value.problem("must be a provider's name in the price book: letters, digits and `_-./`");
    route.provider = *name;
}

constexpr std::array route_members{
    Member<RouteDraft>{"host", [](const Value& v, RouteDraft& draft) { read_host(v, draft); }},
    Member<RouteDraft>{"port",
                       [](const Value& v, RouteDraft& draft) {
                           const auto port = v.count(1, 65'535);
                           if (port) draft.route.port = static_cast<std::uint16_t>(*port);
                       }},
    Member<RouteDraft>{"mode",
                       [](const Value& v, RouteDraft& draft) {
                           const auto mode = v.one_of(modes);
                           draft.mode_known = mode.has_value();
                           draft.route.mode = mode == "intercept" ? RouteMode::intercept : RouteMode::tunnel;
                       }},
    Member<RouteDraft>{"meter", [](const Value& v,
                                   RouteDraft& draft) { draft.route.meter = v.one_of(meters).value_or(""); }},
    Member<RouteDraft>{"provider", [](const Value& v, RouteDraft& draft) { read_provider(v, draft.route); }},
    Member<RouteDraft>{"price", [](const Value& v, RouteDraft& draft) { read_price(v, draft.route); }},
    Member<RouteDraft>{"paths", [](const Value& v, RouteDraft& draft) { read_paths(v, draft.paths); }},
    Member<RouteDraft>{"credential",
                       [](const Value& v, RouteDraft& draft) { read_credential(v, draft.route); }},
    Member<RouteDraft>{
        "raw", [](const Value& v, RouteDraft& draft) { draft.route.raw = v.boolean().value_or(false); }},
    Member<RouteDraft>{
        "upgrade",
        [](const Value& v, RouteDraft& draft) { draft.route.upgrade = v.boolean().value_or(false); }},
    Member<RouteDraft>{"reserve",
                       [](const Value& v, RouteDraft& draft) {
                           draft.route.reserve = v.one_of(reserve_modes) == "typical" ? ReserveMode::typical
                                                                                      : ReserveMode::bound;
                       }},
    Member<RouteDraft>{
        "overrunLimit",
        [](const Value& v, RouteDraft& draft) { draft.route.overrun_limit = v.amount().value_or(Usdc{}); }},
    Member<RouteDraft>{"deployments",
                       [](const Value& v, RouteDraft& draft) { read_deployments(v, draft.route); }},
    Member<RouteDraft>{"tools", [](const Value& v, RouteDraft& draft) { read_tools(v, draft.route); }},
    Member<RouteDraft>{"maxReadUnits",
                       [](const Value& v, RouteDraft& draft) {
                           draft.route.max_read_units = v.count(1, 1'000'000'000).value_or(0);
                       }},
    Member<RouteDraft>{
        "deferred",
        [](const Value& v, RouteDraft& draft) { draft.route.deferred = v.boolean().value_or(false); }},
};

bool has(const nlohmann::json& data, const char* name) {
    return data.is_object() && data.contains(name);
}

// The checks below ask which members were written, not how they were read, so that one mistake hides no
// other.

/// `paths` may stand in the price or beside it, not in both.
void join_paths(const Value& value, RouteDraft& draft) {
    const auto& data = value.data();
    const bool inside = has(data, "price") && has(data.at("price"), "paths");
    if (!inside && !has(data, "paths")) return;
    if (inside && has(data, "paths")) {
        value.member("paths").problem("stands in `price` too; write it once");
    } else if (!has(data, "meter")) {
        value.problem("`paths` says what `perRequest` covers beside a meter; this route has no `meter`");
    } else if (!has(data, "price") || !has(data.at("price"), "perRequest")) {
        value.problem("`paths` needs a `price` with `perRequest`: what a request to one of them costs");
    } else if (!inside && draft.route.price) {
        draft.route.price->paths = std::move(draft.paths);
    }
}

void check_tunnel(const Value& value) {
    if (has(value.data(), "credential")) {
        value.member("credential")
            .problem(
                "can't be put into a tunnel, which the gateway doesn't open; use \"mode\": \"intercept\"");
    }
    if (has(value.data(), "meter")) {
        value.member("meter").warning(
            "sees nothing inside a tunnel; only plain HTTP requests would be metered");
    }
}

void check_intercept(const Value& value, const Route& route) {
    if (!has(value.data(), "meter") && !has(value.data(), "price")) {
        value.problem("an intercepted route needs a `meter` or a `price`");
    }
    if (route.raw) value.member("raw").problem("only a tunnel can be raw: an intercepted connection is TLS");
}

void check_meter(const Value& value, const Route& route) {
    if (!has(value.data(), "meter")) {
        if (has(value.data(), "provider")) {
            value.member("provider")
                .problem("chooses a meter's prices in the price book; this route has no `meter`");
        }
        return;
    }
    if (route.price && route.price->per_request && route.price->paths.empty()) {
        value.warning(
            "beside a meter, `perRequest` covers only the `paths` that the route lists, and it lists none");
    }
    const bool bounded =
        route.price && route.price->per_connection && route.price->max_time && route.price->max_bytes;
    if (route.upgrade && !bounded) {
        value.warning("upgrades stay `price_unknown` without `perConnection`, `maxSeconds` and `maxBytes`");
    }
}

/// A bound that no meter reads would be believed in and not be there.
void check_meter_terms(const Value& value) {
    struct Term {
        const char* key;
        std::string_view meter;  ///< that reads it; empty: each may
    };
    constexpr std::array<Term, 4> terms{{{.key = "deployments", .meter = "azure"},
                                         {.key = "tools", .meter = ""},
                                         {.key = "maxReadUnits", .meter = "pinecone"},
                                         {.key = "deferred", .meter = ""}}};
    const auto& data = value.data();
    for (const auto& term : terms) {
        if (!has(data, term.key)) continue;
        if (!has(data, "meter")) {
            value.member(term.key).problem("tells a meter more; this route has no `meter`");
        } else if (!term.meter.empty() && data.at("meter") != term.meter) {
            value.member(term.key).problem("only the meter `" + std::string(term.meter) + "` reads this");
        }
    }
    if (has(data, "meter") && data.at("meter") == "azure" && !has(data, "deployments")) {
        value.member("meter").warning(
            "`azure` knows no model without `deployments`: calls of deployments are `price_unknown`");
    }
}

void check_reserve(const Value& value, const Route& route) {
    if (route.reserve == ReserveMode::bound) {
        if (has(value.data(), "overrunLimit")) {
            value.member("overrunLimit").warning("counts only beside \"reserve\": \"typical\"");
        }
        return;
    }
    if (route.overrun_limit.is_zero()) {
        value.member("reserve").warning(
            "`typical` acts as `bound` without an `overrunLimit` above 0, such as \"0.50\"");
    }
    if (!has(value.data(), "meter")) {
        value.member("reserve").warning(
            "`typical` acts as `bound` without a `meter`: a flat price is held in full");
    }
}

void check_together(const Value& value, RouteDraft& draft) {
    const auto& data = value.data();
    if (!data.contains("host"))
        value.problem("needs a `host`: a name, `*.example.com`, or `*` for all others");
    if (data.contains("port") && draft.port_in_host)
        value.member("port").problem("stands in `host` too; write it once");
    join_paths(value, draft);
    if (!draft.mode_known) {
        // Nothing can be said of what goes with it.
    } else if (draft.route.mode == RouteMode::tunnel) {
        check_tunnel(value);
    } else {
        check_intercept(value, draft.route);
    }
    check_meter(value, draft.route);
    check_meter_terms(value);
    check_reserve(value, draft.route);
}

/// Says which routes an earlier one leaves nothing for. A wildcard before a name is told carefully: which
/// hosts are known to charge, and so need naming, is metering's knowledge.
void warn_of_shadowed(const Value& value, const std::vector<Route>& routes) {
    std::vector<HostPattern> patterns;
    for (const auto& route : routes) {
        auto pattern = HostPattern::parse(route.host, 1);
        if (!pattern) return;
        pattern->port = route.port;
        patterns.push_back(*std::move(pattern));
    }
    for (std::size_t later = 1; later < patterns.size(); ++later) {
        const auto end = patterns.begin() + static_cast<std::ptrdiff_t>(later);
        const auto first = std::find_if(patterns.begin(), end, [&](const HostPattern& earlier) {
            return earlier.includes(patterns[later]);
        });
        if (first == end) continue;
        const auto which =
            in_backticks(first->to_string()) + " (route " + std::to_string(first - patterns.begin()) + ')';
        const bool same_hosts = first->kind == patterns[later].kind && first->host == patterns[later].host;
        value.element(later).warning(
            same_hosts
                ? "never used: " + which + " comes first and takes the same hosts"
                : which +
                      " comes first and takes these hosts, except those known to charge; put this one first");
    }
}

}  // namespace

void read_routes(const Value& value, std::vector<Route>& routes) {
    if (!value.expect_array()) return;
    if (value.data().size() > most_routes) {
        return value.problem("has more than " + std::to_string(most_routes) + " entries");
    }
    const auto before = value.problems();
    for (std::size_t i = 0; i < value.data().size(); ++i) {
        const auto element = value.element(i);
        RouteDraft draft;
        read_members<RouteDraft>(element, route_members, draft);
        if (element.data().is_object()) check_together(element, draft);
        routes.push_back(std::move(draft.route));
    }
    if (value.problems() == before) warn_of_shadowed(value, routes);
}

std::vector<std::string> route_key_paths() {
    std::vector<std::string> paths;
    const auto add = [&](const std::string& prefix, const auto& members) {
        for (const auto& member : members)
            paths.push_back(prefix + std::string(member.name));
    };
    add("routes[].", route_members);
    add("routes[].price.", price_members);
    add("routes[].credential.", credential_members);
    return paths;
}

}  // namespace nomiqon::config_detail
