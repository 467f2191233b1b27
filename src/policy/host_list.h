#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nomiqon/core/host.h"
#include "nomiqon/core/host_pattern.h"

namespace nomiqon::policy {

/// The hosts of an allowlist or a blocklist, for look-ups that don't grow with its length. Filled once, then
/// read.
class HostList {
  public:
    /// Ports that an entry speaks of.
    struct Ports {
        bool unnamed = false;              ///< there is an entry without a port
        std::vector<std::uint16_t> named;  ///< sorted once `seal` was called
    };

    void add(const HostPattern& pattern);
    void seal();  ///< after the last `add`

    /// Whether an entry takes this host and `accepts` says so of its ports. `*` takes addresses only where
    /// `star_takes_addresses`.
    template <typename Accepts>
    [[nodiscard]] bool contains(const HostName& host, bool star_takes_addresses,
                                const Accepts& accepts) const {
        std::string_view name = host.str();
        if (holds(exact_, name, accepts)) return true;
        if ((!host.is_ip_literal() || star_takes_addresses) && accepts(any_)) return true;
        if (host.is_ip_literal() || below_.empty()) return false;
        for (auto dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
            name.remove_prefix(dot + 1);
            if (holds(below_, name, accepts)) return true;
        }
        return false;
    }

  private:
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };
    using Index = std::unordered_map<std::string, Ports, TextHash, std::equal_to<>>;

    template <typename Accepts>
    [[nodiscard]] static bool holds(const Index& index, std::string_view name, const Accepts& accepts) {
        const auto found = index.find(name);
        return found != index.end() && accepts(found->second);
    }

    Index exact_;
    Index below_;
    Ports any_;
};

}  // namespace nomiqon::policy
