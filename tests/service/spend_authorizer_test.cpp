#include "nomiqon/service/spend_authorizer.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <map>

#include "support/run.h"

namespace nomiqon::service {
namespace {

namespace asio = boost::asio;

class FixedClock final : public Clock {
  public:
    [[nodiscard]] Time now() const override { return Time{std::chrono::seconds{1'800'000'000}}; }
};

// Answers what a test has laid out, and remembers what it was asked.
class ScriptedLedger final : public ledger::Ledger {
  public:
    std::map<std::string, ledger::AgentSnapshot> agents;
    std::deque<std::expected<ledger::ReserveAnswer, ledger::LedgerError>> answers;  // empty: reserve
    std::vector<ledger::ReserveCommand> asked;
    std::vector<ledger::EndCommand> ended;
    std::vector<ledger::RefusalRecord> refusals;
    int look_ups = 0;
    int waits = 0;
    bool used = false;
    bool away = false;

    asio::awaitable<std::expected<std::optional<ledger::AgentSnapshot>, ledger::LedgerError>> find_agent(
        Caid caid) override {
        ++look_ups;
        if (away) co_return std::unexpected{ledger::LedgerError::unavailable};
        const auto found = agents.find(caid.str());
        if (found == agents.end()) co_return std::nullopt;
        co_return found->second;
    }
    asio::awaitable<std::expected<bool, ledger::LedgerError>> is_token_used(AgentId, Caid, std::int64_t,
                                                                            std::string) override {
        co_return used;
    }
    asio::awaitable<std::expected<ledger::ReserveAnswer, ledger::LedgerError>> reserve(
        ledger::ReserveCommand command) override {
        asked.push_back(command);
        if (answers.empty()) {
            if (command.decision) co_return ledger::ReserveRefused{*command.decision, std::nullopt};
            co_return ledger::Reserved{command.transaction, command.agent, Day{}, command.amount};
        }
        auto answer = answers.front();
        answers.pop_front();
        co_return answer;
    }
    void end(ledger::EndCommand command) override { ended.push_back(std::move(command)); }
    asio::awaitable<void> wait_for_ending(AgentId, std::chrono::steady_clock::time_point) override {
        ++waits;
        co_return;
    }
    void record_refusal(ledger::RefusalRecord record) override { refusals.push_back(std::move(record)); }
};

class SpendAuthorizerTest : public ::testing::Test {
  protected:
    SpendAuthorizerTest() { know(agent_, 1, R"({"allowlist": ["api.example.com"]})"); }

    void know(const AgentId& agent, int version, std::string document) {
        ledger_.agents.insert_or_assign(key_.caid().str(),
                                        ledger::AgentSnapshot{agent, version, std::move(document)});
    }

    token::MintClaims claims() const {
        const std::int64_t now = unix_seconds(clock_.now());
        return {.iat = now, .exp = now + 60};
    }

    SpendRequest request(const token::MintClaims& claims) const {
        return {.id = RequestId::generate(),
                .way = Way::tunnel,
                .scheme = Scheme::https,
                .host = *HostName::parse("api.example.com"),
                .port = 443,
                .method = "CONNECT",
                .path = {},
                .token = key_.mint(claims),
                .claimed_caid = {},
                .claimed_agent = {}};
    }
    SpendRequest request() const { return request(claims()); }

    std::expected<Reservation, Refusal> authorize(SpendRequest request) {
        return test::run(authorizer_.authorize(std::move(request)));
    }
    static std::string code(const std::expected<Reservation, Refusal>& answer) {
        return answer ? "ok" : std::string{info(answer.error().code).name};
    }

    FixedClock clock_;
    ScriptedLedger ledger_;
    token::SigningKey key_ = token::SigningKey::generate();
    AgentId agent_ = AgentId::generate();
    SpendAuthorizer authorizer_{ledger_,
                                clock_,
                                std::make_shared<const metering::RouteTable>(std::vector<Route>{}),
                                {.audience = "nomiqon", .wait = Duration{200}}};
};

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

TEST_F(SpendAuthorizerTest, HeldMoneyIsWaitedForAndSpentMoneyIsNot) {
    ledger_.answers.push_back(ledger::ReserveRefused{RefusalCode::policy_cap_reserved, std::nullopt});
    EXPECT_EQ(code(authorize(request())), "ok");
    EXPECT_EQ(ledger_.waits, 1);
    ledger_.answers.push_back(ledger::ReserveRefused{RefusalCode::policy_cap_exceeded, std::nullopt});
    EXPECT_EQ(code(authorize(request())), "policy_cap_exceeded");
    EXPECT_EQ(ledger_.waits, 1);
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
    inside.token_from_connect = true;
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
