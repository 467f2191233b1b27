#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "entry.h"
#include "nomiqon/core/host.h"
#include "nomiqon/core/host_pattern.h"

namespace nomiqon::policy {

/// The entries of an allowlist or a blocklist, for look-ups that don't grow with its length. Filled once,
/// then read.
class HostList {
  public:
    /// Entries with conditions of one host: these are gone through one by one.
    static constexpr std::size_t most_conditional = 64;

    /// What is said of one host, or of all hosts below it.
    struct Entries {
        struct Conditional {
            std::optional<std::uint16_t> port;
            Conditions conditions;
        };
        bool any_port = false;             ///< there is an entry of the host alone without a port
        std::vector<std::uint16_t> ports;  ///< of those with one; sorted once `seal` was called
        std::vector<Conditional> conditional;

        [[nodiscard]] bool has_port(std::uint16_t port) const;
    };

    /// False: the host has too many entries with conditions already.
    [[nodiscard]] bool add(const HostPattern& pattern, Conditions conditions);
    void seal();  ///< after the last `add`
    [[nodiscard]] bool has_paths() const { return has_paths_; }

    /// Shows `done` the entries that take this host, until it returns true. `*` takes addresses only where
    /// `star_takes_addresses`.
    template <typename Done>
    void visit(const HostName& host, bool star_takes_addresses, const Done& done) const {
        std::string_view name = host.str();
        if (shows(exact_, name, done)) return;
        if ((!host.is_ip_literal() || star_takes_addresses) && done(any_)) return;
        if (host.is_ip_literal() || below_.empty()) return;
        for (auto dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
            name.remove_prefix(dot + 1);
            if (shows(below_, name, done)) return;
        }
    }

  private:
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept {
            return std::hash<std::string_view>{}(text);
        }
    };
    using Index = std::unordered_map<std::string, Entries, TextHash, std::equal_to<>>;

    template <typename Done>
    [[nodiscard]] static bool shows(const Index& index, std::string_view name, const Done& done) {
        const auto found = index.find(name);
        return found != index.end() && done(found->second);
    }

    Index exact_;
    Index below_;
    Entries any_;
    bool has_paths_ = false;
};

}  // namespace nomiqon::policy
