#include <atomic>

#include "api_world.h"

namespace nomiqon::admin {
namespace {

using AgentsTest = ApiTest;

TEST_F(AgentsTest, ANewAgentHasThePublishedShape) {
    const auto key = new_public_key();
    const auto made =
        post("/v1/agents", {{"name", "crew-planner"},
                            {"caid", {{"publicKey", key}}},
                            {"policy", {{"dailyCap", "5.00"}, {"allowlist", {"api.openai.com"}}}},
                            {"metadata", {{"crew", "research-run-42"}, {"role", "planner"}}}});
    ASSERT_EQ(made.status, 201) << made.response.body;
    const auto& agent = made.data;
    EXPECT_TRUE(AgentId::parse(agent["id"].get<std::string>()));
    EXPECT_EQ(agent["status"], "active");
    EXPECT_EQ(agent["caids"][0]["caid"], "caid_" + key);
    EXPECT_EQ(agent["caids"][0]["publicKey"], key);
    EXPECT_EQ(agent["wallet"]["owner"], key);
    EXPECT_EQ(agent["wallet"]["status"], "provisioned");
    EXPECT_EQ(agent["wallet"]["balance"], "0.000000");
    EXPECT_EQ(agent["policy"]["version"], 1);
    EXPECT_EQ(agent["policy"]["dailyCap"], "5.00") << "echoed as written";
    EXPECT_EQ(agent["policy"]["totalCap"], nullptr);
    EXPECT_EQ(agent["policy"]["frozen"], false);
    EXPECT_EQ(agent["policy"]["_computed"]["remainingToday"], "5.000000");
    EXPECT_EQ(agent["policy"]["_computed"]["remainingTotal"], nullptr);
    EXPECT_EQ(agent["metadata"]["crew"], "research-run-42");
    EXPECT_EQ(get("/v1/agents/" + agent["id"].get<std::string>()).data, agent);
}

TEST_F(AgentsTest, WhatIsWrongWithANewAgentIsNamed) {
    const auto refused = [&](const json& patch_of_body, const std::string& param) {
        auto body = new_agent("a");
        body.merge_patch(patch_of_body);
        const auto answered = post("/v1/agents", body);
        EXPECT_EQ(answered.status, 422) << answered.response.body;
        EXPECT_EQ(answered.code(), "validation_error");
        EXPECT_EQ(answered.param(), param) << answered.response.body;
    };
    refused({{"caid", nullptr}}, "/caid");
    refused({{"caid", {{"publicKey", "0OIl"}}}}, "/caid/publicKey");
    refused({{"caid", {{"publicKey", "11111111111111111111111111111111"}}}}, "/caid/publicKey");
    refused({{"caid", {{"secret", "x"}}}}, "/caid/secret");
    refused({{"name", ""}}, "/name");
    refused({{"name", std::string(65, 'a')}}, "/name");
    refused({{"name", "a\nb"}}, "/name");
    refused({{"name", std::string("a\0b", 3)}}, "/name");
    refused({{"name", 5}}, "/name");
    refused({{"polcy", json::object()}}, "/polcy");
    refused({{"policy", {{"dailycap", "1"}}}}, "/policy/dailycap");
    refused({{"policy", {{"dailyCap", 5}}}}, "/policy/dailyCap");
    refused({{"policy", {{"windowCap", {{"amount", "1"}, {"windowMs", 1}}}}}}, "/policy/windowCap");
    refused({{"policy", nullptr}}, "/policy");
    refused({{"policyId", "pol_01hzzzzzzzzzzzzzzzzzzzzzzz"}}, "/policyId");
    refused({{"metadata", {{"k", std::string(513, 'v')}}}}, "/metadata/k");
    refused({{"metadata", {{"a b", "v"}}}}, "/metadata/a b");
    refused({{"metadata", {{"k", 1}}}}, "/metadata/k");
    refused({{"reason", std::string(501, 'r')}}, "/reason");
}

TEST_F(AgentsTest, ANameIsTakenUntilItsAgentIsTerminated) {
    const auto first = make_agent("planner");
    const auto second = post("/v1/agents", new_agent("planner"));
    EXPECT_EQ(second.status, 409);
    EXPECT_EQ(second.param(), "/name");
    EXPECT_EQ(remove("/v1/agents/" + first).data["status"], "terminated");
    EXPECT_EQ(remove("/v1/agents/" + first).status, 200) << "terminating twice changes nothing";
    EXPECT_NE(make_agent("planner"), first);
    EXPECT_EQ(post("/v1/agents/" + first + "/resume").status, 409) << "for good";
    EXPECT_EQ(patch("/v1/agents/" + first, {{"name", "other"}}).code(), "conflict");
}

TEST_F(AgentsTest, AKeyBelongsToOneAgentForGood) {
    auto body = new_agent("a");
    const auto first = post("/v1/agents", body);
    body["name"] = "b";
    EXPECT_EQ(post("/v1/agents", body).param(), "/caid/publicKey");
    const auto path = "/v1/agents/" + first.data["id"].get<std::string>() + "/caids";
    const auto caid = first.data["caids"][0]["caid"].get<std::string>();

    const auto rotated = post(path, {{"publicKey", new_public_key()}});
    EXPECT_EQ(rotated.status, 201);
    EXPECT_EQ(rotated.data["caids"].size(), 2);
    const auto revoked = remove(path + '/' + caid);
    EXPECT_EQ(revoked.data["caids"][0]["status"], "revoked");
    EXPECT_EQ(remove(path + '/' + caid).status, 200) << "revoked already";
    EXPECT_EQ(post(path, {{"publicKey", caid}}).status, 409) << "even a revoked one";
    EXPECT_EQ(post("/v1/agents", body).status, 409);
    EXPECT_EQ(remove(path + "/caid_" + new_public_key()).status, 404);
    EXPECT_EQ(remove(path + "/nonsense").status, 404);
}

TEST_F(AgentsTest, AnAgentHasAtMost32ActiveIdentities) {
    const auto path = "/v1/agents/" + make_agent("a") + "/caids";
    for (int i = 0; i < 31; ++i)
        ASSERT_EQ(post(path, {{"publicKey", new_public_key()}}).status, 201);
    EXPECT_EQ(post(path, {{"publicKey", new_public_key()}}).code(), "conflict");
}

TEST_F(AgentsTest, APartialPolicyMergesIntoTheNextVersion) {
    const auto path = "/v1/agents/" + make_agent("a", {{"dailyCap", "1.00"}, {"allowlist", {"x.com"}}});
    const auto frozen = patch(path, {{"policy", {{"frozen", true}}}, {"reason", "an incident"}});
    ASSERT_EQ(frozen.status, 200) << frozen.response.body;
    EXPECT_EQ(frozen.data["policy"]["version"], 2);
    EXPECT_EQ(frozen.data["policy"]["dailyCap"], "1.00");
    EXPECT_EQ(frozen.data["policy"]["frozen"], true);
    EXPECT_EQ(frozen.data["policy"]["reason"], "an incident");
    EXPECT_EQ(frozen.data["wallet"]["status"], "frozen");
    EXPECT_EQ(value("select frozen from nomiqon.agents"), "t") << "what a reservation reads";

    EXPECT_EQ(patch(path, {{"policy", {{"frozen", true}}}}).data["policy"]["version"], 2)
        << "nothing changed";
    const auto freed =
        patch(path, {{"policy", {{"dailyCap", nullptr}, {"frozen", false}, {"maxPerRequest", "0.01"}}}});
    EXPECT_EQ(freed.data["policy"]["version"], 3);
    EXPECT_EQ(freed.data["policy"]["dailyCap"], nullptr);
    EXPECT_EQ(value("select coalesce(daily_cap, -1) || ',' || max_per_request from nomiqon.agents"),
              "-1,10000000");
    EXPECT_EQ(patch(path, {{"policy", {{"version", 9}}}}).param(), "/policy/version")
        << "echoed members are refused";

    const auto versions = get(path + "/policies?limit=2");
    ASSERT_EQ(versions.data.size(), 2);
    EXPECT_EQ(versions.data[0]["version"], 3);
    EXPECT_EQ(versions.meta["total"], 3);
    const auto rest = get(path + "/policies?after=" + versions.meta["nextCursor"].get<std::string>());
    EXPECT_EQ(rest.data[0]["version"], 1);
    EXPECT_EQ(rest.meta["hasMore"], false);
}

TEST_F(AgentsTest, IfMatchGuardsAgainstLostUpdates) {
    const auto path = "/v1/agents/" + make_agent("a", {{"dailyCap", "1"}});
    EXPECT_EQ(
        patch(path, {{"policy", {{"dailyCap", "2"}}}}, {{"if-match", "\"1\""}}).data["policy"]["version"], 2);
    const auto late = patch(path, {{"policy", {{"dailyCap", "3"}}}}, {{"if-match", "\"1\""}});
    EXPECT_EQ(late.status, 412);
    EXPECT_EQ(late.code(), "precondition_failed");
    EXPECT_NE(late.error["message"].get<std::string>().find("version 2"), std::string::npos);
    EXPECT_EQ(patch(path, {{"name", "b"}}, {{"if-match", "1"}}).status, 412);
    EXPECT_EQ(patch(path, json::object(), {{"if-match", "*"}}).param(), "If-Match");
}

TEST_F(AgentsTest, ParallelPatchesAllTakeEffect) {
    const auto path = "/v1/agents/" + make_agent("a");
    std::vector<std::future<Answered>> patches;
    for (const std::string member : {"dailyCap", "totalCap", "maxPerRequest"}) {
        patches.push_back(send_in_parallel("PATCH", path, {{"policy", {{member, "7"}}}}));
    }
    for (auto& one : patches)
        EXPECT_EQ(one.get().status, 200);
    const auto agent = get(path).data;
    EXPECT_EQ(agent["policy"]["version"], 4);
    for (const std::string member : {"dailyCap", "totalCap", "maxPerRequest"})
        EXPECT_EQ(agent["policy"][member], "7");
}

TEST_F(AgentsTest, ChangesOfDifferentMembersNeverRefuseEachOther) {
    const auto path = "/v1/agents/" + make_agent("a");
    const std::vector<json> changes{
        {{"dailyCap", "7"}},
        {{"totalCap", "8"}},
        {{"maxPerRequest", "9"}},
        {{"allowlist", {"x.com"}}},
        {{"blocklist", {"y.com"}}},
        {{"activeFrom", "2026-01-01T00:00:00Z"}},
        {{"activeUntil", "2030-01-01T00:00:00Z"}},
        {{"activeHours", {{"timezone", "UTC"}, {"from", "08:00"}, {"to", "18:00"}}}}};
    std::vector<std::future<Answered>> patches;
    for (int round = 0; round < 3; ++round) {
        for (const auto& change : changes)
            patches.push_back(send_in_parallel("PATCH", path, {{"policy", change}}));
    }
    for (auto& one : patches) {
        const auto answered = one.get();
        EXPECT_EQ(answered.status, 200) << answered.response.body;
    }
    const auto policy = get(path).data["policy"];
    for (const auto& change : changes) {
        for (const auto& item : change.items())
            EXPECT_EQ(policy[item.key()], item.value());
    }
    EXPECT_EQ(policy["version"], 9) << "one for each change, none for a repetition";
}

TEST_F(AgentsTest, TheKillSwitchLosesNoRace) {
    const auto path = "/v1/agents/" + make_agent("a");
    std::atomic<bool> done{false};
    std::vector<std::future<int>> others;
    for (int thread = 0; thread < 6; ++thread) {
        others.push_back(std::async(std::launch::async, [&, thread] {
            int failed = 0;
            for (int i = 0; !done; ++i) {
                const json cap{{"policy", {{"dailyCap", std::to_string(thread * 100'000 + i)}}}};
                failed += send_in_parallel("PATCH", path, cap).get().status != 200;
            }
            return failed;
        }));
    }
    for (int i = 0; i < 20; ++i) {
        const bool frozen = i % 2 == 0;
        const auto answered = patch(path, {{"policy", {{"frozen", frozen}}}});
        EXPECT_EQ(answered.status, 200) << answered.response.body;
        EXPECT_EQ(answered.data["policy"]["frozen"], frozen);
    }
    done = true;
    for (auto& one : others)
        EXPECT_EQ(one.get(), 0);
}

TEST_F(AgentsTest, ThePartsOfATimeRangeAreJudgedTogetherEvenInARace) {
    const auto path = "/v1/agents/" + make_agent("a");
    const json begins{{"policy", {{"activeFrom", "2030-01-01T00:00:00Z"}}}};
    const json ends{{"policy", {{"activeUntil", "2029-01-01T00:00:00Z"}}}};
    auto first = send_in_parallel("PATCH", path, begins);
    auto second = send_in_parallel("PATCH", path, ends);
    const auto one = first.get().status;
    const auto other = second.get().status;
    EXPECT_EQ(std::min(one, other), 200);
    EXPECT_EQ(std::max(one, other), 422);
}

TEST_F(AgentsTest, OnlyAFrozenThatWasAskedForUndoesAFreeze) {
    const auto path = "/v1/agents/" + make_agent("a");
    const auto open = post("/v1/policies", {{"name", "open"}, {"dailyCap", "3"}}).data["id"];
    const auto thawed = post("/v1/policies", {{"name", "thawed"}, {"frozen", false}}).data["id"];
    const auto shut = post("/v1/policies", {{"name", "shut"}, {"frozen", true}}).data["id"];
    ASSERT_EQ(patch(path, {{"policy", {{"frozen", true}}}}).status, 200);
    for (const auto& id : {open, thawed}) {
        const auto answered = patch(path, {{"policyId", id}});
        EXPECT_EQ(answered.status, 200);
        EXPECT_EQ(answered.data["policy"]["frozen"], true);
        EXPECT_EQ(value("select frozen from nomiqon.agents"), "t");
    }
    const auto null = patch(path, {{"policy", {{"frozen", nullptr}}}});
    EXPECT_EQ(null.status, 422);
    EXPECT_EQ(null.param(), "/policy/frozen");
    EXPECT_EQ(patch(path, {{"policy", {{"frozen", nullptr}, {"dailyCap", "1"}}}}).status, 422);
    EXPECT_EQ(patch(path, {{"policy", {{"frozen", "no"}}}}).param(), "/policy/frozen");
    EXPECT_EQ(value("select frozen from nomiqon.agents"), "t");

    const auto freed = patch(path, {{"policy", {{"frozen", false}}}});
    EXPECT_EQ(freed.data["policy"]["frozen"], false);
    EXPECT_EQ(patch(path, {{"policy", {{"frozen", false}}}}).data["policy"]["version"],
              freed.data["policy"]["version"]);
    EXPECT_EQ(patch(path, {{"policyId", shut}}).data["policy"]["frozen"], true) << "a template may freeze";
    EXPECT_EQ(patch(path, {{"policy", {{"frozen", false}}}}, {{"if-match", "1"}}).status, 412);
}

TEST_F(AgentsTest, TheKillSwitchWorksOnAPolicyThatTheConfigurationRefusesByNow) {
    const auto path = "/v1/agents/" + make_agent("a");
    config_.policy.require_allowlist = true;
    EXPECT_EQ(patch(path, {{"policy", {{"dailyCap", "1"}}}}).param(), "/policy/allowlist");
    EXPECT_EQ(patch(path, {{"policy", {{"frozen", true}}}}).data["policy"]["frozen"], true);
}

TEST_F(AgentsTest, ARefusalLeavesNothingBehindAndRaisesNothing) {
    const auto path = "/v1/agents/" + make_agent("a");
    make_agent("taken");
    const json both{{"name", "free"}, {"policy", {{"dailyCap", "1"}}}, {"metadata", {{"k", "v"}}}};
    EXPECT_EQ(patch(path, both, {{"if-match", "7"}, {"idempotency-key", "k"}}).status, 412);
    EXPECT_EQ(patch(path, {{"name", "taken"}, {"metadata", {{"k", "v"}}}}).param(), "/name");
    EXPECT_EQ(get(path).data["metadata"], json::object());
    EXPECT_EQ(value("select count(*) from nomiqon.idempotency_keys"), "0");
    EXPECT_EQ(value("select nomiqon.call_admin('get_agent', '{\"agent\": \"x\"}') #>> '{refusal,sqlstate}'"),
              "NQ404")
        << "an error that is raised would be in the server's log";
}

TEST_F(AgentsTest, MetadataMergesAndNullRemoves) {
    auto body = new_agent("a");
    body["metadata"] = {{"team", "growth"}, {"env", "test"}};
    const auto path = "/v1/agents/" + post("/v1/agents", body).data["id"].get<std::string>();
    EXPECT_EQ(patch(path, {{"metadata", {{"env", nullptr}, {"run", "7"}}}}).data["metadata"],
              (json{{"team", "growth"}, {"run", "7"}}));
    json many = json::object();
    for (int i = 0; i < 31; ++i)
        many["k" + std::to_string(i)] = "v";
    EXPECT_EQ(patch(path, {{"metadata", many}}).param(), "/metadata") << "33 with those that are there";
}

TEST_F(AgentsTest, ListsAreFilteredAndPaged) {
    std::vector<std::string> made;
    for (int i = 0; i < 5; ++i) {
        auto body = new_agent("a" + std::to_string(i));
        body["metadata"] = {{"crew", "it's"}, {"n", std::to_string(i)}};
        made.push_back(post("/v1/agents", body).data["id"].get<std::string>());
    }
    make_agent("other");
    ASSERT_EQ(post("/v1/agents/" + made[0] + "/pause").data["status"], "paused");
    EXPECT_EQ(post("/v1/agents/" + made[0] + "/pause").status, 200) << "paused already";

    std::vector<std::string> seen;
    std::string after;
    do {
        const auto page = get("/v1/agents?limit=2&metadata.crew=it%27s" + after);
        ASSERT_EQ(page.status, 200) << page.response.body;
        EXPECT_EQ(page.meta["total"], 5);
        for (const auto& agent : page.data)
            seen.push_back(agent["id"]);
        after = page.meta["hasMore"] == true ? "&after=" + page.meta["nextCursor"].get<std::string>() : "";
    } while (!after.empty());
    EXPECT_TRUE(std::ranges::is_permutation(seen, made));
    EXPECT_EQ(get("/v1/agents?metadata.crew=it's&metadata.n=3").data.size(), 1);
    EXPECT_EQ(get("/v1/agents?status=paused").data.size(), 1);
    EXPECT_EQ(get("/v1/agents?status=gone").param(), "/status");
    EXPECT_EQ(get("/v1/agents?limit=201").param(), "/limit");
    EXPECT_EQ(get("/v1/agents?limit=0").param(), "/limit");
    EXPECT_EQ(get("/v1/agents?after=rubbish").param(), "/after");
    EXPECT_EQ(get("/v1/agents?colour=red").param(), "/colour");
    EXPECT_EQ(get("/v1/agents?limit=1&limit=2").param(), "/limit");
}

TEST_F(AgentsTest, TemplatesGiveTheirDocumentAndThenLetGo) {
    const auto made = post("/v1/policies", {{"name", "small"}, {"dailyCap", "1"}, {"allowlist", {"x.com"}}});
    ASSERT_EQ(made.status, 201) << made.response.body;
    const auto id = made.data["id"].get<std::string>();
    EXPECT_EQ(made.data["dailyCap"], "1");
    EXPECT_EQ(post("/v1/policies", {{"name", "small"}}).code(), "conflict");
    EXPECT_EQ(post("/v1/policies", {{"name", "x"}, {"dailycap", "1"}}).param(), "/dailycap");

    auto body = new_agent("a");
    body["policyId"] = id;
    EXPECT_EQ(post("/v1/agents", body).param(), "/policyId") << "both";
    body.erase("policy");
    const auto agent = post("/v1/agents", body);
    EXPECT_EQ(agent.data["policy"]["dailyCap"], "1");
    EXPECT_EQ(get("/v1/policies").data.size(), 1);
    EXPECT_EQ(get("/v1/policies/" + id).data["name"], "small");
    EXPECT_EQ(remove("/v1/policies/" + id).status, 200);
    EXPECT_EQ(get("/v1/policies/" + id).status, 404);
    const auto path = "/v1/agents/" + agent.data["id"].get<std::string>();
    EXPECT_EQ(get(path).data["policy"]["dailyCap"], "1");
    EXPECT_EQ(patch(path, {{"policyId", id}}).param(), "/policyId");
}

}  // namespace
}  // namespace nomiqon::admin
