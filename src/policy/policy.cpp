#include "nomiqon/policy/policy.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "document.h"

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

bool names_port(const HostList::Ports& ports, std::uint16_t port) {
    return std::ranges::binary_search(ports.named, port);
}

/// An entry without a port blocks every port: who blocks a host means the host.
bool is_blocked(const Rules& rules, const Request& request) {
    return rules.blocklist.contains(request.host, true, [&](const HostList::Ports& ports) {
        return ports.unnamed || names_port(ports, request.port);
    });
}

bool is_allowed(const Rules& rules, const Request& request) {
    // An address is reached only when it is listed as such, so never without a list.
    if (!rules.allowlist) return !request.host.is_ip_literal();
    return rules.allowlist->contains(request.host, false, [&](const HostList::Ports& ports) {
        return (ports.unnamed && request.port == default_port(request.scheme)) ||
               names_port(ports, request.port);
    });
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
    if (is_blocked(rules, request)) return RefusalCode::policy_domain_blocked;
    if (!is_allowed(rules, request)) return RefusalCode::policy_domain_blocked;
    return std::nullopt;
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
