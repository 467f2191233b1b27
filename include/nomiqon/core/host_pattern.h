#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "nomiqon/core/host.h"

namespace nomiqon {

/// How allowlists, blocklists and routes name hosts: a host, `*.example.com` (one or more labels below it,
/// not the name itself), or `*`; each may be followed by `:port`. A value type.
///
/// Names are canonicalised as HostName does; an address in another spelling than the canonical one is
/// refused. What a missing port means, and whether `*` takes addresses too, is the list's own affair and not
/// decided here.
struct HostPattern {
    enum class Kind : std::uint8_t { exact, below, any };

    Kind kind = Kind::any;
    std::string host{};       ///< exact: the host; below: what comes after `*.`; any: empty
    bool ip_literal = false;  ///< exact only
    std::optional<std::uint16_t> port{};

    /// `min_suffix_labels`: how many labels must follow `*.`. The error is a sentence for a person.
    static std::expected<HostPattern, std::string> parse(std::string_view text,
                                                         std::size_t min_suffix_labels = 2);

    /// By the name alone, whatever the port. `*.example.com` never takes an address; `*` takes everything.
    [[nodiscard]] bool matches_host(const HostName& name) const;
    /// Whether every host and port that `other` can take is taken by this one (no port: any port).
    [[nodiscard]] bool includes(const HostPattern& other) const;
    [[nodiscard]] std::string host_text() const;  ///< without the port
    [[nodiscard]] std::string to_string() const;

    friend bool operator==(const HostPattern&, const HostPattern&) = default;
};

/// Whether `name` lies below `domain`: at least one more label, divided by a dot.
[[nodiscard]] constexpr bool is_below(std::string_view name, std::string_view domain) {
    return name.size() > domain.size() + 1 && name.ends_with(domain) &&
           name[name.size() - domain.size() - 1] == '.';
}

}  // namespace nomiqon
