#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nomiqon/service/spend_authorizer.h"
#include "support/run.h"

namespace nomiqon::service {

class FixedClock final : public Clock {
  public:
    [[nodiscard]] Time now() const override { return Time{std::chrono::seconds{1'800'000'000}}; }
};

/// Answers what a test has laid out, and remembers what it was asked.
class ScriptedLedger final : public ledger::Ledger {
  public:
    Usdc left = Usdc::from_nanos(1'000'000'000);  // what an agent can afford
    std::map<std::string, ledger::AgentSnapshot> agents;
    std::deque<std::expected<ledger::ReserveAnswer, ledger::LedgerError>> answers;  // empty: reserve
    std::vector<ledger::ReserveCommand> asked;
    std::vector<ledger::EndCommand> ended;
    std::vector<ledger::RefusalRecord> refusals;
    int look_ups = 0;
    Usdc least_held{};  // as if other open requests had used up the limit of overruns
    bool used = false;
    bool away = false;

    boost::asio::awaitable<std::expected<std::optional<ledger::AgentSnapshot>, ledger::LedgerError>>
    find_agent(Caid caid) override {
        ++look_ups;
        if (away) co_return std::unexpected{ledger::LedgerError::unavailable};
        const auto found = agents.find(caid.str());
        if (found == agents.end()) co_return std::nullopt;
        co_return found->second;
    }
    boost::asio::awaitable<std::expected<bool, ledger::LedgerError>> is_token_used(AgentId, Caid,
                                                                                   std::int64_t,
                                                                                   std::string) override {
        co_return used;
    }
    boost::asio::awaitable<std::expected<Usdc, ledger::LedgerError>> affordable(
        ledger::AffordableQuery) override {
        if (away) co_return std::unexpected{ledger::LedgerError::unavailable};
        co_return left;
    }
    boost::asio::awaitable<std::expected<ledger::ReserveAnswer, ledger::LedgerError>> reserve(
        ledger::ReserveCommand command) override {
        asked.push_back(command);
        if (answers.empty()) {
            if (command.decision) co_return ledger::ReserveRefused{*command.decision, std::nullopt};
            const Usdc held =
                std::min(command.amount, std::max(command.typical.value_or(command.amount), least_held));
            co_return ledger::Reserved{command.transaction, command.agent, Day{}, held};
        }
        auto answer = answers.front();
        answers.pop_front();
        co_return answer;
    }
    void end(ledger::EndCommand command) override { ended.push_back(std::move(command)); }
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
    static constexpr Duration wait{200};
    SpendAuthorizer authorizer_{ledger_,
                                clock_,
                                std::make_shared<const metering::RouteTable>(std::vector<Route>{}),
                                {.audience = "nomiqon", .wait = wait}};
};

}  // namespace nomiqon::service
