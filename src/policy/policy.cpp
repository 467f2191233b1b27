#include "nomiqon/policy/policy.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "document.h"
#include "plain_path.h"

namespace nomiqon::policy {

struct Policy::Impl {
    Rules rules;
};

namespace {

bool is_active(const Rules& rules, Time now) {
    if (rules.active_from && now < *rules.active_from) return false;
    if (rules.active_until && now >= *rules.active_until) return false;
    return !rules.active_hours || rules.active_hours->contain(now);
}

Asked asked_of(const HostList& list, const Request& request) {
    return {.request = request, .path = list.has_paths() ? plain_path(request.path) : std::nullopt};
}

/// An entry without a port blocks every port: who blocks a host means the host.
std::optional<RefusalCode> blocked(const HostList& list, const Request& request) {
    const auto asked = asked_of(list, request);
    std::optional<RefusalCode> why;
    list.visit(request.host, true, [&](const HostList::Entries& entries) {
        if (entries.any_port || entries.has_port(request.port)) why = RefusalCode::policy_domain_blocked;
        for (const auto& entry : entries.conditional) {
            if (why) break;
            if (!entry.port || *entry.port == request.port) why = entry.conditions.block(asked);
        }
        return why.has_value();
    });
    return why;
}

/// One entry that permits all of the request is enough.
Reach reach_in(const HostList& list, const Request& request) {
    const auto asked = asked_of(list, request);
    const bool usual_port = request.port == default_port(request.scheme);
    Reach furthest = Reach::nowhere;
    list.visit(request.host, false, [&](const HostList::Entries& entries) {
        if ((entries.any_port && usual_port) || entries.has_port(request.port)) furthest = Reach::allowed;
        for (const auto& entry : entries.conditional) {
            if (furthest == Reach::allowed) break;
            const bool fits = entry.port ? *entry.port == request.port : usual_port;
            if (fits) furthest = std::max(furthest, entry.conditions.permit(asked));
        }
        return furthest == Reach::allowed;
    });
    return furthest;
}

std::optional<RefusalCode> not_allowed(const Rules& rules, const Request& request) {
    // An address is reached only when it is listed as such, so never without a list.
    if (!rules.allowlist) {
        return request.host.is_ip_literal() ? std::optional(RefusalCode::policy_domain_blocked)
                                            : std::nullopt;
    }
    switch (reach_in(*rules.allowlist, request)) {
        case Reach::allowed:
            return std::nullopt;
        case Reach::host:
            return RefusalCode::policy_method_blocked;
        case Reach::model:
            return RefusalCode::policy_model_blocked;
        case Reach::nowhere:
        case Reach::path:
            break;
    }
    return RefusalCode::policy_domain_blocked;
}

}  // namespace

std::expected<std::shared_ptr<const Policy>, PolicyProblem> Policy::parse(const nlohmann::json& document,
                                                                          const ParseOptions& options) {
    auto rules = read_document(document, options);
    if (!rules) return std::unexpected(std::move(rules.error()));
    auto policy = std::make_shared<Policy>();
    policy->impl_->rules = *std::move(rules);
    return policy;
}

Policy::Policy() : impl_(std::make_unique<Impl>()) {}
Policy::~Policy() = default;

std::optional<Usdc> Policy::daily_cap() const {
    return impl_->rules.daily_cap;
}
std::optional<Usdc> Policy::total_cap() const {
    return impl_->rules.total_cap;
}
std::optional<Usdc> Policy::max_per_request() const {
    return impl_->rules.max_per_request;
}
bool Policy::frozen() const {
    return impl_->rules.frozen;
}

std::optional<RefusalCode> Policy::decide(const Request& request, Time now) const {
    const auto& rules = impl_->rules;
    if (rules.frozen) return RefusalCode::agent_frozen;
    if (!is_active(rules, now)) return RefusalCode::policy_inactive;
    if (const auto refusal = blocked(rules.blocklist, request)) return refusal;
    return not_allowed(rules, request);
}

nlohmann::json merge(const nlohmann::json& current, const nlohmann::json& partial) {
    if (!partial.is_object()) return partial;
    auto result = current.is_object() ? current : nlohmann::json::object();
    for (const auto& [name, value] : partial.items()) {
        if (value.is_null()) {
            result.erase(name);
        } else {
            result[name] = value;
        }
    }
    return result;
}

}  // namespace nomiqon::policy
