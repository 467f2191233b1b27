#pragma once

#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "api.h"
#include "api_key.h"
#include "nomiqon/core/encoding.h"
#include "nomiqon/ledger/migrations.h"
#include "nomiqon/ledger/postgres_ledger.h"
#include "nomiqon/token/spend_token.h"
#include "support/postgres_fixture.h"

namespace nomiqon::admin {

using Headers = std::map<std::string, std::string>;

/// What a call answered: the document's `data`, or its `error`.
struct Answered {
    int status = 0;
    json data, meta, error;
    HttpResponse response;
    [[nodiscard]] std::string code() const {
        return error.is_null() ? "" : error.at("code").get<std::string>();
    }
    [[nodiscard]] std::string param() const {
        return error.is_null() || error.at("param").is_null() ? "" : error.at("param").get<std::string>();
    }
    [[nodiscard]] std::string header(const std::string& name) const {
        for (const auto& [key, value] : response.headers) {
            if (key == name) return value;
        }
        return "";
    }
};

inline std::shared_ptr<spdlog::logger> silent_log() {
    return std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::null_sink_mt>());
}

/// A migrated database with the gateway's own role, and the store on it.
class StoreTest : public test::DatabaseTest {
  protected:
    void SetUp() override {
        DatabaseTest::SetUp();
        const auto migrated = migrate(owner_url(), embedded_migrations(), Duration{5000});
        ASSERT_TRUE(migrated) << migrated.error();
        const auto roles = ensure_roles(owner_url(), url_of("nomiqon_runtime"), RuntimeLogin::yes);
        ASSERT_TRUE(roles) << roles.error();
        store_ = std::make_unique<ledger::PostgresLedger>(ledger::PostgresLedger::Options{.version = "test"},
                                                          silent_log());
        store_->connect(url_of("nomiqon_runtime"), "");
        for (int i = 0; i < 200 && !store_->is_available(); ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds{20});
        }
    }
    void TearDown() override { store_.reset(); }

    Config config_{};
    SystemClock clock_;
    std::unique_ptr<ledger::PostgresLedger> store_;
};

/// The API on it, called without sockets, with a full key.
class ApiTest : public StoreTest {
  protected:
    void SetUp() override {
        StoreTest::SetUp();
        api_ = std::make_unique<Api>(
            Context{.config = config_, .store = *store_, .clock = clock_, .log = silent_log()}, AdminHooks{});
        key_ = add_key("full");
    }

    std::string add_key(const std::string& scope) {
        auto key = new_api_key();
        value("insert into nomiqon.api_keys (key_id, name, key_hash, scopes, created_by) values ('" +
              ApiKeyId::generate().str() + "', 'test', '" + sha256_hex(key) + "', '{" + scope +
              "}', 'test')");
        return key;
    }

    Answered send(const std::string& key, const std::string& method, const std::string& target,
                  const std::string& body = {}, const Headers& headers = {}) {
        return send_to(*api_, key, method, target, body, headers);
    }
    /// From a thread of its own, with an Api of its own: each is of one thread.
    std::future<Answered> send_in_parallel(const std::string& method, const std::string& target,
                                           const json& body, const Headers& headers = {}) {
        return std::async(std::launch::async, [=, this] {
            Api api{Context{.config = config_, .store = *store_, .clock = clock_, .log = silent_log()},
                    AdminHooks{}};
            return send_to(api, key_, method, target, body.dump(), headers);
        });
    }
    static Answered send_to(Api& api, const std::string& key, const std::string& method,
                            const std::string& target, const std::string& body, const Headers& headers) {
        HttpRequest request{.method = method, .target = target, .body = body};
        if (!key.empty()) request.headers.emplace_back("authorization", "Bearer " + key);
        for (const auto& [name, text] : headers)
            request.headers.emplace_back(name, text);
        Answered answered;
        boost::asio::io_context io{1};
        boost::asio::co_spawn(io, api.handle(std::move(request)),
                              [&](const std::exception_ptr& problem, HttpResponse response) {
                                  EXPECT_FALSE(problem);
                                  answered.response = std::move(response);
                              });
        io.run();
        answered.status = answered.response.status;
        const auto document = json::parse(answered.response.body, nullptr, false);
        if (document.is_object()) {
            answered.data = document.value("data", json{});
            answered.meta = document.value("meta", json{});
            answered.error = document.value("error", json{});
        }
        return answered;
    }
    Answered get(const std::string& target) { return send(key_, "GET", target); }
    Answered post(const std::string& target, const json& body = json::object(), const Headers& headers = {}) {
        return send(key_, "POST", target, body.dump(), headers);
    }
    Answered patch(const std::string& target, const json& body, const Headers& headers = {}) {
        return send(key_, "PATCH", target, body.dump(), headers);
    }
    Answered remove(const std::string& target) { return send(key_, "DELETE", target); }

    static std::string new_public_key() { return std::string{token::SigningKey::generate().caid().base58()}; }
    static json new_agent(const std::string& name, json policy = json::object()) {
        return {{"name", name}, {"caid", {{"publicKey", new_public_key()}}}, {"policy", std::move(policy)}};
    }
    /// A new agent's id.
    std::string make_agent(const std::string& name, json policy = json::object()) {
        const auto made = post("/v1/agents", new_agent(name, std::move(policy)));
        EXPECT_EQ(made.status, 201) << made.response.body;
        return made.status == 201 ? made.data.at("id").get<std::string>() : "";
    }

    /// A reservation written by SQL as the gateway would; the ledger's own tests are elsewhere.
    std::string reserve(const std::string& agent, std::int64_t nanos, const std::string& host,
                        const std::string& ref = "") {
        const auto id = TransactionId::generate().str();
        const std::string amount = std::to_string(nanos);
        value(
            "with r as (insert into nomiqon.reservations (agent_id, day, transaction_id, request_id, "
            "gateway_id, "
            "caid, policy_version, amount, bound, overrun_limit, scheme, host, port, method, ref, token_id, "
            "token_exp, token_session, token, created_at) select c.agent_id, nomiqon.internal_today(), '" +
            id + "', 'req_1', 'gw_1', c.caid, 1, " + amount + ", " + amount + ", 0, 'https', '" + host +
            "', 443, 'GET', '" + ref +
            "', 'jti', 1, false, 't', clock_timestamp() from nomiqon.caids c where c.agent_id = '" + agent +
            "' limit 1 returning *), w as (update nomiqon.wallets set reserved = reserved + " + amount +
            " where agent_id = '" + agent +
            "') insert into nomiqon.agent_days as d select "
            "agent_id, day, 0, amount from r on conflict (agent_id, day) do update set reserved = "
            "d.reserved + excluded.reserved");
        return id;
    }
    void end(const std::string& agent, const std::string& transaction, const std::string& ending,
             std::int64_t nanos) {
        EXPECT_EQ(value("select outcome from nomiqon.work('gw_1', array['" + agent + "'], array[row(1, '" +
                        transaction + "', null, '" + ending + "', " + std::to_string(nanos) +
                        ", false, 'upstream_unreachable', null, null)::nomiqon.end_command], '{}')"),
                  "ended");
    }

    std::unique_ptr<Api> api_;
    std::string key_;
};

}  // namespace nomiqon::admin
