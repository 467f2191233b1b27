#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>

#include "nomiqon/audit/state.h"

namespace nomiqon::audit {

/// The ids of tokens that were used and could be tried again. They lie by the hour in which they expire, so
/// that a whole hour is forgotten at once.
class UsedTokens {
  public:
    struct Use {
        bool session = false;
        Usdc spent, reserved;
        std::string proven;  ///< of a session: the token whose signature was found good
    };

    /// Nothing where the id is new, or forgotten.
    [[nodiscard]] Use* find(const TokenKey& key);
    Use& add(const TokenKey& key, bool session);
    /// Forgets what expired more than an hour before.
    void forget(std::int64_t now_seconds);
    [[nodiscard]] std::size_t size() const;

  private:
    std::map<std::int64_t, std::unordered_map<std::string, Use>> hours_;
};

}  // namespace nomiqon::audit
