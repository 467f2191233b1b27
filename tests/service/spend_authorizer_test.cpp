#include "nomiqon/service/spend_authorizer.h"

#include <gtest/gtest.h>

#include <chrono>

#include "service/authorizer_world.h"

namespace nomiqon::service {
namespace {

TEST_F(SpendAuthorizerTest, AnAllowedRequestIsReservedAtItsPrice) {
    auto reservation = authorize(request());
    ASSERT_TRUE(reservation) << code(reservation);
    ASSERT_EQ(ledger_.asked.size(), 1U);
    EXPECT_EQ(ledger_.asked[0].amount, *Usdc::parse("0.001"));
    EXPECT_EQ(ledger_.asked[0].agent, agent_);
    EXPECT_FALSE(ledger_.asked[0].decision);
    reservation->settle_in_full();
    ASSERT_EQ(ledger_.ended.size(), 1U);
    EXPECT_EQ(ledger_.ended[0].amount, *Usdc::parse("0.001"));
    EXPECT_FALSE(ledger_.ended[0].unknown);
}

TEST_F(SpendAuthorizerTest, AReservationThatIsForgottenIsSettledInFullAsUnknownOnce) {
    {
        auto reservation = authorize(request());
        ASSERT_TRUE(reservation);
        const Reservation moved = std::move(*reservation);
    }
    ASSERT_EQ(ledger_.ended.size(), 1U);
    EXPECT_TRUE(ledger_.ended[0].unknown);
}

TEST_F(SpendAuthorizerTest, AReleaseGivesBackAndSaysWhy) {
    auto reservation = authorize(request());
    ASSERT_TRUE(reservation);
    reservation->release(RefusalCode::upstream_unreachable);
    reservation->settle_in_full();
    ASSERT_EQ(ledger_.ended.size(), 1U);
    EXPECT_EQ(ledger_.ended[0].ending, ledger::Ending::released);
    EXPECT_EQ(ledger_.ended[0].reason, "upstream_unreachable");
}

TEST_F(SpendAuthorizerTest, ABadTokenNeverReachesTheLedger) {
    SpendRequest none = request();
    none.token.clear();
    EXPECT_EQ(code(authorize(none)), "spend_token_missing");
    SpendRequest changed = request();
    changed.token[changed.token.size() / 2] ^= 1;
    EXPECT_EQ(code(authorize(changed)), "spend_token_invalid");
    EXPECT_TRUE(ledger_.asked.empty());
    EXPECT_TRUE(ledger_.refusals.empty());
}

TEST_F(SpendAuthorizerTest, TheUserNameAndTheAgentHeaderMustBeTheTokens) {
    SpendRequest asked = request();
    asked.claimed_caid = token::SigningKey::generate().caid().str();
    EXPECT_EQ(code(authorize(asked)), "spend_token_invalid");
    asked = request();
    asked.claimed_agent = AgentId::generate().str();
    EXPECT_EQ(code(authorize(asked)), "spend_token_invalid");
    asked = request();
    asked.claimed_caid = key_.caid().str();
    asked.claimed_agent = agent_.str();
    EXPECT_EQ(code(authorize(asked)), "ok");
}

TEST_F(SpendAuthorizerTest, AnUnregisteredIdentityIsInvalid) {
    ledger_.agents.clear();
    EXPECT_EQ(code(authorize(request())), "spend_token_invalid");
}

TEST_F(SpendAuthorizerTest, APolicyRefusalIsTheLedgersToConfirmAndIsRecorded) {
    SpendRequest asked = request();
    asked.host = *HostName::parse("other.example.com");
    const auto answer = authorize(asked);
    EXPECT_EQ(code(answer), "policy_domain_blocked");
    EXPECT_EQ(answer.error().agent, agent_.str());
    ASSERT_EQ(ledger_.asked.size(), 1U);
    EXPECT_EQ(ledger_.asked[0].decision, RefusalCode::policy_domain_blocked);
    ASSERT_EQ(ledger_.refusals.size(), 1U);
    EXPECT_EQ(ledger_.refusals[0].host, "other.example.com");
}

TEST_F(SpendAuthorizerTest, AStaleHintIsDecidedAgainWithThePolicyThatTheLedgerHolds) {
    ledger_.answers.push_back(ledger::StalePolicy{{agent_, 2, R"({"allowlist": ["other.example.com"]})"}});
    EXPECT_EQ(code(authorize(request())), "policy_domain_blocked");
    ASSERT_EQ(ledger_.asked.size(), 2U);
    EXPECT_EQ(ledger_.asked[1].policy_version, 2);
    EXPECT_EQ(ledger_.asked[0].transaction, ledger_.asked[1].transaction);
    // The newer policy is the hint from now on.
    EXPECT_EQ(code(authorize(request())), "policy_domain_blocked");
    EXPECT_EQ(ledger_.asked.size(), 3U);
    EXPECT_EQ(ledger_.look_ups, 1);
}

TEST_F(SpendAuthorizerTest, APolicyThatChangesForeverIsRefused) {
    for (int version = 2; version < 50; ++version) {
        ledger_.answers.push_back(ledger::StalePolicy{{agent_, version, "{}"}});
    }
    EXPECT_EQ(code(authorize(request())), "overloaded");
}

TEST_F(SpendAuthorizerTest, TheLedgerIsToldHowLongToWaitForHeldMoneyAndItsAnswerIsFinal) {
    const auto before = std::chrono::steady_clock::now();
    ledger_.answers.push_back(ledger::ReserveRefused{RefusalCode::policy_cap_reserved, std::nullopt});
    EXPECT_EQ(code(authorize(request())), "policy_cap_reserved");
    const auto after = std::chrono::steady_clock::now();
    ASSERT_EQ(ledger_.asked.size(), 1U);
    EXPECT_GE(ledger_.asked[0].wait_until, before + wait);
    EXPECT_LE(ledger_.asked[0].wait_until, after + wait);
    ASSERT_EQ(ledger_.refusals.size(), 1U);
    EXPECT_EQ(ledger_.refusals[0].code, RefusalCode::policy_cap_reserved);
}

TEST_F(SpendAuthorizerTest, AStaleHintDoesNotProlongTheWait) {
    ledger_.answers.push_back(ledger::StalePolicy{{agent_, 2, R"({"allowlist": ["api.example.com"]})"}});
    EXPECT_EQ(code(authorize(request())), "ok");
    ASSERT_EQ(ledger_.asked.size(), 2U);
    EXPECT_EQ(ledger_.asked[0].wait_until, ledger_.asked[1].wait_until);
}

TEST_F(SpendAuthorizerTest, APolicyThatThisGatewayCantReadRefuses) {
    know(agent_, 1, R"({"somethingNewer": true})");
    EXPECT_EQ(code(authorize(request())), "ledger_unavailable");
}

TEST_F(SpendAuthorizerTest, ALostDatabaseRefuses) {
    ledger_.away = true;
    EXPECT_EQ(code(authorize(request())), "ledger_unavailable");
    ledger_.away = false;
    ledger_.answers.push_back(std::unexpected{ledger::LedgerError::overloaded});
    EXPECT_EQ(code(authorize(request())), "overloaded");
}

TEST_F(SpendAuthorizerTest, ATokenBoundElsewhereIsAMismatchBeforeAnythingIsReserved) {
    token::MintClaims bound = claims();
    bound.htu = "https://other.example.com";
    EXPECT_EQ(code(authorize(request(bound))), "spend_token_mismatch");
    EXPECT_TRUE(ledger_.asked.empty());
    EXPECT_EQ(ledger_.refusals.size(), 1U);
}

TEST_F(SpendAuthorizerTest, ATokenForConnectAdmitsEveryMethodInside) {
    token::MintClaims bound = claims();
    bound.htm = "CONNECT";
    bound.htu = "http://api.example.com";
    SpendRequest inside = request(bound);
    inside.way = Way::plain;
    inside.scheme = Scheme::http;
    inside.port = 80;
    inside.method = "POST";
    inside.path = "/v1";
    EXPECT_EQ(code(authorize(inside)), "spend_token_mismatch");
    SpendRequest connect = inside;
    connect.method = "CONNECT";
    const auto checked = test::run(authorizer_.check_token(connect));
    ASSERT_TRUE(checked);
    inside.of_connect = *checked;
    EXPECT_EQ(code(authorize(inside)), "ok");
}

TEST_F(SpendAuthorizerTest, CheckingATokenComparesTheOriginAndConsumesNothing) {
    token::MintClaims bound = claims();
    bound.htm = "POST";
    bound.htu = "http://api.example.com/v1/chat";
    SpendRequest connect = request(bound);
    connect.scheme = Scheme::http;
    connect.port = 80;
    EXPECT_TRUE(test::run(authorizer_.check_token(connect)));
    connect.host = *HostName::parse("other.example.com");
    EXPECT_FALSE(test::run(authorizer_.check_token(connect)));
    EXPECT_TRUE(ledger_.asked.empty());
    ledger_.used = true;
    const auto replayed = test::run(authorizer_.check_token(request()));
    ASSERT_FALSE(replayed);
    EXPECT_EQ(replayed.error().code, RefusalCode::spend_token_replayed);
}

}  // namespace
}  // namespace nomiqon::service
