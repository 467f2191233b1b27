"""Where agents' private keys lie, and that no agent is ever without its own."""

import base64
import json
import os
import stat
import unittest

from support import AGENT, OTHER, ApiTest, agent, decode, error


class KeyStore(ApiTest):
    def key_file(self):
        return self.keys / f"{AGENT}.json"

    def test_the_private_key_stays_here_and_is_for_its_owner_only(self):
        os.umask(0)
        self.addCleanup(os.umask, 0o022)
        output = self.create()
        self.assertEqual(stat.S_IMODE(self.keys.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(self.keys.parent.stat().st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(self.key_file().stat().st_mode), 0o600)
        stored = json.loads(self.key_file().read_text())
        self.assertEqual((stored["agentId"], stored["name"]), (AGENT, "planner"))
        key = stored["keys"][0]
        self.assertEqual(len(base64.urlsafe_b64decode(key["seed"] + "=")), 32)
        self.assertEqual(key["caid"], "caid_" + key["publicKey"])
        sent = self.api.requests[0]["body"]
        self.assertEqual(sent["caid"], {"publicKey": key["publicKey"]})
        self.assertNotIn(key["seed"], json.dumps(sent) + output)
        self.assertEqual([path.name for path in self.keys.glob("*.json")], [self.key_file().name])

    def test_a_refused_creation_leaves_no_key(self):
        self.api.answer = lambda request: error(409, "conflict", "another agent has this name", param="/name")
        message = self.fails(1, "agents", "create", "planner")
        self.assertIn("another agent has this name [/name] (conflict, request req_1)", message)
        self.assertEqual(list(self.keys.glob("*.json")), [])

    def test_a_lost_answer_keeps_the_key_and_is_repaired(self):
        self.api.answer = lambda request: None
        message = self.fails(1, "agents", "create", "planner", "--timeout", "5s")
        self.assertIn("may exist", message)
        self.assertEqual(len(self.api.requests), 3)
        self.assertEqual(len({request["headers"]["Idempotency-Key"] for request in self.api.requests}), 1)
        pending = list(self.keys.glob("pending-*.json"))
        self.assertEqual(len(pending), 1)
        self.assertEqual(stat.S_IMODE(pending[0].stat().st_mode), 0o600)
        self.ok("token", "mint", "--agent", "planner")  # it is a key already

        caid = json.loads(pending[0].read_text())["keys"][0]["caid"]
        found = agent(caids=[{"caid": caid, "status": "active"}])
        self.routes({"GET /v1/agents": [found]})
        self.ok("agents", "show", "planner")
        self.assertEqual([path.name for path in self.keys.glob("*.json")], [self.key_file().name])
        self.assertIn("caid_", self.ok("token", "mint", "--proxy-url", "--agent", AGENT))

    def test_an_answer_that_is_late_is_taken_from_the_retry(self):
        answers = [None]
        creation = lambda request: (201, {"data": agent()})
        self.api.answer = lambda request: answers.pop() if answers else creation(request)
        self.ok("agents", "create", "planner")
        self.assertTrue(self.key_file().exists())

    def test_an_unreachable_gateway_leaves_no_key(self):
        message = self.fails(1, "agents", "create", "planner", NOMIQON_BASE_URL="http://127.0.0.1:1")
        self.assertIn("http://127.0.0.1:1", message)
        self.assertIn("NOMIQON_BASE_URL", message)
        self.assertEqual(list(self.keys.glob("*.json")), [])

    def test_a_key_that_others_may_read_is_refused(self):
        self.create()
        self.key_file().chmod(0o640)
        message = self.fails(1, "token", "mint", "--agent", "planner")
        self.assertIn(f"chmod 600 {self.key_file()}", message)
        self.key_file().chmod(0o600)
        self.keys.chmod(0o777)
        self.assertIn("chmod 700", self.fails(1, "agents", "create", "second"))

    def test_odd_files_are_no_keys(self):
        self.create()
        seed = json.loads(self.key_file().read_text())["keys"][0]["seed"]
        target = self.home / "elsewhere.json"
        self.key_file().rename(target)
        self.key_file().symlink_to(target)
        self.fails(1, "token", "mint", "--agent", AGENT)
        self.key_file().unlink()
        os.mkfifo(self.key_file(), 0o600)
        self.assertIn("regular", self.fails(1, "token", "mint", "--agent", AGENT))
        self.key_file().unlink()
        for content in ("", "{", '{"keys":[{"caid":"caid_x","seed":"%s"}]}' % seed, "[]", "\0" * 100, "x" * 300_000):
            self.key_file().write_text(content)
            self.key_file().chmod(0o600)
            message = self.fails(1, "token", "mint", "--agent", AGENT)
            self.assertNotIn(seed, message)

    def test_rotation_signs_with_the_newest_and_revocation_with_the_rest(self):
        self.create()
        old = json.loads(self.key_file().read_text())["keys"][0]["caid"]
        caids = [{"caid": old, "status": "active"}]

        def add(request):
            caids.append({"caid": "caid_" + request["body"]["publicKey"], "status": "active"})
            return 201, {"data": agent(caids=caids)}

        def revoke(request):
            for caid in caids:
                if request["path"].endswith(caid["caid"]):
                    caid["status"] = "revoked"
            return agent(caids=caids)

        base = f"/v1/agents/{AGENT}"
        self.api.answer = lambda request: {
            f"POST {base}/caids": add, "GET /v1/agents": lambda _: [agent(caids=caids)],
            f"GET {base}": lambda _: agent(caids=caids)}.get(f"{request['method']} {request['path']}", revoke)(request)
        self.ok("agents", "add-key", "planner")
        new = caids[1]["caid"]
        kid = lambda: decode(self.ok("token", "mint", "--agent", "planner").split(".")[0])["kid"]
        self.assertEqual(kid(), new)
        self.assertIn("several active", self.fails(2, "agents", "revoke", "planner"))
        self.ok("agents", "revoke", "planner", new)
        self.assertEqual(kid(), old)
        self.assertEqual(len(json.loads(self.key_file().read_text())["keys"]), 2)
        self.ok("agents", "revoke", "planner")  # the only active one
        self.assertIn("revoked", self.fails(1, "token", "mint", "--agent", "planner"))

    def test_one_name_in_two_files_is_ambiguous(self):
        self.create()
        copy = json.loads(self.key_file().read_text())
        copy["agentId"] = OTHER
        (self.keys / f"{OTHER}.json").write_text(json.dumps(copy))
        (self.keys / f"{OTHER}.json").chmod(0o600)
        message = self.fails(1, "token", "mint", "--agent", "planner")
        self.assertIn(AGENT, message)
        self.assertIn(OTHER, message)
        self.routes({f"GET /v1/agents/{OTHER}": agent(id=OTHER, status="terminated")})
        self.ok("agents", "show", OTHER)
        self.ok("token", "mint", "--agent", "planner")  # the terminated one no longer bears the name

    def test_a_foreign_public_key_makes_no_file(self):
        self.routes({"POST /v1/agents": agent()})
        self.ok("agents", "create", "planner", "--public-key", "caid_abc")
        self.assertEqual(self.api.requests[0]["body"]["caid"], {"publicKey": "caid_abc"})
        self.assertFalse(self.keys.exists())


if __name__ == "__main__":
    unittest.main()
