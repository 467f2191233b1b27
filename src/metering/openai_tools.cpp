#include "openai_tools.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "items.h"
#include "request_reader.h"
#include "usage_reader.h"

namespace nomiqon::metering {
namespace {

using Json = nlohmann::json;

// Web search at the book's fee alone: five calls answer most questions, and a search's results were 3,000 to
// 8,000 tokens (OpenAI bills the small models a block of 8,000). A route that wants more says so.
constexpr std::int64_t shipped_calls = 5;
constexpr std::int64_t shipped_tokens_per_call = 10'000;

// More than anything costs; keeps products of what a route configures within 64 bits.
constexpr std::int64_t most_calls = 10'000;

struct Hosted {
    std::string_view starts;  ///< of the tool's type, which may carry a version
    std::string_view name;
};
constexpr auto hosted = std::to_array<Hosted>({
    {"web_search", item_web_search},
    {"file_search", item_file_search},
    {"code_interpreter", item_code_interpreter},
    {"image_generation", "image_generation"},
    {"computer", "computer"},
    {"mcp", "mcp"},
});

/// Tools that the client runs: the model only writes the call.
bool is_clients(const Json& tool, std::string_view type) {
    if (type == "function" || type == "custom" || type == "local_shell" || type == "apply_patch") return true;
    if (type == "tool_search") return read_name(tool, "execution") == "client";
    if (type != "shell") return false;
    const auto environment = tool.find("environment");
    return environment != tool.end() && environment->is_object() &&
           read_name(*environment, "type") == "local";
}

std::string_view name_of_hosted(std::string_view type) {
    const auto* const found =
        std::ranges::find_if(hosted, [&](const Hosted& row) { return type.starts_with(row.starts); });
    return found == hosted.end() ? type : found->name;
}

}  // namespace

std::expected<void, Refusal> OpenAiTools::add(std::string_view name, const MeterTerms& terms,
                                              const ModelPrice& model, bool from_book) {
    std::int64_t calls = shipped_calls;
    std::int64_t tokens = shipped_tokens_per_call;
    if (const auto route = terms.tools.find(std::string{name}); route != terms.tools.end()) {
        route_fees.emplace(name, route->second.fee);
        calls = std::clamp<std::int64_t>(route->second.max_calls, 1, most_calls);
        tokens = std::max<std::int64_t>(0, route->second.tokens_per_call);
    } else if (const auto fee = model.item_fee(name); fee && from_book && name == item_web_search) {
        book_fees.emplace(name, *fee);
    } else {
        return std::unexpected(price_unknown("the provider runs the tool " + std::string{name.substr(0, 64)} +
                                             ", for which neither route nor price book has terms"));
    }
    // One limit holds for all of them (`max_tool_calls`), so it is the tightest.
    max_calls = max_calls == 0 ? calls : std::min(max_calls, calls);
    tokens_per_call = std::max(tokens_per_call, tokens);
    return {};
}

void OpenAiTools::bound_calls(OpenAiBound& bound, std::int64_t most) const {
    if (max_calls == 0) return;
    const std::int64_t input = std::min(most, bound.input);
    std::int64_t sum = 0;
    for (std::int64_t call = 0; call <= max_calls; ++call) {
        const std::int64_t grown =
            tokens_per_call > most / (call + 1) ? most : input + call * tokens_per_call;
        if (__builtin_add_overflow(sum, std::min(most, grown), &sum)) break;  // beyond what any price holds
    }
    bound.input = sum;
    const auto dearest = [](const auto& fees) {
        return std::ranges::max_element(fees, {}, [](const auto& fee) { return fee.second; });
    };
    const auto route = dearest(route_fees);
    const auto book = dearest(book_fees);
    if (book != book_fees.end() && (route == route_fees.end() || book->second >= route->second)) {
        bound.items[book->first] = max_calls;
    } else {
        bound.fees.push_back({.item = route->first, .count = max_calls, .fee = route->second});
    }
}

std::expected<void, Refusal> read_tools(const Json& tools, const MeterTerms& terms, const ModelPrice& model,
                                        bool from_book, OpenAiTools& found) {
    if (tools.is_null()) return {};
    if (!tools.is_array()) return std::unexpected(bad_request("tools is no array"));
    for (const Json& tool : tools) {
        const auto member = tool.is_object() ? tool.find("type") : tool.end();
        if (!tool.is_object() || member == tool.end() || !member->is_string()) {
            return std::unexpected(bad_request("a tool has no type"));
        }
        const auto& type = member->get_ref<const std::string&>();
        if (type == "namespace") {
            const auto inner = tool.find("tools");
            if (inner == tool.end()) continue;
            if (auto read = read_tools(*inner, terms, model, from_book, found); !read) return read;
        } else if (!is_clients(tool, type)) {
            if (auto added = found.add(name_of_hosted(type), terms, model, from_book); !added) return added;
        }
    }
    return {};
}

std::string tool_of_item(const Json& item, const std::map<std::string, Usdc>& route_fees) {
    constexpr std::string_view suffix = "_call";
    std::string name = read_name(item, "type");
    if (!name.ends_with(suffix)) return {};
    name.resize(name.size() - suffix.size());
    constexpr auto clients = std::to_array<std::string_view>(
        {"function", "custom_tool", "local_shell", "shell", "apply_patch", "computer", "tool_search"});
    if (std::ranges::find(clients, name) != clients.end() && !route_fees.contains(name)) return {};
    // Opening and reading a page that a search found is no search.
    const auto action = item.find("action");
    if (name == item_web_search && action != item.end() && action->is_object()) {
        const std::string kind = read_name(*action, "type");
        if (!kind.empty() && kind != "search") return {};
    }
    return name;
}

}  // namespace nomiqon::metering
