#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "core/config_fixture.h"

namespace nomiqon {
namespace {

TEST_F(ConfigTest, SecretsComeFromFilesAndTheEnvironment) {
    directory_.write("first", "one\r\n\n");
    directory_.write("second", "two");
    setenv("NOMIQON_TEST_SECRET", "three", 1);
    const auto read =
        route(R"({"host": "a.test", "mode": "intercept", "price": {"perRequest": "1"}, "credential":
        {"header": "X-Key", "value": "a ${file:first}-${file:second}-${env:NOMIQON_TEST_SECRET} z"}})");
    unsetenv("NOMIQON_TEST_SECRET");
    EXPECT_EQ(read.credential->value.reveal(), "a one-two-three z");
}

TEST_F(ConfigTest, SecretsComeFromCommands) {
    directory_.write("key", "sk-1 rest\n");
    const auto read =
        route(R"({"host": "a.test", "mode": "intercept", "price": {"perRequest": "1"}, "credential":
        {"header": "Authorization", "value": "Bearer ${cmd:awk '{print $1}' key}"}})");
    EXPECT_EQ(read.credential->value.reveal(), "Bearer sk-1");
}

TEST_F(ConfigTest, SecretsCommandThatFailsIsToldWithItsPlaceOnly) {
    const auto said =
        route_problems(R"({"host": "a.test", "mode": "intercept", "price": {"perRequest": "1"}, "credential":
        {"header": "A", "value": "${cmd:echo sk-out; echo sk-err >&2; exit 7}"}})");
    EXPECT_EQ(said, "c.json:2:25 /routes/0/credential/value  the secret's command ended with status 7\n");
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "mode": "intercept", "price": {"perRequest": "1"},
        "credential": {"header": "A", "value": "${cmd: }"}})"),
                "must hold a command");
}

TEST_F(ConfigTest, AgentsMayHaveCredentialsOfTheirOwn) {
    directory_.write("planner", "sk-planner\n");
    const auto read =
        route(R"({"host": "a.test", "mode": "intercept", "price": {"perRequest": "1"}, "credential":
        {"header": "Authorization", "value": "Bearer ${cmd:echo sk-all}",
         "agents": {"ag_01hzy3v8q4w5x6y7z8a9b0c1d2": "Bearer ${file:planner}"}}})");
    ASSERT_TRUE(read.credential);
    EXPECT_EQ(read.credential->value_for("ag_01hzy3v8q4w5x6y7z8a9b0c1d2").reveal(), "Bearer sk-planner");
    EXPECT_EQ(read.credential->value_for("ag_01hzy3v8q4w5x6y7z8a9b0c1d3").reveal(), "Bearer sk-all");
    EXPECT_EQ(read.credential->value_for("").reveal(), "Bearer sk-all");
}

TEST_F(ConfigTest, AgentsCredentialsAreChecked) {
    const auto said = [&](const std::string& agents) {
        return route_problems(
            R"({"host": "a.test", "mode": "intercept", "price": {"perRequest": "1"}, "credential":
            {"header": "A", "value": "${cmd:echo x}", "agents": )" +
            agents + "}}");
    };
    EXPECT_SAYS(said(R"({"planner": "${cmd:echo x}"})"),
                "/credential/agents/planner  `planner` is no agent's id");
    EXPECT_SAYS(said(R"({"ag_01HZY3V8Q4W5X6Y7Z8A9B0C1D2": "${cmd:echo x}"})"), "is no agent's id");
    EXPECT_SAYS(said(R"({"ag_01hzy3v8q4w5x6y7z8a9b0c1d2": "${file:none}"})"),
                "/agents/ag_01hzy3v8q4w5x6y7z8a9b0c1d2  the secret's file");
    EXPECT_SAYS(said(R"({"ag_01hzy3v8q4w5x6y7z8a9b0c1d2": "${cmd:printf 'a\\nX-Evil: 1'}"})"),
                "visible ASCII");
    EXPECT_SAYS(said("[]"), "must be an object");
}

TEST_F(ConfigTest, SecretsThatAreNotThereAreToldWithoutTheirText) {
    directory_.write("empty", "\n");
    const auto said = [&](const std::string& value) {
        return route_problems(
            R"({"host": "a.test", "mode": "intercept", "price": {"perRequest": "1"}, "credential":
            {"header": "X-Key", "value": ")" +
            value + "\"}}");
    };
    EXPECT_SAYS(said("${file:none}"), "none does not exist");
    EXPECT_SAYS(said("${file:empty}"), "is empty");
    EXPECT_SAYS(said("${env:NOMIQON_TEST_UNSET}"), "NOMIQON_TEST_UNSET is not set");
    EXPECT_SAYS(said("${env:}"), "must name");
    EXPECT_SAYS(said("${env:X"), "isn't closed");
    EXPECT_SAYS(said("sk-1\\u0000"), "control characters");
    const auto unknown = said("${sk-very-secret}");
    EXPECT_SAYS(unknown, "a reference is");
    EXPECT_EQ(unknown.find("very-secret"), std::string::npos);
    directory_.write("lines", "sk-secret\nX-Injected: 1\n");
    const auto lines = said("${file:lines}");
    EXPECT_SAYS(lines, "line breaks");
    EXPECT_EQ(lines.find("sk-secret"), std::string::npos);
}

TEST_F(ConfigTest, CredentialWrittenOutIsWarnedOfWithoutItsValue) {
    const auto config =
        loaded(R"({"routes": [{"host": "a.test", "mode": "intercept", "price": {"perRequest": "1"},
        "credential": {"query": "api_key", "value": "sk-written-out"}}]})");
    ASSERT_EQ(config.warnings.size(), 1U);
    EXPECT_SAYS(config.warnings[0], "/routes/0/credential/value: this credential is written out");
    EXPECT_EQ(config.warnings[0].find("sk-written"), std::string::npos);
    EXPECT_EQ(config.routes[0].credential->query, "api_key");
}

TEST_F(ConfigTest, CredentialsNameOnePlaceThatCanCarryThem) {
    const auto said = [&](const std::string& members) {
        return route_problems(
            R"({"host": "a.test", "mode": "intercept", "price": {"perRequest": "1"}, "credential": {)" +
            members + "}}");
    };
    EXPECT_SAYS(said(R"("header": "A", "query": "b", "value": "c")"), "exactly one of `header` and `query`");
    EXPECT_SAYS(said(R"("value": "c")"), "exactly one of `header` and `query`");
    EXPECT_SAYS(said(R"("header": "A")"), "needs a `value`");
    for (const auto* name : {"X Key", "X:Key", "X-Kéy", "(x)"}) {
        EXPECT_SAYS(said(R"("value": "c", "header": ")" + std::string(name) + '"'), "is no header name");
    }
    for (const auto* name : {"Connection", "proxy-authorization", "Transfer-Encoding", "Content-Length",
                             "Host", "TE", "X-Nomiqon-Spend-Token"}) {
        EXPECT_SAYS(said(R"("value": "c", "header": ")" + std::string(name) + '"'),
                    "can't carry a credential");
    }
    EXPECT_SAYS(said(R"("value": "c", "query": "a&b")"), "query parameter");
}

TEST_F(ConfigTest, CredentialInATunnelIsRefused) {
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "credential": {"header": "A", "value": "b"}})"),
                "/routes/0/credential  can't be put into a tunnel");
}

TEST_F(ConfigTest, RoutesReadAllTheirMembers) {
    const auto read = route(R"({"host": "API.Test", "port": 8443, "mode": "intercept", "meter": "openai",
        "provider": "azure", "upgrade": true,
        "price": {"perRequest": "0.5", "perConnection": "1", "paths": ["/a"], "maxSeconds": 60, "maxBytes": 1000}})");
    EXPECT_EQ(read.host, "api.test");
    EXPECT_EQ(read.port, 8443);
    EXPECT_EQ(read.mode, RouteMode::intercept);
    EXPECT_EQ(read.provider, "azure");
    EXPECT_TRUE(read.upgrade);
    EXPECT_EQ(read.price->paths, std::vector<std::string>{"/a"});
    EXPECT_EQ(read.price->max_time, Duration(60'000));
    EXPECT_EQ(read.price->max_bytes, 1000U);
    EXPECT_EQ(route(R"({"host": "a.test:8443"})").port, 8443);
    EXPECT_EQ(route(R"({"host": "*.Bücher.example"})").host, "*.xn--bcher-kva.example");
    EXPECT_TRUE(
        route(R"({"host": "[::1]", "raw": true, "price": {"perConnection": "0", "free": true}})").raw);
}

TEST_F(ConfigTest, PathsMayStandBesideThePrice) {
    const auto read =
        route(R"({"host": "a.test", "mode": "intercept", "meter": "tavily", "paths": ["/x", "/y"],
                                "price": {"perRequest": "0.5"}})");
    EXPECT_EQ(read.price->paths, (std::vector<std::string>{"/x", "/y"}));
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "mode": "intercept", "meter": "tavily", "paths": ["/x"],
                                   "price": {"perRequest": "0.5", "paths": ["/x"]}})"),
                "/routes/0/paths  stands in `price` too");
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "paths": ["/x"], "price": {"perRequest": "0.5"}})"),
                "no `meter`");
    EXPECT_SAYS(
        route_problems(R"({"host": "a.test", "mode": "intercept", "meter": "tavily", "paths": ["/x"]})"),
        "needs a `price` with `perRequest`");
    for (const auto* paths : {"[]", "[\"x\"]", "[\"/x?y\"]", "[\"/x/*\"]", "[1]", "\"/x\""}) {
        EXPECT_SAYS(route_problems(R"({"host": "a.test", "mode": "intercept", "meter": "tavily",
                                       "price": {"perRequest": "0.5"}, "paths": )" +
                                   std::string(paths) + "}"),
                    "/routes/0/paths")
            << paths;
    }
}

TEST_F(ConfigTest, RouteHostsAndPortsAreChecked) {
    for (const auto* host :
         {"", "127.1", "::1", "https://a.test", "a*.test", "*.", "a..b", "*.127.0.0.1", "a.test:0"}) {
        EXPECT_SAYS(route_problems(R"({"host": ")" + std::string(host) + "\"}"), "/routes/0/host") << host;
    }
    EXPECT_SAYS(route_problems(R"({"host": "a.test:1", "port": 2})"), "/routes/0/port  stands in `host` too");
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "port": 0})"), "from 1 to 65535");
    EXPECT_SAYS(route_problems("7"), "c.json:1:13 /routes/0  must be an object");
    EXPECT_SAYS(problems(R"({"routes": {}})"), "must be a list");
}

TEST_F(ConfigTest, RoutePricesOfZeroNeedFree) {
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "price": {"perConnection": "0.000"}})"),
                "/routes/0/price/perConnection  a price of 0");
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "price": {"perRequest": "1", "free": true}})"),
                "/routes/0/price/perRequest  a free route has no price");
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "price": {}})"),
                "needs `perRequest` or `perConnection`");
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "price": {"perRequest": 0.5}})"), "in a string");
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "price": "0.5"})"), "must be an object");
    EXPECT_TRUE(route(R"({"host": "a.test", "price": {"free": true}})").price->free);
}

TEST_F(ConfigTest, RoutesThatCannotWorkAreRefused) {
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "mode": "intercept"})"), "needs a `meter` or a `price`");
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "mode": "intercept", "meter": "opnai"})"),
                "did you mean `openai`?");
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "provider": "azure"})"), "no `meter`");
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "mode": "intercept", "meter": "openai", "raw": true})"),
                "only a tunnel can be raw");
}

TEST_F(ConfigTest, RoutesThatDoLessThanTheySayAreWarnedOf) {
    const auto warnings = [&](const std::string& text) {
        std::string all;
        for (const auto& warning : loaded(R"({"routes": [)" + text + "]}").warnings)
            all += warning + '\n';
        return all;
    };
    EXPECT_SAYS(warnings(R"({"host": "a.test", "meter": "openai"})"), "sees nothing inside a tunnel");
    EXPECT_SAYS(warnings(R"({"host": "a.test", "mode": "intercept", "meter": "openai", "upgrade": true})"),
                "upgrades stay");
    EXPECT_SAYS(
        warnings(
            R"({"host": "a.test", "mode": "intercept", "meter": "openai", "price": {"perRequest": "1"}})"),
        "lists none");
    EXPECT_SAYS(warnings(R"({"host": "a.test"}, {"host": "A.test"})"),
                "/routes/1: never used: `a.test` (route 0)");
    EXPECT_SAYS(warnings(R"({"host": "*"}, {"host": "*", "port": 1})"), "/routes/1: never used");
    EXPECT_SAYS(warnings(R"({"host": "*.test"}, {"host": "x.a.test:1"})"), "except those known to charge");
    EXPECT_EQ(
        warnings(R"({"host": "a.test", "port": 1}, {"host": "a.test"}, {"host": "*.a.test"}, {"host": "*"})"),
        "");
}

TEST_F(ConfigTest, RoutesTellTheirMetersMore) {
    const auto azure = route(R"({"host": "a.test", "mode": "intercept", "meter": "azure", "deferred": true,
        "deployments": {"prod-chat": "gpt-4o"},
        "tools": {"web_search": {"fee": "0.01", "maxCalls": 5, "tokensPerCall": 8000}}})");
    EXPECT_EQ(azure.meter, "azure");
    EXPECT_TRUE(azure.deferred);
    EXPECT_EQ(azure.deployments, (std::map<std::string, std::string>{{"prod-chat", "gpt-4o"}}));
    ASSERT_EQ(azure.tools.size(), 1U);
    EXPECT_EQ(azure.tools.at("web_search").fee, Usdc::parse("0.01"));
    EXPECT_EQ(azure.tools.at("web_search").max_calls, 5U);
    EXPECT_EQ(azure.tools.at("web_search").tokens_per_call, 8000U);
    EXPECT_EQ(route(R"({"host": "a.test", "mode": "intercept", "meter": "pinecone", "maxReadUnits": 10})")
                  .max_read_units,
              10U);
    const auto plain = route(R"({"host": "a.test"})");
    EXPECT_TRUE(plain.deployments.empty() && plain.tools.empty() && plain.max_read_units == 0 &&
                !plain.deferred);
}

TEST_F(ConfigTest, WhatMetersAreToldIsChecked) {
    const auto said = [&](const std::string& meter, const std::string& members) {
        return route_problems(R"({"host": "a.test", "mode": "intercept", "meter": ")" + meter + "\", " +
                              members + "}");
    };
    EXPECT_SAYS(said("openai", R"("deployments": {"a": "b"})"),
                "/routes/0/deployments  only the meter `azure` reads this");
    EXPECT_SAYS(said("openai", R"("maxReadUnits": 1)"), "only the meter `pinecone` reads this");
    EXPECT_SAYS(said("azure", R"("deployments": {"a": 7})"), "/routes/0/deployments/a  must be a string");
    EXPECT_SAYS(said("azure", R"("deployments": {"a/b": "m"})"), "is no deployment's name");
    EXPECT_SAYS(said("pinecone", R"("maxReadUnits": 0)"), "from 1 to");
    EXPECT_SAYS(said("openai", R"("deferred": 1)"), "true or false");
    EXPECT_SAYS(
        said("openai", R"("tools": {"web_search": {"fee": "0.01", "maxCalls": 0, "tokensPerCall": 1}})"),
        "/routes/0/tools/web_search/maxCalls  must be from 1");
    EXPECT_SAYS(said("openai", R"("tools": {"web_search": {"fee": "0.01", "maxCalls": 1}})"),
                "/routes/0/tools/web_search  needs `tokensPerCall`");
    EXPECT_SAYS(said("openai", R"("tools": {"web_search": {"fees": "0.01"}})"), "did you mean `fee`?");
    EXPECT_SAYS(said("openai", R"("tools": {"web_search": 1})"), "must be an object");
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "mode": "intercept", "price": {"perRequest": "1"},
                                   "deferred": true})"),
                "/routes/0/deferred  tells a meter more; this route has no `meter`");
    const auto config = loaded(R"({"routes": [{"host": "a.test", "mode": "intercept", "meter": "azure"}]})");
    ASSERT_EQ(config.warnings.size(), 1U);
    EXPECT_SAYS(config.warnings[0], "without `deployments`");
}

TEST_F(ConfigTest, RoutesHoldBoundsUnlessTheySayTypical) {
    const auto plain = route(R"({"host": "a.test"})");
    EXPECT_EQ(plain.reserve, ReserveMode::bound);
    EXPECT_TRUE(plain.overrun_limit.is_zero());
    EXPECT_EQ(route(R"({"host": "a.test", "reserve": "bound"})").reserve, ReserveMode::bound);
    const auto config = loaded(R"({"routes": [{"host": "a.test", "mode": "intercept", "meter": "openai",
                                               "reserve": "typical", "overrunLimit": "0.50"}]})");
    EXPECT_EQ(config.routes[0].reserve, ReserveMode::typical);
    EXPECT_EQ(config.routes[0].overrun_limit, Usdc::parse("0.5"));
    EXPECT_TRUE(config.warnings.empty());
}

TEST_F(ConfigTest, ReserveAndOverrunLimitAreChecked) {
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "reserve": "typcal"})"), "did you mean `typical`?");
    EXPECT_SAYS(route_problems(R"({"host": "a.test", "reserve": true})"), "/routes/0/reserve");
    for (const auto* limit : {"0.5", "\"-1\"", "\"0.0000000001\"", "\"a lot\"", "null"}) {
        EXPECT_SAYS(route_problems(R"({"host": "a.test", "reserve": "typical", "overrunLimit": )" +
                                   std::string(limit) + "}"),
                    "/routes/0/overrunLimit")
            << limit;
    }
}

TEST_F(ConfigTest, TypicalThatActsAsBoundIsWarnedOf) {
    const auto warnings = [&](const std::string& members) {
        const auto config =
            loaded(R"({"routes": [{"host": "a.test", "mode": "intercept", )" + members + "}]}");
        std::string all;
        for (const auto& warning : config.warnings)
            all += warning + '\n';
        return all;
    };
    const std::string without_limit =
        "/routes/0/reserve: `typical` acts as `bound` without an `overrunLimit` above 0";
    EXPECT_SAYS(warnings(R"("meter": "openai", "reserve": "typical")"), without_limit);
    EXPECT_SAYS(warnings(R"("meter": "openai", "reserve": "typical", "overrunLimit": "0.00")"),
                without_limit);
    EXPECT_SAYS(warnings(R"("price": {"perRequest": "1"}, "reserve": "typical", "overrunLimit": "1")"),
                "/routes/0/reserve: `typical` acts as `bound` without a `meter`");
    EXPECT_SAYS(warnings(R"("meter": "openai", "overrunLimit": "1")"), "/routes/0/overrunLimit: counts only");
    EXPECT_EQ(warnings(R"("meter": "openai", "reserve": "bound")"), "");
}

}  // namespace
}  // namespace nomiqon
