"""`nomiqon transactions`, `ledger`, `report`, `me` and `api-keys`."""

import unittest

from support import AGENT, OTHER, ApiTest, agent


class Money(ApiTest):
    def test_transactions(self):
        row = {"id": "txn_1", "agentId": AGENT, "amount": "0.001000", "recipient": "api.openai.com",
               "status": "rejected", "rejectCode": "policy_cap_exceeded", "createdAt": "2026-05-24T12:00:00.000Z"}
        self.routes({"GET /v1/transactions": [row], "GET /v1/transactions/txn_1": row, "GET /v1/agents": [agent()],
                     "GET /v1/transactions/stats": {"totalSpent": "1.000000", "transactionCount": 2, "rejectedCount": 1,
                                                    "topRecipients": [{"hostname": "a.com", "totalUsdc": "1.000000"}]}})
        self.assertIn("rejected: policy_cap_exceeded", self.ok(
            "transactions", "list", "--agent", "planner", "--status", "rejected", "--ref", "a b", "--from", "2026-05-01"))
        self.assertEqual(self.api.requests[-1]["query"], {"agentId": [AGENT], "status": ["rejected"], "ref": ["a b"],
                                                          "from": ["2026-05-01"], "limit": ["50"]})
        self.assertIn("txn_1", self.ok("transactions", "show", "txn_1"))
        self.assertIn("a.com", self.ok("transactions", "stats"))
        self.assertIn("--from", self.fails(2, "transactions", "list", "--from", "yesterday"))

    def test_transfers_and_spend(self):
        self.routes({"GET /v1/ledger/transfers": [{"kind": "fund", "debit": "treasury", "credit": "wallet",
                                                   "amount": "5.000000"}],
                     f"GET /v1/agents/{AGENT}/spend": {"day": "2026-05-24", "cap": "5.000000", "spent": "1.000000",
                                                       "left": "4.000000", "wallet": {"available": "3.000000"}}})
        self.assertIn("treasury", self.ok("ledger", "transfers", "--agent", AGENT, "--day", "2026-05-24", "--account",
                                          "wallet", "--transaction", "txn_1"))
        self.assertEqual(self.api.requests[0]["query"],
                         {"agentId": [AGENT], "day": ["2026-05-24"], "account": ["wallet"],
                          "transactionId": ["txn_1"], "limit": ["50"]})
        self.assertIn("4.000000", self.ok("agents", "spend", AGENT))

    def test_report(self):
        rows = [{"agentId": AGENT, "agent": "planner", "day": "2026-05-24", "amount": "847.000000", "requests": 12},
                {"agentId": OTHER, "agent": "x", "day": "2026-05-24", "amount": "1.000000", "requests": 3}]
        csv = b"agent,day,amount\nplanner,2026-05-24,847.000000\n"
        self.routes({"GET /v1/reports/spend": lambda r: (200, csv) if r["query"]["format"] == ["csv"] else rows})
        lines = self.ok("report", "spend", "--group-by", "agent,day", "--from", "2026-05-24", "--to",
                        "2026-05-24").splitlines()
        self.assertEqual(self.api.requests[0]["query"], {"group_by": ["agent,day"], "from": ["2026-05-24"],
                                                         "to": ["2026-05-24"], "format": ["json"]})
        end = lines[0].index("amount") + len("amount")
        self.assertEqual([line[:end].split()[-1] for line in lines[1:]], ["847.000000", "1.000000"])
        self.assertEqual(self.ok("report", "spend", "--csv").encode(), csv)
        self.fails(2, "report", "spend", "--csv", "--json")

    def test_me_asks_with_a_token_and_no_api_key(self):
        self.create()
        self.routes({"GET /v1/me": {"day": "2026-05-24", "left": "4.000000"}})
        del self.environment["NOMIQON_API_KEY"]
        self.assertIn("4.000000", self.ok("me", "planner"))
        token = self.api.requests[-1]["headers"]["Authorization"].removeprefix("Bearer ")
        self.assertEqual(self.ok("token", "verify", token), "ok\n")

    def test_api_keys(self):
        key = {"id": "key_1", "name": "ci", "scopes": ["read"], "key": "nmq_new"}
        self.routes({"POST /v1/api-keys": key, "GET /v1/api-keys": [key], "DELETE /v1/api-keys/key_1": key})
        self.assertIn("nmq_new", self.ok("api-keys", "create", "ci"))
        self.assertEqual(self.api.requests[-1]["body"], {"name": "ci", "scopes": ["read"]})
        self.ok("api-keys", "create", "ci", "--scope", "operator", "--scope", "read")
        self.assertEqual(self.api.requests[-1]["body"]["scopes"], ["operator", "read"])
        self.assertNotIn("nmq_new", self.ok("api-keys", "list"))
        self.ok("api-keys", "delete", "key_1")
        self.routes({"POST /v1/api-keys": {**key, "key": None}})  # a repeated call isn't told the key again
        self.assertIn("nomiqon api-keys delete key_1", self.fails(1, "api-keys", "create", "ci"))


if __name__ == "__main__":
    unittest.main()
