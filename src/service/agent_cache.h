#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "nomiqon/core/caid.h"
#include "nomiqon/ledger/ledger.h"
#include "nomiqon/policy/policy.h"

namespace nomiqon::service {

/// An agent as it was when it was last looked up. A hint: the reservation rechecks all of it.
struct KnownAgent {
    AgentId agent;
    std::int32_t policy_version = 0;
    std::shared_ptr<const policy::Policy> policy;  ///< null when this gateway can't apply the document
    RefusalCode unreadable = RefusalCode::ledger_unavailable;  ///< what is said then
};

/// Agents by CAID, bounded; what is thrown away is looked up again. Thread-safe: a few locks that are held
/// for a look-up in a hash table.
class AgentCache {
  public:
    AgentCache(std::size_t bound, policy::ParseOptions options)
        : bound_(bound / shards + 1), options_(options) {}

    [[nodiscard]] std::shared_ptr<const KnownAgent> find(const Caid& caid);
    std::shared_ptr<const KnownAgent> put(const Caid& caid, const ledger::AgentSnapshot& snapshot);

  private:
    static constexpr std::size_t shards = 16;
    struct Shard {
        std::mutex mutex;
        std::unordered_map<std::string, std::shared_ptr<const KnownAgent>> agents;
    };
    Shard& shard_of(const Caid& caid) { return shards_[caid.public_key()[0] % shards]; }

    const std::size_t bound_;
    const policy::ParseOptions options_;
    std::array<Shard, shards> shards_;
};

}  // namespace nomiqon::service
