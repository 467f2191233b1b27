#include "anthropic_tools.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <numeric>

#include "request_reader.h"

namespace nomiqon::metering {

namespace {

using nlohmann::json;

/// Tools that the client runs, whose definitions the provider writes. Its table says 245 tokens for bash, 700
/// for the text editor, 735 and up to 499 of prompt for computer use; the toolsets are many tools in one.
struct ClientTool {
    std::string_view type;  ///< how it begins
    std::int64_t tokens;
};
constexpr auto client_tools = std::to_array<ClientTool>({{"bash_", 500},
                                                         {"text_editor_", 1'500},
                                                         {"memory_", 2'000},
                                                         {"computer_toolset_", 8'000},
                                                         {"computer_", 2'500},
                                                         {"browser_toolset_", 12'000}});

struct ServerKind {
    std::string_view type;  ///< how it begins
    std::string_view name;
    bool has_max_uses;
    bool in_book;  ///< shipped: bounded without the route's help
};
constexpr auto server_kinds = std::to_array<ServerKind>({{"web_search_", "web_search", true, true},
                                                         {"web_fetch_", "web_fetch", true, false},
                                                         {"code_execution_", "code_execution", false, false},
                                                         {"tool_search_tool_", "tool_search", false, false},
                                                         {"mcp_toolset", "mcp", false, false}});

/// Where neither request nor route says how often and how much.
constexpr std::int64_t default_calls = 5;
constexpr std::int64_t default_tokens_per_call = 25'000;
/// After this version searches can be called by code, in passes of its own, of which the provider makes at
/// most ten.
constexpr std::string_view plain_web_search = "web_search_20250305";
constexpr std::int64_t most_code_passes = 10;
constexpr std::int64_t most_calls = 1'000;
constexpr std::size_t most_server_tools = 16;

bool only_direct(const json& tool) {
    const auto callers = tool.find("allowed_callers");
    return callers != tool.end() && *callers == json::array({"direct"});
}

std::expected<ServerTool, Refusal> read_server_tool(const json& tool, const ServerKind& kind,
                                                    const MeterTerms& terms) {
    const auto route = terms.tools.find(std::string{kind.name});
    const bool by_route = route != terms.tools.end();
    if (!by_route && !kind.in_book) {
        return std::unexpected(price_unknown("nothing bounds the provider's tool " + std::string{kind.name}));
    }
    const auto asked = read_limit(tool, "max_uses");
    if (!asked) return std::unexpected(asked.error());
    ServerTool read{
        .name = std::string{kind.name}, .calls = default_calls, .tokens_per_call = default_tokens_per_call};
    if (by_route) {
        read.fee = route->second.fee;
        if (route->second.max_calls > 0) read.calls = route->second.max_calls;
        if (route->second.tokens_per_call > 0) read.tokens_per_call = route->second.tokens_per_call;
    }
    if (kind.has_max_uses && *asked) read.calls = by_route ? std::min(read.calls, **asked) : **asked;
    if (read.calls > most_calls) return std::unexpected(price_unknown("too many calls of a tool"));
    read.write_calls = kind.has_max_uses && *asked != read.calls;
    return read;
}

std::expected<void, Refusal> read_tool(const json& tool, std::size_t index, const MeterTerms& terms,
                                       AnthropicTools& tools) {
    constexpr auto names = std::to_array<std::string_view>({"type", "max_uses", "allowed_callers"});
    if (!tool.is_object()) return std::unexpected(bad_request("a tool is no object"));
    if (auto spelled = check_spelling(tool, names); !spelled) return spelled;
    const auto given = tool.find("type");
    if (given == tool.end() || given->is_null() || *given == "custom") return {};
    const std::string type = given->is_string() ? given->get<std::string>() : std::string{};
    for (const ClientTool& known : client_tools) {
        if (!type.starts_with(known.type)) continue;
        tools.client_tokens += known.tokens;
        return {};
    }
    for (const ServerKind& kind : server_kinds) {
        if (!type.starts_with(kind.type)) continue;
        auto server = read_server_tool(tool, kind, terms);
        if (!server) return std::unexpected(server.error());
        server->index = index;
        if (kind.in_book && type > plain_web_search && !only_direct(tool))
            tools.more_passes = most_code_passes;
        if (server->calls > most_calls - tools.calls())
            return std::unexpected(price_unknown("too many calls of tools"));
        if (server->fee) tools.route_fees[server->name] = *server->fee;
        tools.server.push_back(std::move(*server));
        if (tools.server.size() > most_server_tools) return std::unexpected(price_unknown("too many tools"));
        return {};
    }
    return std::unexpected(price_unknown("a tool of a type that is not known"));
}

}  // namespace

std::int64_t AnthropicTools::calls() const {
    return std::accumulate(server.begin(), server.end(), std::int64_t{0},
                           [](std::int64_t sum, const ServerTool& tool) { return sum + tool.calls; });
}

std::int64_t AnthropicTools::tokens_per_call() const {
    std::int64_t most = 0;
    for (const ServerTool& tool : server)
        most = std::max(most, tool.tokens_per_call);
    return most;
}

std::expected<AnthropicTools, Refusal> read_anthropic_tools(const json& body, const MeterTerms& terms) {
    AnthropicTools tools;
    if (const auto servers = body.find("mcp_servers"); servers != body.end() && !servers->empty()) {
        // Their tools may be called without a toolset in `tools` (the connector's first version).
        const ServerKind kind{.type = {}, .name = "mcp", .has_max_uses = false, .in_book = false};
        auto server = read_server_tool(json::object(), kind, terms);
        if (!server) return std::unexpected(server.error());
        if (server->fee) tools.route_fees[server->name] = *server->fee;
        tools.server.push_back(std::move(*server));
    }
    const auto list = body.find("tools");
    if (list == body.end() || list->is_null()) return tools;
    if (!list->is_array()) return std::unexpected(bad_request("tools is no list"));
    for (std::size_t i = 0; i < list->size(); ++i) {
        if (auto read = read_tool((*list)[i], i, terms, tools); !read) return std::unexpected(read.error());
    }
    return tools;
}

std::optional<std::string> write_max_uses(const AnthropicTools& tools, std::string_view body) {
    if (std::ranges::none_of(tools.server, &ServerTool::write_calls)) return std::nullopt;
    // In the order of the request: what the provider caches of it stays the same.
    auto list = nlohmann::ordered_json::parse(body).at("tools");
    for (const ServerTool& tool : tools.server) {
        if (tool.write_calls) list.at(tool.index)["max_uses"] = tool.calls;
    }
    return list.dump();
}

}  // namespace nomiqon::metering
