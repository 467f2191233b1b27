#include "nomiqon/core/ip_address.h"

#include <gtest/gtest.h>
#include <initializer_list>

namespace nomiqon {
namespace {

AddressGuard allowing(std::initializer_list<std::string_view> networks) {
    std::vector<IpNetwork> parsed;
    for (const auto text : networks)
        parsed.push_back(IpNetwork::parse(text).value());
    return AddressGuard{std::move(parsed)};
}

bool permits(const AddressGuard& guard, std::string_view address) {
    return guard.permits(IpAddress::parse(address).value());
}

TEST(IpAddress, ReadsAndWritesTheCanonicalForm) {
    for (const std::string_view text : {"0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "::1", "2001:db8::1",
                                        "::ffff:1.2.3.4", "fe80::1", "2001:db8:0:1:1:1:1:1"}) {
        const auto address = IpAddress::parse(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(address->to_string(), text);
    }
    EXPECT_EQ(IpAddress::parse("2001:DB8:0:0:0:0:0:1")->to_string(), "2001:db8::1");
    EXPECT_EQ(IpAddress::v4({127, 0, 0, 1}), IpAddress::parse("127.0.0.1"));
    EXPECT_NE(IpAddress::parse("::ffff:127.0.0.1"), IpAddress::parse("127.0.0.1"));
}

TEST(IpAddress, RefusesEverythingElse) {
    for (const std::string_view text :
         {"", "127.1", "127.0.0.01", "0x7f.0.0.1", "256.0.0.1", "1.2.3.4.5", "[::1]", "fe80::1%eth0", ":",
          ":::", "1:2", "localhost", " 127.0.0.1", "127.0.0.1 "}) {
        EXPECT_FALSE(IpAddress::parse(text)) << text;
    }
    EXPECT_FALSE(IpAddress::parse(std::string_view{"127.0.0.1\0x", 11}));
    EXPECT_FALSE(IpAddress::parse(std::string(100'000, '1')));
}

TEST(IpNetwork, NeedsAPrefixAndZeroHostBits) {
    for (const std::string_view text : {"127.0.0.0/8", "0.0.0.0/0", "10.1.2.3/32", "::/0", "fd00::/8",
                                        "::1/128", "128.0.0.0/1", "10.1.2.2/31"}) {
        const auto network = IpNetwork::parse(text);
        ASSERT_TRUE(network) << text;
        EXPECT_EQ(network->to_string(), text);
    }
    for (const std::string_view text : {"127.0.0.1/8", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08",
                                        "::/129", "fd00::1/8", "10.0.0.0/-1", "10.0.0.0/8/8", "/8",
                                        "10.1.2.3/31", "10/8", "10.0.0.0/ 8", "::/1000", "10.0.0.0/+8"}) {
        EXPECT_FALSE(IpNetwork::parse(text)) << text;
    }
}

TEST(IpNetwork, ContainsItsOwnFamilyToTheBit) {
    const auto network = IpNetwork::parse("172.16.0.0/12").value();
    EXPECT_TRUE(network.contains(*IpAddress::parse("172.16.0.0")));
    EXPECT_TRUE(network.contains(*IpAddress::parse("172.31.255.255")));
    EXPECT_FALSE(network.contains(*IpAddress::parse("172.32.0.0")));
    EXPECT_FALSE(network.contains(*IpAddress::parse("172.15.255.255")));
    EXPECT_TRUE(IpNetwork::parse("0.0.0.0/0")->contains(*IpAddress::parse("1.2.3.4")));
    EXPECT_FALSE(IpNetwork::parse("0.0.0.0/0")->contains(*IpAddress::parse("::")));
    EXPECT_FALSE(IpNetwork::parse("::/0")->contains(*IpAddress::parse("0.0.0.0")));
    EXPECT_FALSE(IpNetwork::parse("::1/128")->contains(*IpAddress::parse("::2")));
}

TEST(AddressGuard, PermitsPublicAddresses) {
    const AddressGuard guard{{}};
    for (const std::string_view text :
         {"8.8.8.8",           "1.1.1.1",          "9.255.255.255",        "11.0.0.0",
          "100.63.255.255",    "100.128.0.0",      "126.255.255.255",      "128.0.0.1",
          "169.253.255.255",   "169.255.0.0",      "172.15.255.255",       "172.32.0.0",
          "192.0.1.1",         "192.167.255.255",  "192.169.0.0",          "198.17.255.255",
          "198.20.0.0",        "223.255.255.255",  "168.63.129.15",        "2606:4700::1111",
          "2a00:1450:4001::1", "2001:200::1",      "2001:4860:4860::8888", "2620:fe::fe",
          "::ffff:8.8.8.8",    "64:ff9b::8.8.8.8", "2002:808:808::1"}) {
        EXPECT_TRUE(permits(guard, text)) << text;
    }
}

TEST(AddressGuard, RefusesEverySpecialIpv4Range) {
    const AddressGuard guard{{}};
    for (const std::string_view text :
         {"0.0.0.0",         "0.255.255.255",   "10.0.0.0",    "10.255.255.255",  "100.64.0.0",
          "100.100.100.200", "100.127.255.255", "127.0.0.1",   "127.255.255.255", "168.63.129.16",
          "169.254.169.254", "169.254.0.0",     "172.16.0.0",  "172.31.255.255",  "192.0.0.192",
          "192.0.2.1",       "192.88.99.1",     "192.168.0.0", "192.168.255.255", "198.18.0.0",
          "198.19.255.255",  "198.51.100.1",    "203.0.113.1", "224.0.0.1",       "239.255.255.255",
          "240.0.0.1",       "255.255.255.255"}) {
        EXPECT_FALSE(permits(guard, text)) << text;
        EXPECT_FALSE(permits(guard, "::ffff:" + std::string{text})) << "mapped " << text;
        EXPECT_FALSE(permits(guard, "64:ff9b::" + std::string{text})) << "NAT64 " << text;
        EXPECT_FALSE(permits(guard, "::" + std::string{text})) << "compatible " << text;
    }
}

TEST(AddressGuard, RefusesEverySpecialIpv6Range) {
    const AddressGuard guard{{}};
    for (const std::string_view text : {"::",
                                        "::1",
                                        "fc00::1",
                                        "fd00:ec2::254",
                                        "fdff::1",
                                        "fe80::1",
                                        "febf::1",
                                        "fec0::1",
                                        "ff02::1",
                                        "ff0e::1",
                                        "100::1",
                                        "2001::1",
                                        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
                                        "2001:2::1",
                                        "2001:10::1",
                                        "2001:20::1",
                                        "2001:1ff:ffff::1",
                                        "2001:db8::1",
                                        "3fff::1",
                                        "3fff:fff::1",
                                        "5f00::1",
                                        "64:ff9b:1::8.8.8.8",
                                        "64:ff9b:1::127.0.0.1",
                                        "::ffff:0:127.0.0.1",
                                        "4000::1",
                                        "1fff::1",
                                        "e000::1"}) {
        EXPECT_FALSE(permits(guard, text)) << text;
    }
}

TEST(AddressGuard, Judges6to4ByTheAddressInside) {
    const AddressGuard guard{{}};
    EXPECT_FALSE(permits(guard, "2002:7f00:1::1"));     // 127.0.0.1
    EXPECT_FALSE(permits(guard, "2002:a9fe:a9fe::1"));  // 169.254.169.254
    EXPECT_FALSE(permits(guard, "2002:c0a8:101::"));    // 192.168.1.1
}

TEST(AddressGuard, AllowedNetworkAdmitsItselfAndItsMappedFormOnly) {
    const AddressGuard guard = allowing({"127.0.0.0/8", "fd12::/16"});
    EXPECT_TRUE(permits(guard, "127.0.0.1"));
    EXPECT_TRUE(permits(guard, "::ffff:127.0.0.1"));
    EXPECT_TRUE(permits(guard, "fd12::1"));
    EXPECT_TRUE(permits(guard, "8.8.8.8"));
    for (const std::string_view text :
         {"10.0.0.1", "::1", "::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::1", "fd13::1",
          "fd00:ec2::254", "169.254.169.254", "::ffff:10.0.0.1"}) {
        EXPECT_FALSE(permits(guard, text)) << text;
    }
}

TEST(AddressGuard, AllowedIpv6NetworkAdmitsNoIpv4) {
    const AddressGuard guard = allowing({"::1/128", "64:ff9b::/96"});
    EXPECT_TRUE(permits(guard, "::1"));
    EXPECT_TRUE(permits(guard, "64:ff9b::10.0.0.1"));
    EXPECT_FALSE(permits(guard, "127.0.0.1"));
    EXPECT_FALSE(permits(guard, "10.0.0.1"));
}

}  // namespace
}  // namespace nomiqon
