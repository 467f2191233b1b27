#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nomiqon/core/refusal.h"
#include "nomiqon/policy/policy.h"
#include "text_patterns.h"

namespace nomiqon::policy {

/// How far a request comes in an allowlist; the refusal names what stopped it at its furthest.
enum class Reach : std::uint8_t { nowhere, host, path, model, allowed };

/// A request as entries see it: what is worked out once for all of them.
struct Asked {
    const Request& request;
    std::optional<std::string> path;  ///< its plain path; nothing where readers differ

    /// Nothing of what goes through a tunnel is seen.
    [[nodiscard]] bool is_opaque() const { return request.path.empty(); }
};

/// What an entry says beside its host. What is missing takes everything.
struct Conditions {
    std::optional<std::vector<std::string>> methods{};
    std::optional<TextPatterns> paths{};  ///< plain ones; folded in a blocklist
    std::optional<TextPatterns> models{};

    [[nodiscard]] bool empty() const { return !methods && !paths && !models; }
    /// How far an entry of the allowlist with these conditions, whose host fits, lets the request come.
    [[nodiscard]] Reach permit(const Asked& asked) const;
    /// Why an entry of the blocklist with these conditions, whose host fits, refuses the request.
    [[nodiscard]] std::optional<RefusalCode> block(const Asked& asked) const;

  private:
    [[nodiscard]] bool model_permits(const Request& request) const;
    [[nodiscard]] bool model_blocks(const Request& request) const;
};

}  // namespace nomiqon::policy
