#include <fstream>
#include <set>
#include <sstream>

#include "api_world.h"
#include "openapi.h"

namespace nomiqon::admin {
namespace {

using ConventionsTest = ApiTest;

TEST_F(ConventionsTest, EveryAnswerHasTheEnvelope) {
    const auto answered = get("/v1/agents");
    EXPECT_TRUE(RequestId::parse(answered.meta["requestId"].get<std::string>()));
    EXPECT_EQ(answered.header("X-Request-Id"), answered.meta["requestId"].get<std::string>());
    EXPECT_EQ(answered.meta["version"], "2026-05-01");
    EXPECT_EQ(answered.header("Nomiqon-Version"), "2026-05-01");
    EXPECT_TRUE(parse_time(answered.meta["timestamp"].get<std::string>()));
    EXPECT_EQ(send(key_, "GET", "/v1/agents", "", {{"nomiqon-version", "2026-05-01"}}).status, 200);
    EXPECT_EQ(send(key_, "GET", "/v1/agents", "", {{"nomiqon-version", "2020-01-01"}}).param(),
              "Nomiqon-Version");
}

TEST_F(ConventionsTest, ErrorsHaveTheirShape) {
    const auto missing = get("/v1/agents/ag_01hzzzzzzzzzzzzzzzzzzzzzzz");
    EXPECT_EQ(missing.status, 404);
    EXPECT_EQ(missing.error["type"], "invalid_request_error");
    EXPECT_EQ(missing.error["code"], "not_found");
    EXPECT_EQ(missing.header("X-Request-Id"), missing.error["requestId"].get<std::string>());
    EXPECT_EQ(get("/v1/agents/%00").status, 404);
    EXPECT_EQ(get("/v1/agents/").status, 404);
    EXPECT_EQ(get("/v1/nothing").status, 404);
    EXPECT_NE(get("/v1/webhooks").error["message"].get<std::string>().find("not in this version"),
              std::string::npos);
    const auto wrong_method = send(key_, "PUT", "/v1/agents/x");
    EXPECT_EQ(wrong_method.status, 405);
    EXPECT_EQ(wrong_method.header("Allow"), "GET, PATCH, DELETE");
}

TEST_F(ConventionsTest, BodiesAreReadStrictly) {
    for (const std::string body :
         {"{", "[]", "\"x\"", "{\"name\": \"a\", \"name\": \"b\"}", "{} {}", "{\"a\": NaN}"}) {
        const auto answered = send(key_, "POST", "/v1/agents", body);
        EXPECT_EQ(answered.status, 422) << body;
        EXPECT_EQ(answered.code(), "validation_error");
    }
    const auto path = "/v1/agents/" + make_agent("a");
    EXPECT_EQ(post(path + "/pause", {{"why", "x"}}).param(), "/why");
    EXPECT_EQ(send(key_, "DELETE", path, "{\"really\": true}").param(), "/really");
    EXPECT_EQ(send(key_, "GET", path, "{\"x\": 1}").param(), "/x");
}

TEST_F(ConventionsTest, KeysAreNeededAndScopesAreKept) {
    const auto path = "/v1/agents/" + make_agent("a");
    EXPECT_EQ(send("", "GET", path).status, 401);
    const auto unknown = send(new_api_key(), "GET", path);
    EXPECT_EQ(unknown.code(), "unauthorized");
    EXPECT_EQ(unknown.header("WWW-Authenticate"), "Bearer realm=\"nomiqon\"");
    EXPECT_EQ(send("nmq_wrong", "GET", path).status, 401);

    const auto reader = add_key("read");
    EXPECT_EQ(send(reader, "GET", path).status, 200);
    EXPECT_EQ(send(reader, "POST", path + "/pause").code(), "forbidden");
    EXPECT_EQ(send(reader, "PATCH", path, R"({"policy": {"frozen": true}})").status, 403);
    EXPECT_EQ(send(reader, "GET", "/v1/api-keys").status, 403);

    const auto op = add_key("operator");
    EXPECT_EQ(
        send(op, "PATCH", path, R"({"policy": {"frozen": true}, "reason": "r"})").data["policy"]["frozen"],
        true);
    EXPECT_EQ(send(op, "PATCH", path, R"({"policy": {"frozen": false, "dailyCap": "9"}})").status, 403);
    EXPECT_EQ(send(op, "PATCH", path, R"({"name": "b"})").status, 403);
    EXPECT_EQ(send(op, "POST", path + "/pause").status, 200);
    EXPECT_EQ(send(op, "POST", path + "/fund", R"({"amount": "1"})").status, 403);
    EXPECT_EQ(send(op, "DELETE", path).status, 403);
    EXPECT_EQ(send(op, "POST", "/v1/api-keys", R"({"name": "x", "scopes": ["full"]})").status, 403);
}

TEST_F(ConventionsTest, GuessingKeysIsSlowedAndNobodyIsLockedOut) {
    int limited = 0;
    for (int i = 0; i < 60; ++i)
        limited += send("nmq_wrong", "GET", "/v1/agents").status == 429;
    EXPECT_GT(limited, 10);
    EXPECT_EQ(get("/v1/agents").status, 200);
}

TEST_F(ConventionsTest, ApiKeysAreShownOnceAndRevokedForGood) {
    const auto made =
        post("/v1/api-keys", {{"name", "ci"}, {"scopes", {"read", "operator"}}}, {{"idempotency-key", "k"}});
    ASSERT_EQ(made.status, 201) << made.response.body;
    const auto key = made.data["key"].get<std::string>();
    EXPECT_TRUE(is_api_key(key));
    EXPECT_EQ(send(key, "GET", "/v1/agents").status, 200);
    const auto again =
        post("/v1/api-keys", {{"name", "ci"}, {"scopes", {"read", "operator"}}}, {{"idempotency-key", "k"}});
    EXPECT_EQ(again.data["id"], made.data["id"]);
    EXPECT_EQ(again.data["key"], nullptr) << "nobody kept it";
    EXPECT_EQ(get("/v1/api-keys").response.body.find(key), std::string::npos);
    EXPECT_EQ(
        value("select count(*) from nomiqon.idempotency_keys where response::text like '%" + key + "%'"),
        "0");

    EXPECT_EQ(remove("/v1/api-keys/" + made.data["id"].get<std::string>()).status, 200);
    EXPECT_EQ(send(key, "GET", "/v1/agents").status, 401);
    EXPECT_EQ(remove("/v1/api-keys/key_01hzzzzzzzzzzzzzzzzzzzzzzz").status, 404);
    const auto own = value("select key_id from nomiqon.api_keys where 'full' = any (scopes)");
    EXPECT_EQ(remove("/v1/api-keys/" + own).code(), "conflict") << "the last full one";
    EXPECT_EQ(post("/v1/api-keys", {{"name", "x"}, {"scopes", json::array()}}).param(), "/scopes");
    EXPECT_EQ(post("/v1/api-keys", {{"name", "x"}, {"scopes", {"read", "root"}}}).param(), "/scopes/1");
}

TEST_F(ConventionsTest, AnIdempotencyKeyDoesAWriteOnce) {
    const auto body = new_agent("a");
    const Headers key{{"idempotency-key", "k-1"}};
    const auto first = post("/v1/agents", body, key);
    const auto again = post("/v1/agents", body, key);
    EXPECT_EQ(again.status, 201);
    EXPECT_EQ(again.data, first.data);
    EXPECT_EQ(again.header("Idempotency-Replayed"), "true");
    EXPECT_EQ(post("/v1/agents", new_agent("b"), key).code(), "conflict");
    const auto path = "/v1/agents/" + first.data["id"].get<std::string>();

    const Headers fund{{"idempotency-key", "k-2"}};
    post(path + "/fund", {{"amount", "1"}}, fund);
    EXPECT_EQ(post(path + "/fund", {{"amount", "1"}}, fund).data["wallet"]["balance"], "1.000000");
    EXPECT_EQ(get(path).data["wallet"]["balance"], "1.000000");

    const Headers failing{{"idempotency-key", "k-3"}};
    EXPECT_EQ(post("/v1/agents", new_agent("a"), failing).status, 409);
    EXPECT_EQ(post("/v1/agents", new_agent("c"), failing).status, 201) << "what failed left no key";
    EXPECT_EQ(post("/v1/agents", new_agent("d"), {{"idempotency-key", std::string(256, 'k')}}).param(),
              "Idempotency-Key");
}

TEST_F(ConventionsTest, ParallelRepetitionsOfAWriteDoItOnce) {
    const auto path = "/v1/agents/" + make_agent("a") + "/fund";
    std::vector<std::future<Answered>> same;
    for (int i = 0; i < 8; ++i) {
        same.push_back(send_in_parallel("POST", path, {{"amount", "1"}}, {{"idempotency-key", "k"}}));
    }
    for (auto& one : same)
        EXPECT_EQ(one.get().data["wallet"]["balance"], "1.000000");
    EXPECT_EQ(value("select balance from nomiqon.wallets"), "1000000000");
}

TEST_F(ConventionsTest, TheLastFullKeySurvivesParallelRevocations) {
    add_key("full");
    const auto ids = get("/v1/api-keys").data;
    std::vector<std::future<Answered>> revocations;
    for (const auto& key : ids) {
        revocations.push_back(
            send_in_parallel("DELETE", "/v1/api-keys/" + key["id"].get<std::string>(), json::object()));
    }
    for (auto& one : revocations)
        one.wait();
    EXPECT_EQ(value("select count(*) from nomiqon.api_keys where revoked_at is null"), "1");
}

TEST_F(ConventionsTest, WithoutTheDatabaseTheAnswerIs503) {
    store_->connect("host=/nonexistent dbname=x", "");
    store_->stop(Duration{100});
    const auto answered = get("/v1/agents");
    EXPECT_EQ(answered.status, 503);
    EXPECT_EQ(answered.code(), "unavailable");
    EXPECT_EQ(answered.header("Retry-After"), "1");
    EXPECT_EQ(send("", "GET", "/healthz").response.body, "ok\n");
}

TEST_F(ConventionsTest, PagesNeedNoKey) {
    EXPECT_EQ(send("", "GET", "/readyz").response.body, R"({"status":"ready"})");
    get("/v1/agents");
    EXPECT_NE(send("", "GET", "/metrics")
                  .response.body.find("nomiqon_admin_requests_total{method=\"GET\",status=\"200\"} 2"),
              std::string::npos);
    EXPECT_EQ(send("", "POST", "/healthz").status, 405);
    std::ifstream file{NOMIQON_SOURCE_DIR "/src/admin/openapi.json"};
    std::stringstream text;
    text << file.rdbuf();
    EXPECT_EQ(send("", "GET", "/openapi.json").response.body, text.str());
}

/// The names of an operation's parameters in the query, with the references followed.
std::set<std::string> query_names(const json& document, const json& operation) {
    std::set<std::string> names;
    for (json parameter : operation.value("parameters", json::array())) {
        if (parameter.contains("$ref")) {
            parameter = document.at(json::json_pointer(parameter["$ref"].get<std::string>().substr(1)));
        }
        if (parameter["in"] == "query") names.insert(parameter["name"].get<std::string>());
    }
    return names;
}

TEST(OpenApiTest, DescribesEveryCallAndNoOther) {
    const auto document = json::parse(openapi_document());
    std::set<std::string> described;
    for (const auto& path : document["paths"].items()) {
        for (const auto& operation : path.value().items()) {
            std::string method = operation.key();
            std::ranges::transform(method, method.begin(), [](char c) { return static_cast<char>(c - 32); });
            if (path.key().starts_with("/v1/")) described.insert(method + ' ' + path.key());
        }
    }
    std::set<std::string> built;
    for (const auto& route : routes()) {
        built.insert(std::string{route.method} + ' ' + std::string{route.pattern});
        std::string method{route.method};
        std::ranges::transform(method, method.begin(), [](char c) { return static_cast<char>(c + 32); });
        const json& operation = document["paths"].at(std::string{route.pattern}).at(method);

        std::istringstream query{std::string{route.query}};
        const std::set<std::string> known{std::istream_iterator<std::string>{query}, {}};
        EXPECT_EQ(query_names(document, operation), known) << route.pattern;

        if (route.members == "*" || route.members.empty()) continue;
        const auto schema =
            operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].get<std::string>();
        std::set<std::string> members;
        for (const auto& item : document.at(json::json_pointer(schema.substr(1)))["properties"].items()) {
            members.insert(item.key());
        }
        std::istringstream words{std::string{route.members}};
        EXPECT_EQ(members, (std::set<std::string>{std::istream_iterator<std::string>{words}, {}}))
            << route.pattern;
    }
    EXPECT_EQ(described, built);
}

TEST(OpenApiTest, EveryReferenceLeadsSomewhere) {
    const auto document = json::parse(openapi_document());
    const std::function<void(const json&)> check = [&](const json& value) {
        if (value.is_object() && value.contains("$ref")) {
            EXPECT_TRUE(document.contains(json::json_pointer(value["$ref"].get<std::string>().substr(1))))
                << value;
        }
        if (value.is_structured()) {
            for (const auto& item : value)
                check(item);
        }
    };
    check(document);
}

TEST_F(ConventionsTest, AnAgentHasTheMembersThatTheDescriptionSays) {
    const auto document = json::parse(openapi_document());
    const auto members = [](const json& object) {
        std::set<std::string> names;
        for (const auto& item : object.items())
            names.insert(item.key());
        return names;
    };
    const auto properties = [&](const std::string& schema) {
        return members(document["components"]["schemas"].at(schema)["properties"]);
    };
    const auto id = make_agent("a");
    const auto agent = get("/v1/agents/" + id).data;
    EXPECT_EQ(members(agent), properties("Agent"));
    EXPECT_EQ(members(agent["policy"]), properties("Policy"));
    EXPECT_EQ(members(agent["wallet"]), properties("Wallet"));
    EXPECT_EQ(members(agent["caids"][0]), properties("Caid"));
    EXPECT_EQ(members(get("/v1/agents/" + id + "/spend").data), properties("Spend"));
    EXPECT_EQ(members(get("/v1/transactions/" + reserve(id, 1, "x.com")).data), properties("Transaction"));
    post("/v1/agents/" + id + "/fund", {{"amount", "1"}});
    EXPECT_EQ(members(get("/v1/ledger/transfers").data[0]), properties("Transfer"));
    EXPECT_EQ(members(get("/v1/transactions/stats").data), properties("TransactionStats"));
    EXPECT_EQ(members(post("/v1/policies", {{"name", "p"}}).data), properties("PolicyTemplate"));
    EXPECT_EQ(members(post("/v1/api-keys", {{"name", "k"}, {"scopes", {"read"}}}).data),
              properties("ApiKey"));
}

}  // namespace
}  // namespace nomiqon::admin
