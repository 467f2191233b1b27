"""`nomiqon agents`, `policy` and `policies`: what they ask of the API and what they print."""

import json
import unittest

from support import AGENT, KEY, OTHER, ApiTest, agent, error


class Agents(ApiTest):
    def test_create_sends_policy_metadata_and_key(self):
        self.create("--daily-cap", "5.00", "--total-cap", "50", "--max-per-request", "0.05", "--allow",
                    "api.openai.com,*.example.com", "--allow", "api.tavily.com", "--block", "x.example.com",
                    "--metadata", "crew=a,b", "--metadata", "role=planner", "--fund", "2.5")
        create, fund, _ = self.api.requests
        self.assertEqual(create["headers"]["Authorization"], "Bearer " + KEY)
        self.assertEqual(create["headers"]["Content-Type"], "application/json")
        self.assertTrue(create["headers"]["Idempotency-Key"])
        del create["body"]["caid"]
        self.assertEqual(create["body"], {
            "name": "planner", "metadata": {"crew": "a,b", "role": "planner"},
            "policy": {"dailyCap": "5.00", "totalCap": "50", "maxPerRequest": "0.05",
                       "allowlist": ["api.openai.com", "*.example.com", "api.tavily.com"],
                       "blocklist": ["x.example.com"]}})
        self.assertEqual(fund["body"]["amount"], "2.5")
        self.assertTrue(fund["body"]["reference"])

    def test_create_takes_a_policy_file_or_a_template(self):
        self.routes({"POST /v1/agents": agent()})
        self.ok("agents", "create", "a", "--policy", "-", "--daily-cap", "1", "--public-key", "k",
                stdin='{"dailyCap": "9", "frozen": true}')
        self.assertEqual(self.api.requests[0]["body"]["policy"], {"dailyCap": "1", "frozen": True})
        self.ok("agents", "create", "a", "--policy-id", "pol_1", "--public-key", "k")
        self.assertEqual(self.api.requests[1]["body"],
                         {"name": "a", "policyId": "pol_1", "caid": {"publicKey": "k"}})
        self.assertIn("exclude", self.fails(2, "agents", "create", "a", "--policy-id", "p", "--daily-cap", "1"))
        self.assertIn("line", self.fails(1, "agents", "create", "a", "--policy", "-", stdin="{"))
        self.fails(1, "agents", "create", "a", "--policy", "missing.json")

    def test_an_agent_made_but_not_funded_is_told(self):
        self.routes({"POST /v1/agents": agent(),
                     f"POST /v1/agents/{AGENT}/fund": error(403, "forbidden")})
        result = self.run_cli("agents", "create", "planner", "--fund", "1", "--json")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(json.loads(result.stdout)["id"], AGENT)
        self.assertIn("not funded", json.loads(result.stderr)["error"]["message"])

    def test_bad_values_are_found_before_anything_is_sent(self):
        for arguments in (["--daily-cap", "1e3"], ["--fund", "0"], ["--fund", "-1"], ["--metadata", "x"],
                          ["--metadata", "a=1", "--metadata", "a=2"], ["--max-per-request", "0.0000000001"]):
            with self.subTest(arguments):
                self.fails(2, "agents", "create", "planner", *arguments)
        self.assertEqual(self.api.requests, [])
        self.assertFalse(self.keys.exists())

    def test_names_of_commands_may_be_agents_names(self):
        self.routes({"POST /v1/agents": agent(), "GET /v1/agents": [agent(name="token")]})
        self.ok("agents", "create", "token", "--public-key", "k")
        self.assertEqual(self.api.requests[0]["body"]["name"], "token")
        self.ok("agents", "show", "token")
        self.ok("agents", "show", "--agent", "token", "--json")

    def test_list_is_a_table_or_the_api_s_data(self):
        rows = [agent(), agent(id=OTHER, name="übung\x1b[2J", policy={"frozen": True, "dailyCap": "12.00"})]
        self.routes({"GET /v1/agents": rows})
        lines = self.ok("agents", "list", "--status", "active", "--metadata", "crew=c1").splitlines()
        self.assertEqual(self.api.requests[0]["query"],
                         {"status": ["active"], "metadata.crew": ["c1"], "limit": ["50"]})
        column = lines[0].index("DAILY CAP") + len("DAILY CAP")
        self.assertEqual([line[:column].split()[-1] for line in lines[1:]], ["5.00", "12.00"])
        self.assertIn("2026-05-24 12:00:00Z", lines[1])
        self.assertIn("active, frozen", lines[2])
        self.assertNotIn("\x1b", "".join(lines))
        self.assertEqual(json.loads(self.ok("agents", "list", "--json")), rows)

    def test_all_follows_the_cursors(self):
        def answer(request):
            page = int(request["query"].get("after", ["0"])[0])
            data = [agent(name=f"a{page}")] * int(request["query"]["limit"][0])
            return 200, {"data": data, "meta": {"hasMore": page < 2, "nextCursor": str(page + 1)}}
        self.api.answer = answer
        self.assertEqual(len(json.loads(self.ok("agents", "list", "--all", "--json"))), 600)
        self.api.requests.clear()
        result = self.run_cli("agents", "list", "--limit", "250", "--json")
        self.assertEqual([request["query"]["limit"] for request in self.api.requests], [["200"], ["50"]])
        self.assertEqual(len(json.loads(result.stdout)), 250)
        self.assertIn("--all", result.stderr)
        self.api.answer = lambda request: (200, {"data": [], "meta": {"hasMore": True, "nextCursor": "same"}})
        self.fails(1, "agents", "list", "--all")

    def test_a_name_is_looked_up_among_the_living_first(self):
        rows = [agent(id=OTHER, status="terminated"), agent()]
        self.routes({"GET /v1/agents": rows, f"POST /v1/agents/{AGENT}/pause": agent(status="paused")})
        self.assertIn("paused", self.ok("agents", "pause", "planner"))
        self.routes({"GET /v1/agents": [agent(status="terminated"), agent(id=OTHER, status="terminated")]})
        self.assertIn(OTHER, self.fails(1, "agents", "show", "planner"))
        self.assertIn("did you mean `planner`", self.fails(1, "agents", "show", "planer"))

    def test_an_id_is_not_asked_for(self):
        self.routes({f"POST /v1/agents/{AGENT}/resume": agent()})
        self.ok("agents", "resume", AGENT)
        self.assertEqual(len(self.api.requests), 1)

    def test_freeze_terminate_and_fund(self):
        path = f"/v1/agents/{AGENT}"
        self.routes({f"PATCH {path}": agent(), f"DELETE {path}": agent(status="terminated"), f"GET {path}": agent(),
                     f"POST {path}/fund": agent()})
        self.ok("agents", "freeze", AGENT)
        self.ok("agents", "unfreeze", AGENT)
        self.assertEqual([request["body"] for request in self.api.requests],
                         [{"policy": {"frozen": True}}, {"policy": {"frozen": False}}])
        self.api.requests.clear()
        self.assertIn("5.000000", self.ok("agents", "fund", AGENT, "5", "--reference", "may"))
        self.assertEqual(self.api.requests[0]["body"], {"amount": "5", "reference": "may"})
        self.ok("agents", "fund", AGENT, "5")
        self.ok("agents", "fund", AGENT, "5")
        funds = [r for r in self.api.requests if r["method"] == "POST"][1:]
        self.assertEqual(len({request["body"]["reference"] for request in funds}), 2)
        for request in funds:
            self.assertEqual(request["body"]["reference"], request["headers"]["Idempotency-Key"])
        self.ok("agents", "terminate", AGENT)

    def test_a_lost_funding_is_repeated_under_one_reference(self):
        losses = [None, None]
        self.api.answer = lambda request: losses.pop() if losses else agent()
        self.ok("agents", "fund", AGENT, "5", "--json")
        self.assertEqual(len({json.dumps(request["body"]) for request in self.api.requests}), 1)
        self.assertEqual(len(self.api.requests), 3)


class Policies(ApiTest):
    def test_set_sends_only_what_changes(self):
        self.routes({f"PATCH /v1/agents/{AGENT}": agent()})
        self.ok("policy", "set", AGENT, "--daily-cap", "7", "--total-cap", "none", "--allow", "none", "--block", "a.com",
                "--reason", "more work", "--if-version", "3")
        request = self.api.requests[0]
        self.assertEqual(request["body"], {"policy": {"dailyCap": "7", "totalCap": None, "allowlist": None,
                                                      "blocklist": ["a.com"]}, "reason": "more work"})
        self.assertEqual(request["headers"]["If-Match"], '"3"')
        self.assertIn("nothing to change", self.fails(2, "policy", "set", AGENT))
        self.assertIn("replaces", self.fails(2, "policy", "set", AGENT, "--allow", "a.com", "--add-allow", "b.com"))

    def test_add_allow_reads_changes_and_writes_under_the_version(self):
        versions = [3, 4]
        answers = {"PATCH": [error(412, "precondition_failed"), agent()]}

        def answer(request):
            if request["method"] == "GET":
                return agent(policy={"version": versions.pop(0), "allowlist": ["a.com", "b.com"]})
            return answers["PATCH"].pop(0)
        self.api.answer = answer
        self.ok("policy", "set", AGENT, "--add-allow", "c.com,a.com", "--remove-allow", "b.com")
        writes = [request for request in self.api.requests if request["method"] == "PATCH"]
        self.assertEqual([request["headers"]["If-Match"] for request in writes], ['"3"', '"4"'])
        self.assertEqual(writes[1]["body"], {"policy": {"allowlist": ["a.com", "c.com"]}})

    def test_remove_allow_says_what_is_not_there(self):
        self.api.answer = lambda request: agent(policy={"version": 1, "allowlist": None})
        self.assertIn("no allowlist", self.fails(1, "policy", "set", AGENT, "--remove-allow", "a.com"))

    def test_get_versions_and_templates(self):
        policy = {"id": "pol_1", "version": 2, "dailyCap": "5.00", "allowlist": ["a.com"], "reason": "why",
                  "createdAt": "2026-05-24T12:00:00.000Z", "name": "standard"}
        self.routes({f"GET /v1/agents/{AGENT}": agent(policy=policy), f"GET /v1/agents/{AGENT}/policies": [policy],
                     "GET /v1/policies": [policy], "POST /v1/policies": policy, "DELETE /v1/policies/pol_1": policy})
        self.assertIn("a.com", self.ok("policy", "get", AGENT))
        self.assertIn("why", self.ok("policy", "versions", AGENT))
        self.assertEqual(json.loads(self.ok("policy", "versions", AGENT, "--json")), [policy])
        self.ok("policies", "create", "standard", "--daily-cap", "5.00")
        self.assertEqual(self.api.requests[-1]["body"], {"name": "standard", "dailyCap": "5.00"})
        self.assertIn("standard", self.ok("policies", "list"))
        self.ok("policies", "delete", "standard")
        self.assertEqual(self.api.requests[-1]["path"], "/v1/policies/pol_1")


if __name__ == "__main__":
    unittest.main()
