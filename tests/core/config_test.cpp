#include "nomiqon/core/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "config_value.h"
#include "core/config_fixture.h"

namespace nomiqon {
namespace {

TEST_F(ConfigTest, DefaultsHoldWithoutAFile) {
    const auto config = load_config(std::nullopt, {.data_dir = directory_.path().string()});
    ASSERT_TRUE(config);
    EXPECT_EQ(config->proxy_listen.to_string(), "127.0.0.1:3128");
    EXPECT_EQ(config->admin_listen.to_string(), "127.0.0.1:3129");
    EXPECT_EQ(config->wallet.backend, "ledger");
    EXPECT_TRUE(config->database.url.empty());
    EXPECT_TRUE(config->warnings.empty());
    EXPECT_EQ(config->shutdown.drain, Duration(10'000));
}

TEST_F(ConfigTest, TakesTheExampleOfTheSpecification) {
    directory_.write("extra-roots.pem", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n");
    directory_.write("openai", "sk-secret\n");
    fs::create_directory(directory_.path() / "prices");
    directory_.write("prices/models.json", "{}");
    const auto config = loaded(R"(
    {
      "token":    { "audience": "nomiqon" },
      "wallet":   { "backend": "ledger" },                       // a comment
      "upstream": { "allowPrivate": ["127.0.0.0/8"],             /* another */
                    "resolve": { "API.openai.com:443": "127.0.0.1:8443" },
                    "caFile": "extra-roots.pem" },
      "prices":   { "models": "prices/models.json" },
      "routes": [
        { "host": "api.openai.com",  "mode": "intercept", "meter": "openai",
          "credential": { "header": "Authorization", "value": "Bearer ${file:openai}" } },
        { "host": "api.tavily.com",  "mode": "intercept", "price": { "perRequest": "0.008" } },
        { "host": "*",               "mode": "tunnel",    "price": { "perConnection": "0.001" } }
      ]
    })");
    ASSERT_EQ(config.upstream.allow_private.size(), 1U);
    const auto target = config.upstream.resolve.at("api.openai.com:443");
    EXPECT_EQ(target.first.to_string(), "127.0.0.1");
    EXPECT_EQ(target.second, 8443);
    EXPECT_EQ(config.upstream.ca_file, directory_.path() / "extra-roots.pem");
    EXPECT_EQ(config.prices.models, directory_.path() / "prices/models.json");
    ASSERT_EQ(config.routes.size(), 3U);
    EXPECT_EQ(config.routes[0].credential->value.reveal(), "Bearer sk-secret");
    EXPECT_EQ(config.routes[0].meter, "openai");
    EXPECT_EQ(config.routes[1].price->per_request, Usdc::parse("0.008"));
    EXPECT_EQ(config.routes[2].mode, RouteMode::tunnel);
    EXPECT_TRUE(config.warnings.empty());
}

TEST_F(ConfigTest, ReadsEveryScalarKey) {
    const auto config = loaded(R"({
        "dataDir": "state", "proxy": {"listen": "[::1]:1", "threads": 3}, "admin": {"listen": "10.0.0.1:0"},
        "database": {"url": "postgres://u:p@h/d", "runtimeUrl": "host=h user=r", "connections": 4, "timeout": "1s",
                     "queue": 5, "batch": 6},
        "token": {"audience": "other"}, "policy": {"requireAllowlist": true},
        "reservation": {"wait": "0s", "lease": "5s"},
        "upstream": {"connectTimeout": "10ms", "resolveTimeout": "2s", "responseTimeout": "3s", "idleTimeout": "4s"},
        "limits": {"headerBytes": 1024, "headerCount": 8, "bodyBytes": 2048, "connections": 7, "headerTimeout": "1m",
                   "idleTimeout": "2m", "clientHelloTimeout": "3m", "adminBodyBytes": 4096, "adminConnections": 8,
                   "refusals": 0, "dnsEntries": 0, "dnsTtl": "1h"},
        "shutdown": {"drain": "0s"}, "log": {"level": "debug", "format": "json"}})");
    EXPECT_EQ(config.data_dir, directory_.path() / "data") << "the option goes before the file";
    EXPECT_EQ(config.proxy_listen.to_string(), "[::1]:1");
    EXPECT_EQ(config.threads, 3U);
    EXPECT_EQ(config.admin_listen.to_string(), "10.0.0.1:0");
    EXPECT_EQ(config.database.url, "postgres://u:p@h/d");
    EXPECT_EQ(config.database.runtime_url, "host=h user=r");
    EXPECT_EQ(config.database.connections, 4U);
    EXPECT_EQ(config.database.timeout, Duration(1000));
    EXPECT_EQ(config.database.queue, 5U);
    EXPECT_EQ(config.database.batch, 6U);
    EXPECT_EQ(config.token.audience, "other");
    EXPECT_TRUE(config.policy.require_allowlist);
    EXPECT_EQ(config.reservation.wait, Duration(0));
    EXPECT_EQ(config.reservation.lease, Duration(5000));
    EXPECT_EQ(config.upstream.connect_timeout, Duration(10));
    EXPECT_EQ(config.upstream.resolve_timeout, Duration(2000));
    EXPECT_EQ(config.upstream.response_timeout, Duration(3000));
    EXPECT_EQ(config.upstream.idle_timeout, Duration(4000));
    EXPECT_EQ(config.limits.header_bytes, 1024U);
    EXPECT_EQ(config.limits.header_count, 8U);
    EXPECT_EQ(config.limits.body_bytes, 2048U);
    EXPECT_EQ(config.limits.connections, 7U);
    EXPECT_EQ(config.limits.header_timeout, Duration(60'000));
    EXPECT_EQ(config.limits.idle_timeout, Duration(120'000));
    EXPECT_EQ(config.limits.client_hello_timeout, Duration(180'000));
    EXPECT_EQ(config.limits.admin_body_bytes, 4096U);
    EXPECT_EQ(config.limits.admin_connections, 8U);
    EXPECT_EQ(config.limits.refusals, 0U);
    EXPECT_EQ(config.limits.dns_entries, 0U);
    EXPECT_EQ(config.limits.dns_ttl, Duration(3'600'000));
    EXPECT_EQ(config.shutdown.drain, Duration(0));
    EXPECT_EQ(config.log.level, "debug");
    EXPECT_EQ(config.log.format, "json");
}

TEST_F(ConfigTest, DataDirOfTheFileIsRelativeToIt) {
    const auto config = load_config(directory_.write("c.json", R"({"dataDir": "a/../state"})"), {});
    ASSERT_TRUE(config);
    EXPECT_EQ(config->data_dir, directory_.path() / "state");
}

TEST_F(ConfigTest, OptionsGoBeforeTheFile) {
    const auto config = load(R"({"proxy": {"listen": "127.0.0.1:1"}, "admin": {"listen": "127.0.0.1:2"},
                                 "database": {"url": "postgresql://file/x"}})",
                             {.data_dir = {},
                              .proxy_listen = "127.0.0.1:5",
                              .admin_listen = "127.0.0.1:6",
                              .database_url = "postgresql://option/x",
                              .runtime_url = {}});
    ASSERT_TRUE(config);
    EXPECT_EQ(config->proxy_listen.port, 5);
    EXPECT_EQ(config->admin_listen.port, 6);
    EXPECT_EQ(config->database.url, "postgresql://option/x");
}

TEST_F(ConfigTest, SaysWhichOptionIsWrong) {
    const auto said = problems("{}", {.data_dir = "",
                                      .proxy_listen = "localhost:1",
                                      .admin_listen = ":2",
                                      .database_url = "mysql://root:hunter2@h/x?a=b",
                                      .runtime_url = "postgresql://h:port/x"});
    EXPECT_SAYS(said, "--data-dir  ");
    EXPECT_SAYS(said, "--proxy-listen  ");
    EXPECT_SAYS(said, "--admin-listen  ");
    EXPECT_SAYS(said, "--database-url  ");
    EXPECT_SAYS(said, "--runtime-url  ");
    EXPECT_EQ(said.find("hunter2"), std::string::npos);
}

TEST_F(ConfigTest, FilesThatCannotBeReadAreNamed) {
    const auto said = [&](const fs::path& file) {
        return shown(load_config(file, {.data_dir = directory_.path().string()}));
    };
    EXPECT_SAYS(said(directory_.path() / "none.json"), "none.json  the configuration does not exist");
    EXPECT_SAYS(said(directory_.path()), "is a directory");
    EXPECT_SAYS(said(directory_.write("empty.json", "")), "is empty");
    EXPECT_SAYS(said(directory_.write("blank.json", " \n\t")), "is empty");
    EXPECT_SAYS(said(directory_.write("large.json", std::string(1024 * 1024 + 1, ' '))),
                "larger than 1048576 bytes");
    ASSERT_EQ(mkfifo((directory_.path() / "pipe").c_str(), 0600), 0);
    EXPECT_SAYS(said(directory_.path() / "pipe"), "not a regular file") << "a pipe would block";
    if (geteuid() != 0) {
        const auto secret = directory_.write("secret.json", "{}");
        fs::permissions(secret, fs::perms::none);
        EXPECT_SAYS(said(secret), "can't be read");
    }
}

TEST_F(ConfigTest, SyntaxIsToldByLineAndColumn) {
    EXPECT_SAYS(problems("{\n  \"proxy\": {,}\n}"), "c.json:2:13");
    EXPECT_SAYS(problems("{} {}"), "c.json:1:");
    EXPECT_SAYS(problems("// only a comment"), "c.json:1:");
    EXPECT_SAYS(problems("[]"), "c.json:1:1  must be an object");
}

TEST_F(ConfigTest, EveryMistakeIsToldAtOnceWithItsPlace) {
    const auto said = problems(R"({
  "limits": {
    "headerBytes": 1,
    "hedaerCount": 5,
    "idleTimeout": 60
  },
  /* "routes": [] */
  "routes": [ {"host": "*"},
              {"mode": "intercpt", "price": {"perRequest": "-1"}}],
  "wallet": {"backend": "solana"},
  "log": "debug"
})");
    EXPECT_SAYS(said, "c.json:3:5 /limits/headerBytes  must be from 1024 to 1048576");
    EXPECT_SAYS(said,
                "c.json:4:5 /limits/hedaerCount  unknown key `hedaerCount`; did you mean `headerCount`?");
    EXPECT_SAYS(said, "c.json:5:5 /limits/idleTimeout  must be a string with a unit");
    EXPECT_SAYS(said, "c.json:9:15 /routes/1  needs a `host`");
    EXPECT_SAYS(said, "c.json:9:16 /routes/1/mode  `intercpt` is none of: tunnel, intercept; did you mean");
    EXPECT_SAYS(said, "c.json:9:46 /routes/1/price/perRequest  must be an amount");
    EXPECT_SAYS(said, "c.json:10:14 /wallet/backend  `solana` is not built yet");
    EXPECT_SAYS(said, "c.json:11:3 /log  must be an object");
    EXPECT_EQ(lines_of(said), 8U) << said;
}

TEST_F(ConfigTest, OneAgentsLookUpsMustLeaveThreadsForOthers) {
    EXPECT_SAYS(problems(R"({"limits": {"dnsThreads": 4}})"), "less than `limits.dnsThreads`");
    EXPECT_SAYS(problems(R"({"limits": {"dnsPerAgent": 16}})"), "less than `limits.dnsThreads`");
    const auto config = loaded(R"({"limits": {"dnsThreads": 9, "dnsPerAgent": 8}})");
    EXPECT_EQ(config.limits.dns_threads, 9U);
    EXPECT_EQ(config.limits.dns_per_agent, 8U);
}

TEST_F(ConfigTest, UnknownKeysSuggestTheNearest) {
    EXPECT_SAYS(problems(R"({"proxyListen": "127.0.0.1:1"})"), "did you mean `proxy.listen`?");
    EXPECT_SAYS(problems(R"({"token.audience": "x"})"), "did you mean `token.audience`?");
    EXPECT_SAYS(problems(R"({"Proxy": {}})"), "did you mean `proxy`?");
    EXPECT_SAYS(problems(R"({"database": {"runtime_url": "x"}})"), "did you mean `runtimeUrl`?");
    EXPECT_SAYS(problems(R"({"zebra": 1})"), "unknown key `zebra`\n");
    EXPECT_SAYS(route_problems(R"({"host": "*", "prise": {}})"), "did you mean `price`?");
    EXPECT_SAYS(route_problems(R"({"host": "*", "price": {"per_request": "1"}})"),
                "did you mean `perRequest`?");
}

TEST_F(ConfigTest, NumbersAreWholeAndInRange) {
    for (const auto* value :
         {"0", "65", "-1", "2.5", "\"2\"", "null", "true", "99999999999999999999", "[]"}) {
        const auto said = problems(R"({"database": {"connections": )" + std::string(value) + "}}");
        EXPECT_SAYS(said, "/database/connections") << value;
    }
}

TEST_F(ConfigTest, DurationsHaveAUnitAndARange) {
    for (const auto* value :
         {"\"\"", "\"5\"", "\"-5s\"", "\"5 s\"", "\"5 weeks\"", "5", "\"1ms\"", "\"6m\"", "null"}) {
        const auto said = problems(R"({"upstream": {"connectTimeout": )" + std::string(value) + "}}");
        EXPECT_SAYS(said, "c.json:1:15 /upstream/connectTimeout  ") << value;
    }
    EXPECT_SAYS(problems(R"({"upstream": {"connectTimeout": "6m"}})"), "from 10ms to 5m");
}

TEST_F(ConfigTest, ListenAddressesAreLiteralsAndDiffer) {
    for (const auto* value : {"localhost:80", "127.0.0.1", ":3128", "127.0.0.1:", "127.0.0.1:65536", "::1:80",
                              "[127.0.0.1]:80", "[::1]", "127.0.0.1:080", "*:80"}) {
        EXPECT_SAYS(problems(R"({"proxy": {"listen": ")" + std::string(value) + "\"}}"), "/proxy/listen")
            << value;
    }
    EXPECT_SAYS(problems(R"({"proxy": {"listen": "127.0.0.1:3129"}})"),
                "admin.listen  127.0.0.1:3129 is where");
    EXPECT_SAYS(problems(R"({"proxy": {"listen": "0.0.0.0:3129"}})"), "is where the proxy listens");
    EXPECT_EQ(problems(R"({"proxy": {"listen": "127.0.0.1:0"}, "admin": {"listen": "127.0.0.1:0"}})"), "");
    EXPECT_EQ(problems(R"({"proxy": {"listen": "127.0.0.2:3129"}})"), "");
}

TEST_F(ConfigTest, DataDirectoryMustBeOne) {
    const auto file = directory_.write("file", "x");
    EXPECT_SAYS(problems("{}", {.data_dir = file.string(),
                                .proxy_listen = {},
                                .admin_listen = {},
                                .database_url = {},
                                .runtime_url = {}}),
                "is not a directory");
}

TEST_F(ConfigTest, DefaultDataDirectoryIsTheUsers) {
    const auto config = load_config(std::nullopt, {});
    ASSERT_TRUE(config);
    if (geteuid() == 0) {
        EXPECT_EQ(config->data_dir, "/var/lib/nomiqon");
    } else {
        EXPECT_EQ(config->data_dir.filename(), "nomiqon");
        EXPECT_TRUE(config->data_dir.is_absolute());
    }
}

TEST_F(ConfigTest, BlocksWithHostBitsSuggestTheRightOne) {
    const auto said = [&](const std::string& block) {
        return problems(R"({"upstream": {"allowPrivate": [")" + block + "\"]}}");
    };
    EXPECT_SAYS(said("127.0.0.1/8"),
                "/upstream/allowPrivate/0  `127.0.0.1/8` is no CIDR block; did you mean "
                "`127.0.0.0/8`?");
    EXPECT_SAYS(said("10.1.2.3/20"), "`10.1.0.0/20`");
    EXPECT_SAYS(said("fd00::1/12"), "`fd00::/12`");
    EXPECT_SAYS(said("10.0.0.1"), "`10.0.0.1/32`");
    EXPECT_SAYS(said("::1"), "`::1/128`");
    for (const auto* block : {"10.0.0.0/33", "10.0.0/8", "localhost/8", "10.0.0.0/", "10.0.0.0/-1", "/8"}) {
        EXPECT_SAYS(said(block), "is no CIDR block, such as") << block;
    }
    EXPECT_SAYS(problems(R"({"upstream": {"allowPrivate": "10.0.0.0/8"}})"), "must be a list");
}

TEST_F(ConfigTest, PermittingEveryAddressIsWarnedOf) {
    const auto config = loaded(R"({"upstream": {"allowPrivate": ["0.0.0.0/0"]}})");
    ASSERT_EQ(config.warnings.size(), 1U);
    EXPECT_SAYS(config.warnings[0], "permits every address");
}

TEST_F(ConfigTest, ResolveMapsEndpointsToAddresses) {
    const auto said = [&](const std::string& entries) {
        return problems(R"({"upstream": {"resolve": {)" + entries + "}}}");
    };
    EXPECT_SAYS(said(R"("api.test": "127.0.0.1:1")"), "/upstream/resolve/api.test  ");
    EXPECT_SAYS(said(R"("api.test:443": "127.0.0.1")"), "must be an address and a port");
    EXPECT_SAYS(said(R"("api.test:443": "127.0.0.1:0")"), "must be an address and a port");
    EXPECT_SAYS(said(R"("api.test:443": "other.test:443")"), "must be an address and a port");
    EXPECT_SAYS(said(R"("api.test:443": 1)"), "must be a string");
    EXPECT_SAYS(said(R"("api.test:443": "127.0.0.1:1", "API.test:443": "127.0.0.1:2")"),
                "the same host and port");
    EXPECT_EQ(said(R"("api.test:443": "[::1]:8443")"), "");
}

TEST_F(ConfigTest, CaFileMustHoldACertificate) {
    directory_.write("key.pem", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n");
    EXPECT_SAYS(problems(R"({"upstream": {"caFile": "key.pem"}})"), "holds no certificate");
    EXPECT_SAYS(problems(R"({"upstream": {"caFile": "none.pem"}})"), "none.pem does not exist");
    EXPECT_SAYS(problems(R"({"upstream": {"caFile": "."}})"), "is a directory");
}

TEST_F(ConfigTest, PriceBookMustBeAJsonObject) {
    directory_.write("list.json", "[]");
    directory_.write("broken.json", "{\"a\": ");
    EXPECT_SAYS(problems(R"({"prices": {"models": "list.json"}})"), "one JSON object");
    EXPECT_SAYS(problems(R"({"prices": {"models": "broken.json"}})"), "not valid JSON");
    EXPECT_SAYS(problems(R"({"prices": {"models": "none.json"}})"), "does not exist");
}

TEST_F(ConfigTest, AudienceMintAndLogAreChecked) {
    EXPECT_SAYS(problems(R"({"token": {"audience": ""}})"), "must not be empty");
    EXPECT_SAYS(problems(R"({"token": {"audience": "a\nb"}})"), "control characters");
    EXPECT_SAYS(problems(R"({"token": {"audience": ")" + std::string(256, 'a') + "\"}}"), "longer than 255");
    EXPECT_SAYS(problems(R"({"wallet": {"mint": "0OIl"}})"), "no Solana address");
    EXPECT_SAYS(problems(R"({"wallet": {"mint": "2g"}})"), "no Solana address");
    EXPECT_SAYS(problems(R"({"wallet": {"backend": "ledgr"}})"), "did you mean `ledger`?");
    EXPECT_SAYS(problems(R"({"log": {"level": "warning"}})"), "did you mean `warn`?");
}

TEST_F(ConfigTest, DatabaseUrlsAreCheckedForTheirForm) {
    using config_detail::database_url_problem;
    for (const auto* good :
         {"postgresql://", "postgres://h", "postgresql://u:p%40ss@h:5432/d?sslmode=require&connect_timeout=3",
          "postgresql://[::1]:5432/d", "postgresql://a:1,b:2/d", "postgresql:///d?host=/run/postgresql",
          "host=/tmp user=x", "host = h  password='it\\'s'", "password='a b\\'c' dbname=d", "dbname=d"}) {
        EXPECT_FALSE(database_url_problem(good)) << good << ": " << *database_url_problem(good);
    }
    for (const auto* bad : {"nomiqon", "mysql://h/d", "http://h/?a=b", "postgresql://h:port/d",
                            "postgresql://h:99999/d", "postgresql://u:pass/word@h/d", "postgresql://[::1/d",
                            "postgresql://h/d?sslmode", "postgresql://h/%zz", "postgresql://h/a b",
                            "password=two words", "password='open", "=x", "Host=h"}) {
        const auto problem = database_url_problem(bad);
        ASSERT_TRUE(problem) << bad;
        EXPECT_EQ(problem->find("pass/"), std::string::npos) << *problem;
        EXPECT_EQ(problem->find("words"), std::string::npos) << *problem;
    }
}

TEST_F(ConfigTest, DatabasePasswordsNeverAppearInProblems) {
    setenv("NOMIQON_TEST_PASSWORD", "hunter2 and more", 1);
    const auto said = problems(R"({"database": {"url": "postgresql://u:${env:NOMIQON_TEST_PASSWORD}@h/d"}})");
    unsetenv("NOMIQON_TEST_PASSWORD");
    EXPECT_SAYS(said, "/database/url");
    EXPECT_EQ(said.find("hunter2"), std::string::npos);
}

TEST_F(ConfigTest, RuntimeUrlNeedsADatabase) {
    EXPECT_SAYS(problems(R"({"database": {"runtimeUrl": "host=h"}})"), "database.runtimeUrl  ");
    EXPECT_EQ(problems(R"({"database": {"runtimeUrl": "host=h"}})", {.data_dir = {},
                                                                     .proxy_listen = {},
                                                                     .admin_listen = {},
                                                                     .database_url = "host=h",
                                                                     .runtime_url = {}}),
              "");
}

}  // namespace
}  // namespace nomiqon
