#include "router.h"

#include <array>
#include <optional>
#include <ranges>

#include "input.h"

namespace nomiqon::admin {
namespace {

/// Parts of the published API that this version does not have: said by name, so that nobody looks for a
/// typing error.
constexpr std::array<std::string_view, 3> not_in_this_version{"/v1/webhooks", "/v1/events", "/v1/spend"};

std::vector<std::string_view> segments(std::string_view path) {
    std::vector<std::string_view> result;
    for (const auto part : std::views::split(path, '/'))
        result.emplace_back(part.begin(), part.end());
    return result;
}

std::optional<std::vector<std::string>> match(std::string_view pattern,
                                              const std::vector<std::string_view>& path) {
    const auto parts = segments(pattern);
    if (parts.size() != path.size()) return std::nullopt;
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (!parts[i].starts_with('{')) {
            if (parts[i] != path[i]) return std::nullopt;
            continue;
        }
        auto id = percent_decode(path[i], false);
        if (!id || id->empty()) return std::nullopt;
        ids.push_back(*std::move(id));
    }
    return ids;
}

}  // namespace

Result<Match> find_route(std::string_view method, std::string_view path) {
    const auto parts = segments(path);
    std::string allowed;
    for (const auto& route : routes()) {
        auto ids = match(route.pattern, parts);
        if (!ids) continue;
        if (route.method == method) return Match{&route, *std::move(ids)};
        allowed += (allowed.empty() ? "" : ", ") + std::string{route.method};
    }
    if (!allowed.empty()) {
        return std::unexpected(ApiError{
            .code = "method_not_allowed", .message = "this path takes " + allowed, .allow = allowed});
    }
    for (const auto prefix : not_in_this_version) {
        if (path == prefix || path.starts_with(std::string{prefix} + '/')) {
            return std::unexpected(not_found(std::string{prefix} + " is not in this version of the gateway"));
        }
    }
    return std::unexpected(not_found("there is no such path; /openapi.json lists them"));
}

}  // namespace nomiqon::admin
