#pragma once

#include <compare>
#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace nomiqon {

/// A host as the gateway compares it: a DNS name in lower-case A-labels (IDNA 2008, UTS 46 non-transitional)
/// without trailing dot, or an IP literal in its one canonical spelling, IPv6 in brackets.
///
/// Refused: empty or over-long names and labels, characters outside letters, digits, `-` and `_`, a name
/// whose last label is numeric but which is no canonical dotted IPv4 (`127.1`, `0x7f.1`, `2130706433`,
/// `010.0.0.1`), IPv6 without brackets, in another spelling than RFC 5952's, or with a zone. The error is a
/// sentence for the log.
class HostName {
  public:
    static std::expected<HostName, std::string> parse(std::string_view text);

    [[nodiscard]] const std::string& str() const { return text_; }
    [[nodiscard]] bool is_ip_literal() const { return ip_literal_; }

    friend auto operator<=>(const HostName&, const HostName&) = default;

  private:
    HostName(std::string text, bool ip_literal) : text_(std::move(text)), ip_literal_(ip_literal) {}
    std::string text_;
    bool ip_literal_ = false;
};

/// `1*5DIGIT` without leading zero, 1–65535.
[[nodiscard]] std::optional<std::uint16_t> parse_port(std::string_view text) noexcept;

/// A host and a port: where a request goes.
struct Endpoint {
    HostName host;
    std::uint16_t port = 0;

    /// `host:port`; without port only where `default_port` is given.
    static std::expected<Endpoint, std::string> parse(
        std::string_view text, std::optional<std::uint16_t> default_port = std::nullopt);
    [[nodiscard]] std::string to_string() const { return host.str() + ':' + std::to_string(port); }
    friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

enum class Scheme : std::uint8_t { http, https };
[[nodiscard]] constexpr std::string_view to_string(Scheme scheme) {
    return scheme == Scheme::http ? "http" : "https";
}
[[nodiscard]] constexpr std::uint16_t default_port(Scheme scheme) {
    return scheme == Scheme::http ? 80 : 443;
}

}  // namespace nomiqon

template <>
struct std::hash<nomiqon::HostName> {
    std::size_t operator()(const nomiqon::HostName& host) const noexcept {
        return std::hash<std::string>{}(host.str());
    }
};
