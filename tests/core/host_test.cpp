#include "nomiqon/core/host.h"

#include <gtest/gtest.h>
#include <string>

namespace nomiqon {
namespace {

std::string host(std::string_view text) {
    const auto parsed = HostName::parse(text);
    return parsed ? parsed->str() : "refused";
}

std::string endpoint(std::string_view text, std::optional<std::uint16_t> port = std::nullopt) {
    const auto parsed = Endpoint::parse(text, port);
    return parsed ? parsed->to_string() : "refused";
}

TEST(HostName, BringsNamesToOneSpelling) {
    EXPECT_EQ(host("api.openai.com"), "api.openai.com");
    EXPECT_EQ(host("API.OpenAI.com"), "api.openai.com");
    EXPECT_EQ(host("api.openai.com."), "api.openai.com");
    EXPECT_EQ(host("localhost"), "localhost");
    EXPECT_EQ(host("_dmarc.example.com"), "_dmarc.example.com");
    EXPECT_EQ(host("r3---sn-4g5e6nez.googlevideo.com"), "r3---sn-4g5e6nez.googlevideo.com");
    EXPECT_EQ(host("1password.com"), "1password.com");
    EXPECT_EQ(host("a.b1"), "a.b1");
    EXPECT_FALSE(HostName::parse("api.openai.com")->is_ip_literal());
}

TEST(HostName, MapsIdnaToALabels) {
    EXPECT_EQ(host("bücher.example"), "xn--bcher-kva.example");
    EXPECT_EQ(host("BÜCHER.example"), "xn--bcher-kva.example");
    EXPECT_EQ(host("bu\xcc\x88"
                   "cher.example"),
              "xn--bcher-kva.example");
    EXPECT_EQ(host("xn--bcher-kva.example"), "xn--bcher-kva.example");
    EXPECT_EQ(host("XN--BCHER-KVA.example"), "xn--bcher-kva.example");
    EXPECT_EQ(host("straße.example"), "xn--strae-oqa.example");  // non-transitional
    EXPECT_EQ(host("例え。jp"), "xn--r8jz45g.jp");               // U+3002 is a dot
    EXPECT_EQ(host("ａｐｉ.openai.com"), "api.openai.com");      // wide letters
}

TEST(HostName, RefusesALabelsThatAreNoNames) {
    EXPECT_EQ(host("xn--a.example"), "refused");
    EXPECT_EQ(host("xn--.example"), "refused");
    EXPECT_EQ(host("xn--99999999.example"), "refused");
    EXPECT_EQ(host("xn--api-.example"), "refused");  // plain ASCII inside
}

TEST(HostName, RefusesForeignCharacters) {
    using std::string_view_literals::operator""sv;
    for (const std::string_view text :
         {""sv,         " "sv,         "a b"sv,           "a\tb"sv,
          "a\nb"sv,     "a\r\nb"sv,    "a\0b"sv,          "api.openai.com\0.evil.com"sv,
          "a/b"sv,      "a\\b"sv,      "a?b"sv,           "a#b"sv,
          "a@b"sv,      "a%41"sv,      "a:80"sv,          "user:pw@host"sv,
          "a,b"sv,      "a;b"sv,       "*.example.com"sv, "a*"sv,
          "[a]"sv,      "a]"sv,        "\"a\""sv,         "a|b"sv,
          "\xff.com"sv, "a\xc2\x00"sv, "℀.example"sv,     "a／b.example"sv,
          "ａ：80"sv}) {
        EXPECT_EQ(host(text), "refused") << text;
    }
}

TEST(HostName, RefusesEmptyAndOverlongLabels) {
    EXPECT_EQ(host("."), "refused");
    EXPECT_EQ(host(".."), "refused");
    EXPECT_EQ(host(".a"), "refused");
    EXPECT_EQ(host("a..b"), "refused");
    EXPECT_EQ(host("a.."), "refused");
    const std::string label(63, 'a');
    EXPECT_EQ(host(label + ".com"), label + ".com");
    EXPECT_EQ(host(label + "a.com"), "refused");
    const std::string longest = label + '.' + label + '.' + label + '.' + std::string(61, 'a');
    ASSERT_EQ(longest.size(), 253);
    EXPECT_EQ(host(longest), longest);
    EXPECT_EQ(host(longest + '.'), longest);
    EXPECT_EQ(host(longest + 'a'), "refused");
    EXPECT_EQ(host(std::string(1'000'000, 'a')), "refused");
    std::string wide;
    for (int i = 0; i < 400; ++i)
        wide += "ü";
    EXPECT_EQ(host(wide), "refused");
}

TEST(HostName, TakesIpv4InOneSpellingOnly) {
    EXPECT_EQ(host("127.0.0.1"), "127.0.0.1");
    EXPECT_EQ(host("8.8.8.8"), "8.8.8.8");
    EXPECT_TRUE(HostName::parse("127.0.0.1")->is_ip_literal());
    for (const std::string_view text : {"127.1",
                                        "127.0.1",
                                        "2130706433",
                                        "0x7f.1",
                                        "0x7f000001",
                                        "0X7F.0.0.1",
                                        "0177.0.0.1",
                                        "010.0.0.1",
                                        "127.0.0.01",
                                        "127.0.0.0x1",
                                        "127.0.0.1.",
                                        "127.0.0.256",
                                        "127.0.0.1.5",
                                        "1.2.3",
                                        "0",
                                        "00",
                                        "0x",
                                        "0x.",
                                        "256.256.256.256",
                                        "１２７.0.0.1",
                                        "127。0。0。1",
                                        "①27.0.0.1",
                                        "127.0.0.１",
                                        "foo.0x7f",
                                        "foo.127",
                                        "foo.1.",
                                        "0.0.0.0.",
                                        "4294967296",
                                        "99999999999999999999",
                                        "example.0x"}) {
        EXPECT_EQ(host(text), "refused") << text;
    }
    EXPECT_EQ(host("0x7f.com"), "0x7f.com");
    EXPECT_EQ(host("1.2.3.4.com"), "1.2.3.4.com");
    EXPECT_EQ(host("127.0.0.1.nip.io"), "127.0.0.1.nip.io");
    EXPECT_EQ(host("example.0xg"), "example.0xg");
}

TEST(HostName, TakesIpv6InBracketsAndOneSpellingOnly) {
    for (const std::string_view text : {"[::1]", "[::]", "[2001:db8::1]", "[::ffff:127.0.0.1]", "[fe80::1]",
                                        "[2001:db8:0:1:1:1:1:1]", "[64:ff9b::808:808]"}) {
        EXPECT_EQ(host(text), text);
        EXPECT_TRUE(HostName::parse(text)->is_ip_literal());
    }
    for (const std::string_view text : {"::1",
                                        "2001:db8::1",
                                        "[0:0:0:0:0:0:0:1]",
                                        "[::01]",
                                        "[2001:DB8::1]",
                                        "[::ffff:7f00:1]",
                                        "[fe80::1%eth0]",
                                        "[fe80::1%25eth0]",
                                        "[2001:db8::1:1:1:1:1]",
                                        "[::1",
                                        "::1]",
                                        "[]",
                                        "[",
                                        "]",
                                        "[::1].",
                                        "[127.0.0.1]",
                                        "[::1]x",
                                        "[[::1]]",
                                        "[ ::1]",
                                        "[v1.x]",
                                        "[2001:db8:0:0:1::1]",
                                        "[::1::]",
                                        "[12345::]"}) {
        EXPECT_EQ(host(text), "refused") << text;
    }
}

TEST(HostName, ErrorIsASentenceWithoutTheHost) {
    const auto parsed = HostName::parse("evil\nhost");
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().find("evil"), std::string::npos);
}

TEST(Port, IsOneTo65535WithoutLeadingZero) {
    EXPECT_EQ(parse_port("1"), 1);
    EXPECT_EQ(parse_port("443"), 443);
    EXPECT_EQ(parse_port("65535"), 65535);
    for (const std::string_view text : {"", "0", "00", "01", "0443", "65536", "99999", "100000", "-1", "+1",
                                        " 80", "80 ", "8o", "0x50", "４４３"}) {
        EXPECT_EQ(parse_port(text), std::nullopt) << text;
    }
}

TEST(Endpoint, IsAHostAndAPort) {
    EXPECT_EQ(endpoint("API.openai.com:443"), "api.openai.com:443");
    EXPECT_EQ(endpoint("[::1]:8443"), "[::1]:8443");
    EXPECT_EQ(endpoint("127.0.0.1:80"), "127.0.0.1:80");
    for (const std::string_view text :
         {"", ":443", "a:", "a:0", "a:99999", "a:443:443", "::1:443", "[::1]", "[::1]443",
          "[::1]:", "[::1]:0", "a", "a:443/", "u@a:443", "a: 443", "[::1:443"}) {
        EXPECT_EQ(endpoint(text), "refused") << text;
    }
}

TEST(Endpoint, TakesADefaultPortOnlyWhereOneIsGiven) {
    EXPECT_EQ(endpoint("example.com", 80), "example.com:80");
    EXPECT_EQ(endpoint("[::1]", 443), "[::1]:443");
    EXPECT_EQ(endpoint("example.com:8080", 80), "example.com:8080");
    EXPECT_EQ(endpoint("example.com:", 80), "refused");
}

}  // namespace
}  // namespace nomiqon
