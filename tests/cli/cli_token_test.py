"""`nomiqon token`: minting, inspecting and verifying need no gateway."""

import json
import pathlib
import time
import unittest
from urllib.parse import urlsplit

from support import AGENT, ApiTest, CliTest, decode

VECTORS = pathlib.Path(__file__).resolve().parents[1] / "vectors" / "spend_tokens.json"


class Tokens(CliTest):
    def test_every_vector_gets_its_answer(self):
        wrong = []
        for vector in json.loads(VECTORS.read_text())["vectors"]:
            result = self.run_cli("token", "verify", "--now", str(vector["now"]), "--audience", vector["audience"],
                                  "--method", vector["request"]["method"], "--url", vector["request"]["url"],
                                  vector["token"])
            expected = (vector["expect"] + "\n", 0 if vector["expect"] == "ok" else 1)
            if (result.stdout, result.returncode) != expected:
                wrong.append((vector["name"], vector["expect"], result.stdout, result.stderr))
        self.assertEqual(wrong, [])

    def test_verify_reads_standard_input_and_writes_json(self):
        vector = json.loads(VECTORS.read_text())["vectors"][0]
        now = str(vector["now"])
        self.assertEqual(self.ok("token", "verify", "--now", now, "-", stdin=vector["token"] + "\n"), "ok\n")
        self.assertEqual(json.loads(self.ok("token", "verify", "--json", "--now", now, "spt_" + vector["token"])),
                         {"ok": True})
        result = self.run_cli("--json", "token", "verify", "")
        self.assertEqual(json.loads(result.stdout), {"ok": False, "code": "spend_token_missing"})
        self.assertEqual((result.returncode, result.stderr), (1, ""))

    def test_verify_wants_method_and_url_together(self):
        self.assertIn("--url", self.fails(2, "token", "verify", "--method", "GET", "x"))
        self.assertIn("--url", self.fails(2, "token", "verify", "--method", "GET", "--url", "ftp://x", "x"))

    def test_inspect_shows_claims_and_signature(self):
        vector = json.loads(VECTORS.read_text())["vectors"][0]
        data = json.loads(self.ok("token", "inspect", "--json", vector["token"]))
        self.assertEqual(data["claims"], vector["claims"])
        self.assertTrue(data["signatureValid"] and data["formValid"])
        head, claims, signature = vector["token"].split(".")
        forged = ".".join([head, claims, ("B" if signature[0] == "A" else "A") + signature[1:]])
        self.assertFalse(json.loads(self.ok("token", "inspect", "--json", forged))["signatureValid"])
        self.assertIn("NOT valid", self.ok("token", "inspect", forged))
        self.assertIn("no spend token", self.fails(1, "token", "inspect", "nonsense"))

    def test_inspect_survives_every_vector(self):
        for vector in json.loads(VECTORS.read_text())["vectors"][::4]:
            self.run_cli("token", "inspect", vector["token"])


class Minting(ApiTest):
    def setUp(self):
        super().setUp()
        self.create()
        self.environment["NOMIQON_BASE_URL"] = "http://127.0.0.1:1"  # none of this needs a gateway

    def mint(self, *options):
        return self.ok("token", "mint", "--agent", "planner", *options).strip()

    def test_a_token_is_good_for_a_minute_and_one_request(self):
        token = self.mint()
        header, claims = (decode(part) for part in token.split(".")[:2])
        self.assertEqual((header["alg"], header["typ"], set(header)), ("EdDSA", "spend+jwt", {"alg", "typ", "kid"}))
        self.assertEqual(claims["exp"] - claims["iat"], 60)
        self.assertEqual(set(claims), {"aud", "iat", "exp", "jti"})
        self.assertAlmostEqual(claims["iat"], time.time(), delta=20)
        self.assertEqual(self.ok("token", "verify", token), "ok\n")
        self.assertNotEqual(token, self.mint())

    def test_a_token_carries_what_was_asked_for(self):
        token = self.mint("--use", "session", "--max", "0.5", "--ttl", "2h", "--method", "CONNECT", "--url",
                          "https://api.openai.com", "--ref", "run 7", "--audience", "other")
        claims = decode(token.split(".")[1])
        self.assertEqual(claims["exp"] - claims["iat"], 7200)
        self.assertEqual((claims["use"], float(claims["max"]), claims["ref"]), ("session", 0.5, "run 7"))
        verify = ("token", "verify", "--audience", "other", "--method", "CONNECT", "--url")
        self.assertEqual(self.ok(*verify, "https://api.openai.com", token), "ok\n")
        self.assertEqual(self.run_cli(*verify, "https://api.evil.com", token).stdout, "spend_token_mismatch\n")

    def test_an_agent_is_found_by_its_id_too(self):
        self.assertEqual(self.ok("token", "verify", self.ok("token", "mint", "--agent", AGENT).strip()), "ok\n")

    def test_a_proxy_url_is_ready_for_https_proxy(self):
        kid = decode(self.mint().split(".")[0])["kid"]
        url = urlsplit(self.mint("--proxy-url"))
        self.assertEqual((url.scheme, url.username, url.hostname, url.port), ("http", kid, "127.0.0.1", 3128))
        self.assertEqual(self.ok("token", "verify", url.password), "ok\n")
        self.assertEqual(urlsplit(self.mint("--proxy-url", "gateway:8080")).netloc.split("@")[1], "gateway:8080")
        self.assertIn("host:port", self.fails(2, "token", "mint", "--agent", "planner", "--proxy-url", "a b"))

    def test_what_a_gateway_would_refuse_is_said_before(self):
        for options, word in ((["--use", "session"], "--max"), (["--ttl", "10m"], "300 s"), (["--ttl", "0s"], "--ttl"),
                              (["--ttl", "1500ms"], "--ttl"), (["--max", "0"], "--max"), (["--max", "-1"], "--max"),
                              (["--use", "twice"], "--use"), (["--url", "ftp://x"], "--url"),
                              (["--url", "https://a/?q"], "--url"), (["--method", "A B"], "--method"),
                              (["--ref", "x" * 129], "--ref"), (["--url", "https://a/" + "p" * 2000], "2048")):
            with self.subTest(options):
                self.assertIn(word, self.fails(2, "token", "mint", "--agent", "planner", *options))

    def test_json_names_the_parts(self):
        data = json.loads(self.ok("token", "mint", "--json", "--agent", "planner", "--max", "1"))
        self.assertEqual(data["max"], "1.000000")
        self.assertEqual(decode(data["token"].split(".")[1])["jti"], data["jti"])


if __name__ == "__main__":
    unittest.main()
