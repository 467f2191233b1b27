#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/refusal.h"
#include "nomiqon/metering/meter.h"

namespace nomiqon::metering {

/// One of the request's tools that the provider runs itself (rule 12).
struct ServerTool {
    std::string
        name{};  ///< as routes name it: `web_search`, `web_fetch`, `code_execution`, `tool_search`, `mcp`
    std::size_t index = 0;  ///< in the request's `tools`
    std::int64_t calls = 0;
    std::int64_t tokens_per_call = 0;
    std::optional<Usdc> fee{};  ///< of the route; nothing: the price book's
    bool write_calls = false;   ///< `max_uses` must be written into the request
};

/// What a request's tools can add to its one pass.
struct AnthropicTools {
    std::int64_t client_tokens = 0;  ///< definitions that the provider writes for tools that the client runs
    std::vector<ServerTool> server{};
    std::int64_t more_passes = 0;  ///< in which a tool's results are only worked on
    std::map<std::string, Usdc> route_fees{};

    [[nodiscard]] std::int64_t calls() const;
    [[nodiscard]] std::int64_t tokens_per_call() const;
};

/// Refusals: `bad_request`, and `price_unknown` for a tool that nobody bounds.
[[nodiscard]] std::expected<AnthropicTools, Refusal> read_anthropic_tools(const nlohmann::json& body,
                                                                          const MeterTerms& terms);

/// The request's `tools` with the `max_uses` that the tools were bounded by; nothing: they stay as they are.
[[nodiscard]] std::optional<std::string> write_max_uses(const AnthropicTools& tools, std::string_view body);

}  // namespace nomiqon::metering
