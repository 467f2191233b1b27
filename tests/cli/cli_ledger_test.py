"""`nomiqon ledger verify`, `export` and `adjust`, and examples/check_evidence.py, on chains that are written here."""

import base64
import hashlib
import json
import os
import pathlib
import pty
import subprocess
import sys
import time
import unittest

from support import AGENT, BINARY, OTHER, ApiTest, agent, decode

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples/check_evidence.py"
USDC = 10**9
ZEROS = "0" * 64


def python_with_ed25519():
    for python in str(ROOT / ".venv/bin/python"), sys.executable:
        for module in "nacl.signing", "cryptography":
            try:
                if subprocess.run([python, "-c", f"import {module}"], capture_output=True).returncode == 0:
                    return python
            except OSError:
                pass
    return None


class Chain:
    """An agent's lines as the ledger writes them, and the rows beside them."""

    def __init__(self, owner=AGENT, caids=()):
        self.agent, self.caids, self.lines, self.at = owner, list(caids), [], int(time.time() * 1e6)
        self.balance = self.reserved = self.spent = 0
        self.rows = {"transfers": 0, "reservations": 0, "endings": 0, "corrections": 0}
        self.day = time.strftime("%Y-%m-%d", time.gmtime(self.at / 1e6))

    def add(self, kind, debit, credit, amount, transaction=None, reference=None, *more):
        self.at += 1
        line = json.dumps([kind, len(self.lines) + 1, self.agent, self.day, self.at, debit, credit, amount, transaction,
                           reference, *more], ensure_ascii=False)
        before = bytes.fromhex(self.lines[-1]["hash"] if self.lines else ZEROS)
        self.lines.append({"seq": len(self.lines) + 1, "line": line,
                           "hash": hashlib.sha256(before + line.encode()).hexdigest()})
        self.rows["transfers"] += 1

    def fund(self, amount):
        self.add("fund", "treasury", "wallet", amount, None, "é \"1\"\n")
        self.balance += amount

    def reserve(self, transaction, amount, token, cap=None):
        header, claims = (decode(part) for part in token.split(".")[:2])
        limit = None if "max" not in claims else int(float(claims["max"]) * USDC)
        self.add("reserve", "wallet", "held", amount, transaction, None, "req_1", "gw_1", header["kid"], 1, amount, 0,
                 cap, None, limit, "https", "api.llm.example", 443, "POST", "gpt-4o", claims.get("ref"), claims["jti"],
                 claims["exp"], claims.get("use") == "session", token)
        self.reserved += amount
        self.rows["reservations"] += 1

    def settle(self, transaction, held, cost):
        self.add("settle", "held", "provider:api.llm.example", cost, transaction, None, "settled", cost, False, False, None,
                 None, None, self.day)
        if cost < held:
            self.add("release", "held", "wallet", held - cost, transaction)
        self.reserved -= held
        self.balance -= cost
        self.spent += cost
        self.rows["endings"] += 1

    def head(self, counts=False):
        day = {"day": self.day, "spent": self.spent, "reserved": self.reserved}
        return {"id": self.agent, "name": "planner", "status": "active", "seq": len(self.lines),
                "hash": self.lines[-1]["hash"] if self.lines else ZEROS, "balance": self.balance,
                "reserved": self.reserved, "spent": self.spent, "exposed": 0, "caids": self.caids, "days": [day],
                **({"rows": self.rows} if counts else {})}

    def page(self, query):
        after, until, limit = (int(query[name][0]) for name in ("afterSeq", "untilSeq", "limit"))
        return self.lines[after:min(until, after + min(limit, 3))]  # a short page is no end

    def opening(self):
        return {"agent": self.agent, "seq": 0, "hash": ZEROS, "until": len(self.lines), "balance": 0, "reserved": 0,
                "spent": 0, "exposed": 0, "days": [], "open": [], "expired": [], "tokens": []}


class Ledger(ApiTest):
    def setUp(self):
        super().setUp()
        self.create()
        self.caid = decode(self.mint().split(".")[0])["kid"]
        self.chain = Chain(caids=[self.caid])
        self.chain.fund(20 * USDC)
        self.chain.reserve("txn_1", USDC, self.mint("--ref", "run é"))
        self.chain.settle("txn_1", USDC, USDC // 4)
        self.chain.reserve("txn_2", USDC, self.mint("--use", "session", "--max", "1.5"))
        self.chain.settle("txn_2", USDC, USDC)
        self.serve(self.chain)

    def mint(self, *options):
        return self.ok("token", "mint", "--agent", "planner", *options).strip()

    def serve(self, *chains):
        by_id = {chain.agent: chain for chain in chains}
        owner = agent(caids=[{"caid": self.caid, "status": "active"}])

        def heads(request):
            wanted = request["query"].get("agentId", list(by_id))
            counts = request["query"].get("counts") == ["true"]
            return [by_id[owner].head(counts) for owner in wanted if owner in by_id]

        def of_agent(answer):
            return lambda request: answer(by_id[request["query"]["agentId"][0]], request["query"])

        self.routes({"GET /v1/ledger/heads": heads,
                     "GET /v1/ledger/lines": of_agent(lambda chain, query: chain.page(query)),
                     "GET /v1/ledger/opening": of_agent(lambda chain, query: chain.opening()),
                     "GET /v1/agents": [owner], f"GET /v1/agents/{AGENT}": owner,
                     f"POST /v1/agents/{AGENT}/adjust": agent()})

    def wrong(self, *arguments):
        result = self.run_cli("ledger", "verify", *arguments)
        self.assertEqual((result.returncode, result.stderr), (1, ""), result.stdout)
        return result.stdout

    def export(self):
        path = self.home / "evidence.ndjson"
        self.ok("ledger", "export", "--agent", "planner", "--day", self.chain.day, "--output", str(path))
        return path

    def test_a_good_ledger_is_clean(self):
        self.assertEqual(self.ok("ledger", "verify"), "clean: 1 agents, 6 lines\n")
        self.assertEqual(self.ok("ledger", "verify", "--agent", "planner", "--no-signatures", "--jobs", "3"),
                         "clean: 1 agents, 6 lines, signatures not checked\n")
        told = json.loads(self.ok("ledger", "verify", "--json"))
        self.assertEqual((told["clean"], told["agents"], told["lines"], told["findings"]), (True, 1, 6, []))
        self.assertEqual(told["heads"], [{"agent": AGENT, "seq": 6, "hash": self.chain.lines[-1]["hash"]}])
        self.assertIn("6 lines", self.ok("ledger", "verify", "--from", self.chain.day, "--to", self.chain.day))

    def test_the_first_wrong_line_is_named(self):
        self.chain.lines[2]["line"] = self.chain.lines[2]["line"].replace("250000000", "240000000")
        self.assertIn(f"planner ({AGENT}), line 3, txn_1: chain: ", self.wrong())
        told = json.loads(self.wrong("--json"))
        finding = told["findings"][0]
        self.assertEqual((finding["agent"], finding["seq"], finding["transaction"], finding["invariant"]),
                         (AGENT, 3, "txn_1", "chain"))
        self.assertFalse(told["clean"])

    def test_stored_rows_are_compared(self):
        self.chain.balance += 1
        self.assertIn("line 6: stored: ", self.wrong())
        self.chain.balance -= 1
        self.chain.rows["reservations"] += 1
        self.assertIn("3 stored reservations", self.wrong())

    def test_a_missing_end_is_found(self):
        served = self.chain.page
        self.chain.page = lambda query: [line for line in served(query) if line["seq"] < 6]
        self.assertIn("line 6: sequence: ", self.wrong())

    def test_a_cap_that_did_not_hold_is_found_and_so_is_a_forged_token(self):
        self.chain.reserve("txn_3", USDC, self.mint(), cap=2 * USDC)
        self.assertIn("line 7, txn_3: daily_cap: ", self.wrong())
        self.chain.lines.pop()
        self.chain.reserved, self.chain.rows["reservations"], self.chain.rows["transfers"] = 0, 2, 6
        self.assertIn("clean", self.ok("ledger", "verify"))
        token = self.mint()
        forged = token.rsplit(".", 1)[0] + "." + base64.urlsafe_b64encode(bytes(64)).decode().rstrip("=")
        self.chain.reserve("txn_3", USDC, forged)
        self.assertIn("line 7, txn_3: token_proof: ", self.wrong())
        self.assertNotIn(forged, self.wrong())
        self.assertIn("clean", self.ok("ledger", "verify", "--no-signatures"))

    def test_a_chain_that_was_written_anew_does_not_fit_the_heads_that_were_kept(self):
        heads = self.home / "heads.json"
        heads.write_text(self.ok("ledger", "verify", "--json"))
        self.chain.fund(USDC)
        self.assertIn("clean", self.ok("ledger", "verify", "--heads", str(heads)))
        anew = Chain(caids=[self.caid])
        for _ in range(6):
            anew.fund(USDC)
        self.serve(anew)
        self.assertIn("clean", self.ok("ledger", "verify"))
        self.assertIn("line 6: chain: ", self.wrong("--heads", str(heads)))
        anew.lines.pop()
        anew.balance -= USDC
        anew.rows["transfers"] -= 1
        self.assertIn("its end was cut off", self.wrong("--heads", str(heads)))
        self.serve(Chain(owner=OTHER))
        self.assertIn("the agent is gone", self.wrong("--heads", str(heads)))
        self.fails(1, "ledger", "verify", "--heads", str(self.home / "nothing"))

    def test_several_agents_at_once(self):
        chains = [Chain(owner=AGENT[:-2] + f"{n:02}") for n in range(10, 30)]
        for chain in chains:
            for _ in range(9):
                chain.fund(USDC)
        self.serve(*chains)
        self.assertEqual(self.ok("ledger", "verify", "--jobs", "4"), "clean: 20 agents, 180 lines\n")
        for chain in chains[3], chains[7]:
            chain.lines[4]["hash"] = ZEROS
        told = json.loads(self.wrong("--jobs", "4", "--json"))
        self.assertEqual([(found["agent"], found["seq"]) for found in told["findings"]],
                         [(chains[3].agent, 5), (chains[7].agent, 5)])

    def test_a_terminal_is_shown_how_far_it_is_and_a_pipe_is_not(self):
        served = self.chain.page

        def slow(query):
            time.sleep(0.4)  # longer than the bar takes to be drawn
            return served(query)

        self.chain.page = slow
        controller, terminal = pty.openpty()
        done = subprocess.run([str(BINARY), "ledger", "verify"], stdout=subprocess.PIPE, stderr=terminal, text=True,
                              timeout=60, env=self.environment)
        os.close(terminal)
        shown = ""
        try:
            while piece := os.read(controller, 100_000):
                shown += piece.decode()
        except OSError:  # how a terminal ends that nobody holds open any more
            pass
        os.close(controller)
        self.assertEqual(done.stdout, "clean: 1 agents, 6 lines\n")
        self.assertIn("50 %, 3 of 6 lines", shown)
        self.assertRegex(shown, r"lines/s, \d+ s left")
        self.assertTrue(shown.endswith("\r\x1b[K"), "and it is gone at the end")
        self.assertEqual(self.run_cli("ledger", "verify").stderr, "")

    def test_evidence_is_checked_without_a_gateway(self):
        path = self.export()
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(self.ok("ledger", "export", "--agent", AGENT, "--day", self.chain.day), path.read_text())
        self.api.answer = lambda request: self.fail("asked the gateway")
        self.assertIn("6 lines up to line 6", self.ok("ledger", "verify", "--file", str(path)))
        text = path.read_text()
        self.assertTrue(json.loads(self.ok("ledger", "verify", "--file", "-", "--json", stdin=text))["clean"])
        lines = text.splitlines()
        for place, bad in [(4, "\n".join(lines[:-1]) + "\n"), (4, text.replace("240000000", "1").replace("250000000", "1")),
                           (3, "\n".join([*lines[:2], *lines[3:]])), (1, text.replace("nomiqon-evidence", "x")),
                           (9, text + "{}\n"), (8, text.replace('{"end":{"seq":6', '{"end":{"seq":7')), (1, "x"), (1, "")]:
            result = self.run_cli("ledger", "verify", "--file", "-", stdin=bad)
            self.assertEqual((result.returncode, result.stderr), (1, ""), bad)
            self.assertIn("wrong: line ", result.stdout)
        self.ok("ledger", "verify", "--file", str(path), "--caid", self.caid)
        self.assertIn("identity", self.wrong("--file", str(path), "--caid", "caid_" + "1" * 31 + "2"))
        self.fails(2, "ledger", "verify", "--file", str(path), "--agent", "planner")
        self.fails(2, "ledger", "verify", "--caid", self.caid)

    def test_the_example_checks_evidence_with_the_public_keys_alone(self):
        python = python_with_ed25519()
        if python is None:
            self.skipTest("neither PyNaCl nor cryptography is here")
        path = self.export()

        def check(text, *keys):
            path.write_text(text)
            return subprocess.run([python, "-B", str(EXAMPLE), str(path), *keys], capture_output=True, text=True)

        text = path.read_text()
        good = check(text)
        self.assertEqual(good.returncode, 0, good.stderr)
        self.assertIn("6 lines, 2 signed tokens", good.stdout)
        self.assertEqual(check(text, self.caid).returncode, 0)
        self.assertIn("the key is not the agent's", check(text, "caid_" + "1" * 31 + "2").stderr)
        self.assertIn("the hash", check(text.replace("250000000", "240000000")).stderr)
        self.assertIn("the file was cut", check("\n".join([*text.splitlines()[:3], text.splitlines()[-1]])).stderr)

        # Somebody who owns the ledger can write a chain that fits, but can't sign.
        forged = Chain(caids=[self.caid])
        forged.fund(20 * USDC)
        token = self.mint()
        forged.reserve("txn_1", USDC, token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB"))
        self.chain = forged
        self.serve(forged)
        path = self.export()
        self.assertIn("the signature", check(path.read_text()).stderr)

    def test_adjust(self):
        self.assertEqual(self.ok("ledger", "adjust", "--agent", "planner", "--amount", "-1.25", "--reason", "double"),
                         "took 1.25 USDC from planner; its balance is 5.000000\n")
        self.assertEqual(self.api.requests[-1]["body"], {"amount": "-1.25", "reason": "double"})
        self.assertIn("Idempotency-Key", self.api.requests[-1]["headers"])
        self.assertIn("gave 1 USDC", self.ok("ledger", "adjust", "--agent", AGENT, "--amount=1", "--reason", "r"))
        self.assertEqual(json.loads(self.ok("ledger", "adjust", "--agent", AGENT, "--amount", "1", "--reason", "r",
                                            "--json"))["id"], AGENT)
        for amount in "0", "-0", "1e3", "--1", "x":
            self.assertIn("--amount", self.fails(2, "ledger", "adjust", "--agent", AGENT, f"--amount={amount}",
                                                 "--reason", "r"))
        self.fails(2, "ledger", "adjust", "--agent", AGENT, "--amount", "1")
        self.fails(2, "ledger", "adjust", "--agent", AGENT, "--amount", "1", "--reason", "")

    def test_mistakes_are_told(self):
        self.assertIn("--from", self.fails(2, "ledger", "verify", "--from", "2026-02-30"))
        self.assertIn("--to", self.fails(2, "ledger", "verify", "--from", "2026-02-20", "--to", "2026-02-19"))
        self.assertIn("--day", self.fails(2, "ledger", "export", "--agent", AGENT, "--day", "today"))
        self.fails(2, "ledger", "verify", "--jobs", "0")
        self.routes({})
        self.fails(1, "ledger", "verify")


if __name__ == "__main__":
    unittest.main()
