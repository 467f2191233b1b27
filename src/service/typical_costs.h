#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "nomiqon/core/ids.h"
#include "nomiqon/core/usdc.h"

namespace nomiqon::service {

/// What an agent's requests to a model of a host have cost, as shares of what each could have cost at most;
/// so that the next one need not hold its whole bound. A hint, in memory: a restart begins with bounds, and
/// the ledger limits how far holds stay below them. Thread-safe: one lock, held for a look-up in a hash table
/// and the copy of a window.
class TypicalCosts {
  public:
    /// Fewer costs than `lessons` say nothing; the last `window` of them count.
    static constexpr std::size_t lessons = 20;
    static constexpr std::size_t window = 64;

    /// Beyond `kinds` (at least one) the kind that was unused longest is forgotten.
    explicit TypicalCosts(std::size_t kinds) : most_(kinds == 0 ? 1 : kinds) {}

    /// The kind of request that costs are told of. `model` is a name of the price book, so its length is
    /// bounded.
    [[nodiscard]] static std::string kind(const AgentId& agent, std::string_view host,
                                          std::string_view model);

    /// What 95 of 100 such requests with this bound cost at most (nearest rank); at most `bound`. Nothing
    /// while too little is known.
    [[nodiscard]] std::optional<Usdc> typical(const std::string& kind, Usdc bound);

    /// A request's final cost, by the usage that its answer told. A cost of 0 teaches nothing: an answer that
    /// did no work (a 4xx, a 429) says nothing of one that does, and costs an agent nothing to collect.
    void learn(const std::string& kind, Usdc bound, Usdc cost);

  private:
    struct Kind {
        std::string name;
        std::array<std::uint32_t, window> shares{};  // millionths of the bound, rounded up; a ring
        std::size_t count = 0;
        std::size_t next = 0;
    };
    using Kinds = std::list<Kind>;  // the one used last stands first

    Kind* find(const std::string& kind);
    Kind& find_or_add(const std::string& kind);

    const std::size_t most_;
    std::mutex mutex_;
    Kinds kinds_;
    std::unordered_map<std::string_view, Kinds::iterator> places_;  // views of the names in `kinds_`
};

}  // namespace nomiqon::service
