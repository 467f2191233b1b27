#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nomiqon {

/// An IPv4 or IPv6 address. IPv4-mapped IPv6 (`::ffff:a.b.c.d`) is kept as IPv6 and judged by its IPv4 part.
class IpAddress {
  public:
    static IpAddress v4(std::array<std::uint8_t, 4> bytes);
    static IpAddress v6(std::array<std::uint8_t, 16> bytes);
    /// As inet_pton(3) reads it; no brackets, no zone.
    static std::optional<IpAddress> parse(std::string_view text);

    [[nodiscard]] bool is_v4() const { return v4_; }
    /// Of IPv4 the first 4.
    [[nodiscard]] const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
    [[nodiscard]] std::string to_string() const;  ///< RFC 5952
    friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

  private:
    std::array<std::uint8_t, 16> bytes_{};
    bool v4_ = true;
};

/// A CIDR block, such as `127.0.0.0/8` or `fd00::/8`. Host bits must be zero.
class IpNetwork {
  public:
    static std::optional<IpNetwork> parse(std::string_view text);
    [[nodiscard]] bool contains(const IpAddress& address) const;
    [[nodiscard]] std::string to_string() const;

  private:
    IpNetwork(IpAddress base, int prefix) : base_(base), prefix_(prefix) {}
    IpAddress base_;
    int prefix_ = 0;
};

/// Decides which addresses the gateway may connect to.
///
/// Refused unless named: loopback, private, link-local (cloud metadata among them, Azure's public one too),
/// carrier NAT, multicast, reserved, unspecified, documentation and benchmark ranges, unique-local IPv6 with
/// Amazon's fd00:ec2::254, all IPv6 outside 2000::/3, Teredo and local NAT64 (64:ff9b:1::/48) altogether, and
/// every other IPv6 form that carries an IPv4 address (mapped, compatible, NAT64, 6to4) of which the inner
/// one is refused. A named IPv4 network admits its mapped form as well, and no other. Immutable; free to
/// share between threads.
class AddressGuard {
  public:
    explicit AddressGuard(std::vector<IpNetwork> allowed) : allowed_(std::move(allowed)) {}
    [[nodiscard]] bool permits(const IpAddress& address) const;

  private:
    std::vector<IpNetwork> allowed_;
};

}  // namespace nomiqon
