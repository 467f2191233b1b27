#include <gtest/gtest.h>

#include "bound_url.h"
#include "nomiqon/token/spend_token.h"

namespace nomiqon::token {
namespace {

SpendToken bound(std::optional<std::string> htm, std::string_view htu = "") {
    SpendToken token{.caid = Caid{PublicKey{}}};
    token.htm = std::move(htm);
    if (!htu.empty()) token.htu = parse_bound_url(htu).value();
    return token;
}

BoundRequest post(std::string_view path = "/v1") {
    return {.method = "POST", .scheme = Scheme::https, .host = "api.openai.com", .port = 443, .path = path};
}

BoundRequest connect(std::uint16_t port = 443) {
    return {.method = "CONNECT",
            .scheme = port == 80 ? Scheme::http : Scheme::https,
            .host = "api.openai.com",
            .port = port};
}

TEST(BoundUrl, ReadsOriginsAndPaths) {
    EXPECT_EQ(parse_bound_url("https://a.example"),
              (BoundUrl{.scheme = Scheme::https, .host = "a.example", .port = 443}));
    EXPECT_EQ(parse_bound_url("HTTP://A.example/"),
              (BoundUrl{.scheme = Scheme::http, .host = "a.example", .port = 80}));
    EXPECT_EQ(parse_bound_url("http://a.example:443/x"),
              (BoundUrl{.scheme = Scheme::http, .host = "a.example", .port = 443, .path = "/x"}));
    EXPECT_EQ(parse_bound_url("https://[::1]:8443"),
              (BoundUrl{.scheme = Scheme::https, .host = "[::1]", .port = 8443}));
    EXPECT_EQ(parse_bound_url("https://[2001:DB8::1]/")->host, "[2001:db8::1]");
    EXPECT_EQ(parse_bound_url("https://a.example//")->path, "//");
    EXPECT_EQ(parse_bound_url("https://a.example/A@b:c%2F")->path, "/A@b:c%2F");
    EXPECT_EQ(parse_bound_url("https://a.example:65535")->port, 65535);
}

TEST(BoundUrl, RefusesEverythingElse) {
    for (const std::string_view text : {"",
                                        "https",
                                        "https:",
                                        "https:/",
                                        "https://",
                                        "https:///x",
                                        "https://:443",
                                        "https://:443/x",
                                        "//a.example",
                                        "a.example",
                                        "ftp://a.example",
                                        "wss://a.example",
                                        " https://a.example",
                                        "https://a.example ",
                                        "https://a.example/?",
                                        "https://a.example?x",
                                        "https://a.example#",
                                        "https://a.example/#x",
                                        "https://u@a.example",
                                        "https://u:p@a.example",
                                        "https://@a.example",
                                        "https://a.example:",
                                        "https://a.example:/",
                                        "https://a.example:0",
                                        "https://a.example:0443",
                                        "https://a.example:65536",
                                        "https://a.example:123456",
                                        "https://a.example:x",
                                        "https://a.example:443:443",
                                        "https://a.example:443@evil.example",
                                        "https://a b.example",
                                        "https://a\\b.example",
                                        "https://a.example/a b",
                                        "https://a.example/\x7f",
                                        "https://[::1",
                                        "https://::1",
                                        "https://[::1]x",
                                        "https://[127.0.0.1]",
                                        "https://[v1.x]",
                                        "https://[fe80::1%25eth0]",
                                        "https://[]",
                                        "https://b\xc3\xbc.example",
                                        "https://a.example/\xc3\xbc",
                                        "https:\\\\a.example",
                                        "https://a.example\n",
                                        "https://[::1]:",
                                        "https://[::1]:0"}) {
        EXPECT_FALSE(parse_bound_url(text)) << text;
    }
}

TEST(Binding, AnUnboundTokenAdmitsAll) {
    EXPECT_FALSE(check_binding(bound(std::nullopt), post()));
    EXPECT_FALSE(check_binding(bound(std::nullopt), connect()));
}

TEST(Binding, EachPartMustMatch) {
    EXPECT_FALSE(check_binding(bound("POST", "https://API.openai.com/v1"), post()));
    for (const std::string_view htu :
         {"http://api.openai.com:443/v1", "https://api.openai.com:8443/v1", "https://openai.com/v1",
          "https://api.openai.com.evil.example/v1", "https://api.openai.com/v1/", "https://api.openai.com/V1",
          "https://api.openai.com//v1", "https://api.openai.com/%761"}) {
        const auto refusal = check_binding(bound("POST", htu), post());
        ASSERT_TRUE(refusal) << htu;
        EXPECT_EQ(refusal->code, RefusalCode::spend_token_mismatch);
        EXPECT_EQ(refusal->detail.find("openai"), std::string::npos);
    }
    EXPECT_TRUE(check_binding(bound("post"), post()));
    EXPECT_TRUE(check_binding(bound("CONNECT"), post()));
}

TEST(Binding, DefaultPortIsTheSchemesOwn) {
    EXPECT_FALSE(check_binding(bound(std::nullopt, "http://api.openai.com"), connect(80)));
    EXPECT_TRUE(check_binding(bound(std::nullopt, "https://api.openai.com"), connect(80)));
    EXPECT_TRUE(check_binding(bound(std::nullopt, "http://api.openai.com"), connect(443)));
}

TEST(Binding, AConnectOfATunnelHasNoPath) {
    EXPECT_FALSE(check_binding(bound("CONNECT", "https://api.openai.com"), connect()));
    EXPECT_FALSE(check_binding(bound("CONNECT", "https://api.openai.com/"), connect()));
    EXPECT_TRUE(check_binding(bound("CONNECT", "https://api.openai.com/v1"), connect()));
    EXPECT_TRUE(check_binding(bound("POST"), connect()));
}

TEST(Binding, AnInterceptedConnectComparesTheOriginOnly) {
    EXPECT_FALSE(check_connect_binding(bound("POST", "https://api.openai.com/v1"), connect()));
    EXPECT_TRUE(check_connect_binding(bound("POST", "https://api.anthropic.com/v1"), connect()));
}

TEST(Binding, InsideAnInterceptedConnectionTheRestIsCompared) {
    EXPECT_FALSE(check_inner_binding(bound("CONNECT", "https://api.openai.com"), post()));
    EXPECT_FALSE(check_inner_binding(bound("POST", "https://api.openai.com/v1"), post()));
    EXPECT_TRUE(check_inner_binding(bound("GET"), post()));
    EXPECT_TRUE(check_inner_binding(bound("CONNECT", "https://api.openai.com/v2"), post()));
    EXPECT_TRUE(check_inner_binding(bound(std::nullopt, "https://api.anthropic.com"), post()));
}

}  // namespace
}  // namespace nomiqon::token
