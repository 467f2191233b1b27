#include "credentials.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "nomiqon/core/encoding.h"

namespace nomiqon::proxy {
namespace {

constexpr std::string_view caid = "caid_6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdv";
constexpr std::string_view token = "spt_eyJhbGciOiJFZERTQSJ9.eyJhdWQiOiJub21pcW9uIn0.c2ln";

std::string basic(std::string_view user_and_password) {
    return "Basic " + base64_encode(user_and_password);
}
std::string pair() {
    return std::string{caid} + ":" + std::string{token};
}

Credentials accepted(const HeaderFields& headers, Hop hop = Hop::proxy) {
    auto credentials = read_credentials(headers, hop);
    if (!credentials) {
        ADD_FAILURE() << credentials.error().detail;
        return {};
    }
    return *credentials;
}
Credentials authorization(std::string_view value) {
    return accepted({{"Proxy-Authorization", std::string{value}}});
}

RefusalCode refused(const HeaderFields& headers, Hop hop = Hop::proxy) {
    const auto credentials = read_credentials(headers, hop);
    if (credentials) {
        ADD_FAILURE() << "accepted: " << credentials->token;
        return RefusalCode::overloaded;
    }
    EXPECT_EQ(credentials.error().detail.find("c2ln"), std::string::npos) << "the detail quotes the token";
    return credentials.error().code;
}

TEST(Credentials, NoneIsNoRefusalYet) {
    const auto none = accepted({{"Accept", "*/*"}, {"Authorization", "Bearer of-the-provider"}});
    EXPECT_EQ(none.token, "");
    EXPECT_EQ(none.claimed_caid, "");
    EXPECT_EQ(none.claimed_agent, "");
}

TEST(Credentials, BearerOnTheProxyHop) {
    for (const std::string scheme : {"Bearer ", "bearer ", "BEARER ", "Bearer   "}) {
        const auto read = authorization(scheme + std::string{token});
        EXPECT_EQ(read.token, token);
        EXPECT_EQ(read.claimed_caid, "");
    }
}

TEST(Credentials, BasicSplitsAtTheFirstColon) {
    for (const std::string scheme : {"Basic ", "basic ", "BASIC  "}) {
        const auto read = authorization(scheme + base64_encode(pair()));
        EXPECT_EQ(read.token, token);
        EXPECT_EQ(read.claimed_caid, caid);
    }
    EXPECT_EQ(authorization(basic("user:pass:word")).token, "pass:word");
}

TEST(Credentials, BasicIsTakenWithAndWithoutPadding) {
    auto encoded = base64_encode("user:to");
    ASSERT_TRUE(encoded.ends_with('='));
    EXPECT_EQ(authorization("Basic " + encoded).token, "to");
    encoded.erase(encoded.find('='));
    EXPECT_EQ(authorization("Basic " + encoded).token, "to");
}

TEST(Credentials, EmptyOnesAreMissingNotInvalid) {
    for (const std::string& value : {std::string{}, std::string{"Bearer"}, std::string{"Basic"},
                                     basic(std::string{caid} + ":"), basic(":")}) {
        EXPECT_EQ(authorization(value).token, "") << value;
    }
    EXPECT_EQ(accepted({{"X-Nomiqon-Spend-Token", ""}}).token, "");
}

TEST(Credentials, BasicThatCannotBeReadIsInvalid) {
    const std::string long_password = "user:" + std::string(4000, 'x');
    for (const std::string& value : {std::string{"Basic !!!"}, std::string{"Basic a b"}, basic("no colon"),
                                     basic(":" + std::string{token}), basic(long_password),
                                     "Basic " + base64_encode(pair()) + ", Basic eA=="}) {
        EXPECT_EQ(refused({{"Proxy-Authorization", value}}), RefusalCode::spend_token_invalid)
            << value.substr(0, 40);
    }
}

TEST(Credentials, TheLongestTokenFitsInBasic) {
    const std::string longest = "spt_" + std::string(2048, 't');
    EXPECT_EQ(authorization(basic(std::string{caid} + ":" + longest)).token, longest);
}

TEST(Credentials, UnknownSchemesAreInvalid) {
    for (const std::string value :
         {"Digest username=\"x\"", "Negotiate YII", "NTLM", "BearerX y", "spt_abc"}) {
        EXPECT_EQ(refused({{"Proxy-Authorization", value}}), RefusalCode::spend_token_invalid) << value;
    }
}

TEST(Credentials, TheOwnFieldGoesBeforeTheConnections) {
    const auto read = accepted({{"Proxy-Authorization", basic(pair())}, {"x-nomiqon-spend-token", "other"}});
    EXPECT_EQ(read.token, "other");
    EXPECT_EQ(read.claimed_caid, "") << "the user name speaks of the other token";
    EXPECT_EQ(accepted({{"X-Nomiqon-Spend-Token", "own"}, {"Proxy-Authorization", "Digest x"}}).token, "own");
    EXPECT_EQ(accepted({{"X-Nomiqon-Spend-Token", ""}, {"Proxy-Authorization", "Bearer t"}}).token, "t");
}

TEST(Credentials, TheClaimedAgentIsHandedOn) {
    EXPECT_EQ(
        accepted({{"X-Nomiqon-Agent-Id", "ag_01hx"}, {"Proxy-Authorization", "Bearer t"}}).claimed_agent,
        "ag_01hx");
    EXPECT_EQ(accepted({{"x-nomiqon-agent-id", "ag_01hx"}, {"X-Nomiqon-Spend-Token", "t"}}).claimed_agent,
              "ag_01hx");
}

TEST(Credentials, EachFieldComesOnce) {
    for (const std::string name : {"Proxy-Authorization", "X-Nomiqon-Spend-Token", "X-Nomiqon-Agent-Id"}) {
        EXPECT_EQ(refused({{name, "Bearer t"}, {name, "Bearer t"}}), RefusalCode::bad_request) << name;
    }
    EXPECT_EQ(refused({{"Proxy-Authorization", "Bearer t"}, {"proxy-authorization", "Basic eDp5"}}),
              RefusalCode::bad_request);
    EXPECT_EQ(refused({{"X-Nomiqon-Spend-Token", ""}, {"X-Nomiqon-Spend-Token", "t"}}),
              RefusalCode::bad_request);
}

TEST(Credentials, AnEmptyClaimOfAnAgentIsNoAgents) {
    EXPECT_EQ(refused({{"X-Nomiqon-Agent-Id", ""}, {"Proxy-Authorization", "Bearer t"}}),
              RefusalCode::spend_token_invalid);
}

TEST(Credentials, InsideAConnectionProxyAuthorizationSaysNothing) {
    for (const std::string value : {"Bearer t", "Digest x", "Basic !!!"}) {
        const auto read = accepted({{"Proxy-Authorization", value}}, Hop::inside);
        EXPECT_EQ(read.token, "");
        EXPECT_EQ(read.claimed_caid, "");
    }
    EXPECT_EQ(
        accepted({{"Proxy-Authorization", "Bearer t"}, {"X-Nomiqon-Spend-Token", "own"}}, Hop::inside).token,
        "own");
}

TEST(Credentials, TheClaimsOfAConnectionAndOfARequestInsideMustAgree) {
    const Credentials connect{.token = "outer", .claimed_caid = "kid", .claimed_agent = "ag_1"};
    const auto paid = inner_credentials(connect, {.claimed_agent = "ag_1"}, true);
    ASSERT_TRUE(paid);
    EXPECT_EQ(paid->token, "outer");
    EXPECT_EQ(paid->claimed_caid, "kid");
    const auto own = inner_credentials(connect, {.token = "inner"}, false);
    ASSERT_TRUE(own);
    EXPECT_EQ(own->token, "inner");
    EXPECT_EQ(own->claimed_caid, "") << "the user name speaks of the other token";
    EXPECT_EQ(own->claimed_agent, "ag_1");
    const auto late = inner_credentials({.token = "outer"}, {.claimed_agent = "ag_2"}, true);
    ASSERT_TRUE(late);
    EXPECT_EQ(late->claimed_agent, "ag_2");
    for (const bool from_connect : {true, false}) {
        const auto torn =
            inner_credentials(connect, {.token = "inner", .claimed_agent = "ag_2"}, from_connect);
        ASSERT_FALSE(torn);
        EXPECT_EQ(torn.error().code, RefusalCode::spend_token_invalid);
    }
}

}  // namespace
}  // namespace nomiqon::proxy
