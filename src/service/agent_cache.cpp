#include "agent_cache.h"

#include <nlohmann/json.hpp>

#include "nomiqon/core/strict_json.h"

namespace nomiqon::service {
namespace {

std::shared_ptr<const KnownAgent> read(const ledger::AgentSnapshot& snapshot,
                                       const policy::ParseOptions& options) {
    KnownAgent agent{.agent = snapshot.agent, .policy_version = snapshot.policy_version, .policy = nullptr};
    if (const auto document = parse_strict_json(snapshot.policy_document)) {
        if (auto policy = policy::Policy::parse(*document, options)) {
            agent.policy = std::move(*policy);
        } else if (policy::Policy::parse(*document)) {
            // Fine but for what this gateway's own configuration asks of every policy: an allowlist.
            agent.unreadable = RefusalCode::policy_domain_blocked;
        }
    }
    return std::make_shared<const KnownAgent>(std::move(agent));
}

}  // namespace

std::shared_ptr<const KnownAgent> AgentCache::find(const Caid& caid) {
    Shard& shard = shard_of(caid);
    const std::scoped_lock lock{shard.mutex};
    const auto found = shard.agents.find(caid.str());
    return found == shard.agents.end() ? nullptr : found->second;
}

std::shared_ptr<const KnownAgent> AgentCache::put(const Caid& caid, const ledger::AgentSnapshot& snapshot) {
    auto agent = read(snapshot, options_);
    Shard& shard = shard_of(caid);
    const std::scoped_lock lock{shard.mutex};
    if (shard.agents.size() >= bound_) shard.agents.erase(shard.agents.begin());
    shard.agents.insert_or_assign(caid.str(), agent);
    return agent;
}

}  // namespace nomiqon::service
