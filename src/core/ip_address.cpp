// IP addresses, networks (RFC 4632 notation), and which of them the gateway may connect to. The ranges are
// those of IANA's special-purpose address registries (RFC 6890) that are not globally reachable or not meant
// for unicast.

#include "nomiqon/core/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <algorithm>

namespace nomiqon {
namespace {

using V4 = std::array<std::uint8_t, 4>;
using V6 = std::array<std::uint8_t, 16>;

bool same_prefix(const V6& a, const V6& b, int bits) {
    const auto whole = static_cast<std::size_t>(bits / 8);
    if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
    const int rest = bits % 8;
    return rest == 0 || (a[whole] >> (8 - rest)) == (b[whole] >> (8 - rest));
}

template <std::size_t Size>
struct Range {
    std::array<std::uint8_t, Size> base;
    int prefix;
};

constexpr auto refused_v4 = std::to_array<Range<4>>({
    {{0, 0, 0, 0}, 8},         // this network (RFC 791)
    {{10, 0, 0, 0}, 8},        // private (RFC 1918)
    {{100, 64, 0, 0}, 10},     // carrier NAT (RFC 6598); Alibaba's metadata is in it
    {{127, 0, 0, 0}, 8},       // loopback (RFC 1122)
    {{168, 63, 129, 16}, 32},  // Azure's metadata and platform service, a public address
    {{169, 254, 0, 0}, 16},    // link-local (RFC 3927), the usual cloud metadata
    {{172, 16, 0, 0}, 12},     // private
    {{192, 0, 0, 0}, 24},      // IETF protocol assignments (RFC 6890); Oracle's metadata is in it
    {{192, 0, 2, 0}, 24},      // documentation (RFC 5737)
    {{192, 88, 99, 0}, 24},    // 6to4 relay anycast, deprecated (RFC 7526)
    {{192, 168, 0, 0}, 16},    // private
    {{198, 18, 0, 0}, 15},     // benchmarking (RFC 2544)
    {{198, 51, 100, 0}, 24},   // documentation
    {{203, 0, 113, 0}, 24},    // documentation
    {{224, 0, 0, 0}, 4},       // multicast (RFC 5771)
    {{240, 0, 0, 0}, 4},       // reserved (RFC 1112), and the limited broadcast
});

/// Inside global unicast; what lies outside of it is refused as a whole.
constexpr auto refused_v6 = std::to_array<Range<16>>({
    {{0x20, 0x01}, 23},              // IETF protocol assignments (RFC 2928): Teredo, benchmarking, ORCHID
    {{0x20, 0x01, 0x0d, 0xb8}, 32},  // documentation (RFC 3849)
    {{0x3f, 0xff}, 20},              // documentation (RFC 9637)
});
/// The only IPv6 that is assigned for global unicast (RFC 4291). Outside are loopback, unspecified,
/// unique-local fc00::/7 with Amazon's fd00:ec2::254, link-local fe80::/10, site-local fec0::/10, multicast
/// ff00::/8, discard-only 100::/64, local NAT64 64:ff9b:1::/48 (RFC 8215), segment routing 5f00::/16, and the
/// unassigned.
constexpr Range<16> global_unicast{{0x20}, 3};

/// IPv6 that stands for an IPv4 address, which is then judged in its place.
struct Carrier {
    Range<16> range;
    std::size_t offset;  ///< of the IPv4 address, in bytes
};
constexpr auto carriers = std::to_array<Carrier>({
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12},  // IPv4-mapped (RFC 4291)
    {{{}, 96}, 12},                        // IPv4-compatible (RFC 4291); ::1 and :: as 0.0.0.x
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},  // NAT64 (RFC 6052)
    {{{0x20, 0x02}, 16}, 2},               // 6to4 (RFC 3056)
});
constexpr const Carrier& mapped = carriers[0];

V4 first_four(const V6& bytes) {
    return {bytes[0], bytes[1], bytes[2], bytes[3]};
}

V6 widened(const V4& bytes) {
    return {bytes[0], bytes[1], bytes[2], bytes[3]};
}

V4 carried(const V6& bytes, std::size_t offset) {
    return {bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]};
}

bool is_public_v4(const V4& bytes) {
    return std::ranges::none_of(refused_v4, [&](const Range<4>& range) {
        return same_prefix(widened(bytes), widened(range.base), range.prefix);
    });
}

bool is_public_v6(const V6& bytes) {
    for (const auto& [range, offset] : carriers) {
        if (same_prefix(bytes, range.base, range.prefix)) return is_public_v4(carried(bytes, offset));
    }
    return same_prefix(bytes, global_unicast.base, global_unicast.prefix) &&
           std::ranges::none_of(refused_v6, [&](const Range<16>& range) {
               return same_prefix(bytes, range.base, range.prefix);
           });
}

}  // namespace

IpAddress IpAddress::v4(std::array<std::uint8_t, 4> bytes) {
    IpAddress address;
    address.bytes_ = widened(bytes);
    return address;
}

IpAddress IpAddress::v6(std::array<std::uint8_t, 16> bytes) {
    IpAddress address;
    address.bytes_ = bytes;
    address.v4_ = false;
    return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    // inet_pton reads to the first NUL, which a text from outside may hold.
    if (text.size() >= INET6_ADDRSTRLEN || text.contains('\0')) return std::nullopt;
    const std::string terminated{text};
    V4 four{};
    if (inet_pton(AF_INET, terminated.c_str(), four.data()) == 1) return v4(four);
    V6 sixteen{};
    if (inet_pton(AF_INET6, terminated.c_str(), sixteen.data()) == 1) return v6(sixteen);
    return std::nullopt;
}

std::string IpAddress::to_string() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(v4_ ? AF_INET : AF_INET6, bytes_.data(), text.data(), text.size());
    return text.data();
}

std::optional<IpNetwork> IpNetwork::parse(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return std::nullopt;
    const auto base = IpAddress::parse(text.substr(0, slash));
    const std::string_view digits = text.substr(slash + 1);
    if (!base || digits.empty() || digits.size() > 3 || (digits.size() > 1 && digits[0] == '0'))
        return std::nullopt;
    int prefix = 0;
    for (const char c : digits) {
        if (c < '0' || c > '9') return std::nullopt;
        prefix = prefix * 10 + (c - '0');
    }
    const int width = base->is_v4() ? 32 : 128;
    if (prefix > width) return std::nullopt;
    for (int bit = prefix; bit < width; ++bit) {
        if ((base->bytes()[static_cast<std::size_t>(bit / 8)] >> (7 - bit % 8) & 1) != 0) return std::nullopt;
    }
    return IpNetwork{*base, prefix};
}

bool IpNetwork::contains(const IpAddress& address) const {
    return address.is_v4() == base_.is_v4() && same_prefix(address.bytes(), base_.bytes(), prefix_);
}

std::string IpNetwork::to_string() const {
    return base_.to_string() + '/' + std::to_string(prefix_);
}

bool AddressGuard::permits(const IpAddress& address) const {
    const auto named = [&](const IpAddress& candidate) {
        return std::ranges::any_of(allowed_,
                                   [&](const IpNetwork& network) { return network.contains(candidate); });
    };
    if (named(address)) return true;
    if (address.is_v4()) return is_public_v4(first_four(address.bytes()));
    if (same_prefix(address.bytes(), mapped.range.base, mapped.range.prefix) &&
        named(IpAddress::v4(carried(address.bytes(), mapped.offset)))) {
        return true;
    }
    return is_public_v6(address.bytes());
}

}  // namespace nomiqon
