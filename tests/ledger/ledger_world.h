#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <spdlog/sinks/null_sink.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>

#include "nomiqon/ledger/migrations.h"
#include "nomiqon/ledger/postgres_ledger.h"
#include "support/postgres_fixture.h"
#include "support/run.h"

namespace nomiqon::ledger {

namespace asio = boost::asio;
using namespace std::chrono_literals;

inline std::shared_ptr<spdlog::logger> silent() {
    if (std::getenv("NOMIQON_TEST_LOG") != nullptr) return make_logger({.level = "debug"});
    return std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>());
}

inline std::int64_t far_future() {
    return unix_seconds(SystemClock{}.now()) + 3600;
}

inline Usdc usdc(std::string_view text) {
    return *Usdc::parse(text);
}

/// One agent with 100 USDC, and a gateway's ledger on a database of its own.
class PostgresLedgerTest : public test::DatabaseTest {
  protected:
    void SetUp() override {
        DatabaseTest::SetUp();
        ASSERT_TRUE(migrate(owner_url(), embedded_migrations(), Duration{5000}));
        const auto roles = ensure_roles(owner_url(), url_of("nomiqon_runtime"), RuntimeLogin::yes);
        ASSERT_TRUE(roles) << roles.error();
        start(Duration{60'000});
        caid_ = Caid{PublicKey{7}};
        value(
            "insert into nomiqon.agents (agent_id, name, wallet_owner, wallet_address, wallet_mint, "
            "policy_version) "
            "values ('" +
            agent_.str() + "', 'a', 'o', 'w', 'm', 1)");
        value("insert into nomiqon.policies values ('" + agent_.str() +
              "', 1, 'pol_1', '{}', now(), 'test', null)");
        value("insert into nomiqon.wallets (agent_id, balance) values ('" + agent_.str() +
              "', 100000000000)");
        value("insert into nomiqon.caids values ('" + agent_.str() + "', '" + caid_.str() + "')");
        value("insert into nomiqon.caid_owners values ('" + caid_.str() + "', '" + agent_.str() + "')");
    }

    void start(Duration lease, Duration timeout = Duration{5000}) {
        ledger_ = std::make_unique<PostgresLedger>(
            PostgresLedger::Options{.timeout = timeout, .lease = lease, .version = "test"}, silent());
        ledger_->connect(url_of("nomiqon_runtime"), "");
        for (int i = 0; i < 100 && !ledger_->is_available(); ++i)
            std::this_thread::sleep_for(50ms);
    }

    void agent_column(const std::string& assignment) {
        value("update nomiqon.agents set " + assignment + " where agent_id = '" + agent_.str() + "'");
    }

    ReserveCommand command(std::string_view amount) {
        return {.transaction = TransactionId::generate(),
                .request = RequestId::generate(),
                .agent = agent_,
                .caid = caid_,
                .policy_version = 1,
                .decision = std::nullopt,
                .amount = usdc(amount),
                .token = "signed.token.text",
                .jti = "jti-" + std::to_string(++tokens_) + "-0123456789",
                .token_exp = far_future(),
                .session = false,
                .token_max = std::nullopt,
                .ref = "run-42",
                .scheme = "https",
                .host = "api.example.com",
                .port = 443,
                .method = "CONNECT",
                .model = {}};
    }

    static asio::awaitable<void> count(asio::awaitable<std::expected<ReserveAnswer, LedgerError>> work,
                                       int& granted, int& refused) {
        const auto answer = co_await std::move(work);
        (is_reserved(answer) ? granted : refused) += 1;
    }

    std::expected<ReserveAnswer, LedgerError> reserve(ReserveCommand command) {
        return test::run(ledger_->reserve(std::move(command)));
    }
    static std::optional<RefusalCode> code_of(const std::expected<ReserveAnswer, LedgerError>& answer) {
        if (!answer) return std::nullopt;
        const auto* refused = std::get_if<ReserveRefused>(&*answer);
        return refused == nullptr ? std::nullopt : std::optional{refused->code};
    }
    static bool is_reserved(const std::expected<ReserveAnswer, LedgerError>& answer) {
        return answer && std::holds_alternative<Reserved>(*answer);
    }

    EndCommand settlement(const ReserveCommand& of, std::string_view amount) {
        return {.transaction = of.transaction,
                .agent = agent_,
                .day = day_of(SystemClock{}.now()),
                .ending = Ending::settled,
                .amount = usdc(amount),
                .unknown = false,
                .reason = {},
                .model = {}};
    }

    /// Another gateway on the same database.
    [[nodiscard]] std::unique_ptr<PostgresLedger> another() const {
        auto ledger = std::make_unique<PostgresLedger>(PostgresLedger::Options{.version = "test"}, silent());
        ledger->connect(url_of("nomiqon_runtime"), "");
        for (int i = 0; i < 100 && !ledger->is_available(); ++i)
            std::this_thread::sleep_for(50ms);
        return ledger;
    }
    /// From now on the database's clock stands still, at this time.
    void set_clock(const std::string& time) {
        value("create table if not exists nomiqon.test_clock (at timestamptz)");
        value("delete from nomiqon.test_clock");
        value("insert into nomiqon.test_clock values ('" + time + "')");
        value(
            "create or replace function nomiqon.internal_now() returns timestamptz language sql security "
            "definer as 'select at from nomiqon.test_clock'");
        value("select nomiqon.internal_prepare_days(('" + time + "'::timestamptz at time zone 'UTC')::date)");
        value("update nomiqon.gateways set lease_until = 'infinity'");
    }

    // Waits until a query gives what is expected, as endings are written behind the caller's back.
    void eventually(const std::string& query, const std::string& expected) {
        for (int i = 0; i < 200; ++i) {
            if (value(query) == expected) return;
            std::this_thread::sleep_for(50ms);
        }
        EXPECT_EQ(value(query), expected) << query;
    }
    std::string wallet(const std::string& column) {
        return value("select " + column + " from nomiqon.wallets where agent_id = '" + agent_.str() + "'");
    }
    // The balances that are stored must be what the transfers say.
    void expect_books_agree() {
        EXPECT_EQ(
            value(
                "select w.balance - 100000000000 - coalesce((select sum(case when credit = 'wallet' then "
                "amount "
                "else 0 end) - sum(case when debit = 'wallet' then amount else 0 end) + sum(case when credit "
                "= "
                "'held' then amount else 0 end) - sum(case when debit = 'held' then amount else 0 end) from "
                "nomiqon.transfers t where t.agent_id = w.agent_id), 0) from nomiqon.wallets w"),
            "0");
        EXPECT_EQ(value("select w.reserved - coalesce((select sum(r.amount) from nomiqon.reservations r "
                        "where not exists "
                        "(select from nomiqon.endings e where e.transaction_id = r.transaction_id)), 0) from "
                        "nomiqon.wallets w"),
                  "0");
        EXPECT_EQ(
            value("select w.spent - coalesce((select sum(coalesce(c.amount, e.amount)) from nomiqon.endings "
                  "e left join nomiqon.corrections c using (agent_id, transaction_id, day)), 0) from "
                  "nomiqon.wallets w"),
            "0");
    }

    std::unique_ptr<PostgresLedger> ledger_;
    AgentId agent_ = AgentId::generate();
    Caid caid_{PublicKey{7}};
    int tokens_ = 0;
};

}  // namespace nomiqon::ledger
