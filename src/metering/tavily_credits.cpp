#include "tavily_credits.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "request_reader.h"

// https://docs.tavily.com/documentation/api-credits, and the references of the endpoints:
//
//   search    1; `advanced` 2; `auto_parameters` may make it advanced
//   extract   1 for every 5 pages; `advanced` 2
//   map       1 for every 10 pages; with `instructions` 2
//   crawl     a map and an extract of the same pages
//   research  15 to 250 with the model `pro`, 4 to 110 with `mini`; `auto` takes either
//
// Tavily counts pages on from one request to the next, so that a request of 1 page may cost what 5 do:
// rounding up each request is what the sum can't exceed.

namespace nomiqon::metering {

namespace {

using nlohmann::json;
using Credits = std::expected<std::int64_t, Refusal>;

constexpr std::int64_t pages_a_map_credit = 10;
constexpr std::int64_t pages_an_extract_credit = 5;

constexpr auto read_members = std::to_array<std::string_view>(
    {"search_depth", "auto_parameters", "include_usage", "urls", "extract_depth", "limit", "max_depth",
     "max_breadth", "instructions", "model", "stream"});

/// Not absent, null or false: whatever else it is, Tavily may take it for true.
bool is_set(const json& request, std::string_view name) {
    const auto found = request.find(name);
    return found != request.end() && !found->is_null() && *found != json(false);
}

/// The name that a request chooses; `otherwise` where it doesn't.
std::expected<std::string, Refusal> read_choice(const json& request, std::string_view name,
                                                std::string_view otherwise) {
    const auto found = request.find(name);
    if (found == request.end() || found->is_null()) return std::string{otherwise};
    if (!found->is_string()) return std::unexpected(bad_request(std::string{name} + " is no text"));
    return found->get<std::string>();
}

/// As `read_limit`; 0 is not allowed there, and may be read as absent.
Credits read_count(const json& request, std::string_view name, std::int64_t otherwise) {
    const auto limit = read_limit(request, name);
    if (!limit) return std::unexpected(limit.error());
    return limit->value_or(0) == 0 ? otherwise : **limit;
}

std::int64_t for_pages(std::int64_t pages, std::int64_t a_credit, std::int64_t credits) {
    return (pages / a_credit + (pages % a_credit == 0 ? 0 : 1)) * credits;
}

/// Credits for as many pages as one costs.
Credits extract_rate(const json& request) {
    const auto depth = read_choice(request, "extract_depth", "basic");
    if (!depth) return std::unexpected(depth.error());
    if (*depth == "basic") return 1;
    if (*depth == "advanced") return 2;
    return std::unexpected(price_unknown("an extract_depth that is not known"));
}

Credits search_credits(const json& request) {
    const auto depth = read_choice(request, "search_depth", "basic");
    if (!depth) return std::unexpected(depth.error());
    if (*depth == "advanced") return 2;
    if (*depth != "basic" && *depth != "fast" && *depth != "ultra-fast") {
        return std::unexpected(price_unknown("a search_depth that is not known"));
    }
    return is_set(request, "auto_parameters") ? 2 : 1;
}

Credits extract_credits(const json& request) {
    const auto urls = request.find("urls");
    if (urls == request.end() || !(urls->is_string() || urls->is_array())) {
        return std::unexpected(bad_request("urls is neither a text nor a list"));
    }
    const auto rate = extract_rate(request);
    if (!rate) return rate;
    const auto pages = urls->is_array() ? static_cast<std::int64_t>(urls->size()) : 1;
    return for_pages(std::max<std::int64_t>(pages, 1), pages_an_extract_credit, *rate);
}

/// The page itself and what is reached from it, level by level, until the limit.
Credits most_pages(const json& request) {
    constexpr std::int64_t deepest = 5;
    const auto limit = read_count(request, "limit", 50);
    if (!limit) return limit;
    const auto depth = read_count(request, "max_depth", 1);
    if (!depth) return depth;
    const auto breadth = read_count(request, "max_breadth", 20);
    if (!breadth) return breadth;
    if (*depth > deepest) return *limit;
    std::int64_t pages = 1;
    std::int64_t level = 1;
    for (std::int64_t i = 0; i < *depth; ++i) {
        if (__builtin_mul_overflow(level, *breadth, &level) || __builtin_add_overflow(pages, level, &pages)) {
            return *limit;
        }
    }
    return std::min(pages, *limit);
}

Credits map_credits(const json& request) {
    const auto pages = most_pages(request);
    if (!pages) return pages;
    return for_pages(*pages, pages_a_map_credit, is_set(request, "instructions") ? 2 : 1);
}

Credits crawl_credits(const json& request) {
    const auto map = map_credits(request);
    if (!map) return map;
    const auto rate = extract_rate(request);
    if (!rate) return rate;
    return *map + for_pages(*most_pages(request), pages_an_extract_credit, *rate);
}

Credits research_credits(const json& request) {
    constexpr std::int64_t of_mini = 110;
    constexpr std::int64_t of_pro = 250;
    const auto model = read_choice(request, "model", "auto");
    if (!model) return std::unexpected(model.error());
    if (*model == "mini") return of_mini;
    if (*model == "pro" || *model == "auto") return of_pro;
    return std::unexpected(price_unknown("a model of research that is not known"));
}

}  // namespace

Credits most_credits(TavilyCall call, const json& request) {
    if (auto checked = check_spelling(request, read_members); !checked) {
        return std::unexpected(checked.error());
    }
    switch (call) {
        case TavilyCall::free:
            return 0;
        case TavilyCall::search:
            return search_credits(request);
        case TavilyCall::extract:
            return extract_credits(request);
        case TavilyCall::map:
            return map_credits(request);
        case TavilyCall::crawl:
            return crawl_credits(request);
        case TavilyCall::research:
            return research_credits(request);
    }
    std::unreachable();
}

}  // namespace nomiqon::metering
