"""Mistakes in the command line, failures of the API, help."""

import json
import os
import pathlib
import subprocess
import time
import unittest

from support import AGENT, BINARY, KEY, ApiTest, error


class Failures(ApiTest):
    def test_unauthorized_says_where_the_key_came_from(self):
        self.api.answer = lambda request: error(401, "unauthorized", "unknown API key")
        message = self.fails(1, "agents", "list")
        self.assertIn("unknown API key (unauthorized, request req_1)", message)
        self.assertIn("NOMIQON_API_KEY", message)
        self.assertNotIn(KEY, message)
        problem = json.loads(self.fails(1, "--json", "agents", "list"))["error"]
        self.assertEqual((problem["code"], problem["requestId"]), ("unauthorized", "req_1"))

    def test_the_key_of_this_machine_s_gateway_goes_to_the_loopback_only(self):
        data = pathlib.Path(self.environment["NOMIQON_DATA_DIR"])
        data.mkdir()
        (data / "admin.key").write_text("nmq_admin\n")
        del self.environment["NOMIQON_API_KEY"]
        self.api.answer = lambda request: []
        self.ok("agents", "list")
        self.assertEqual(self.api.requests[0]["headers"]["Authorization"], "Bearer nmq_admin")
        message = self.fails(2, "agents", "list", "--base-url", "http://192.0.2.1:3129")
        self.assertIn("no API key for http://192.0.2.1:3129", message)

    def test_an_answer_of_somebody_else_is_told(self):
        for answer in ((200, b"<html>"), (502, b"Bad Gateway"), (200, {"x": 1}), (200, {"data": {}}), (302, {}),
                       (200, b"[" * 100_000)):
            self.api.answer = lambda request, answer=answer: answer
            self.fails(1, "agents", "list")

    def test_a_redirect_is_not_followed(self):
        self.api.answer = lambda request: (307, {})
        self.fails(1, "agents", "list")
        self.assertEqual(len(self.api.requests), 1)

    def test_a_slow_gateway_is_given_up(self):
        self.api.answer = lambda request: time.sleep(3)
        started = time.monotonic()
        self.fails(1, "agents", "list", "--timeout", "200ms")
        self.assertLess(time.monotonic() - started, 10)

    def test_base_urls_that_are_none(self):
        for url in ("127.0.0.1:3129", "ftp://x", "http://", "http://a:99999", "http://user:pw@a", "http://a/?q",
                    "http://a b"):
            with self.subTest(url):
                message = self.fails(2, "agents", "list", "--base-url", url)
                self.assertNotIn("pw", message)

    def test_a_base_url_may_have_a_path(self):
        self.routes({"GET /nomiqon/v1/agents": []})
        self.ok("agents", "list", "--base-url", self.api.url + "/nomiqon/")

    def test_a_key_that_is_none_is_not_sent(self):
        for key in ("a b", "a\r\nX: y", "x" * 1000):
            message = self.fails(2, "agents", "list", NOMIQON_API_KEY=key)
            self.assertNotIn(key, message)
        self.assertEqual(self.api.requests, [])

    def test_text_that_is_no_utf8_is_not_sent(self):
        self.assertIn("UTF-8", self.fails(2, "agents", "create", b"a\xff", "--public-key", "k"))
        self.assertIn("UTF-8", self.fails(2, "agents", "create", b"a\xff"))
        self.assertEqual(self.api.requests, [])
        self.assertEqual(list(self.keys.glob("*.json")), [])

    def test_mistakes_in_the_command_line(self):
        for arguments, word in (([], "needs a command"), (["agents"], "needs a command"),
                                (["agent"], "did you mean `nomiqon agents`"), (["run", "--", "x"], "nomiqon run"),
                                (["doctor"], "no command"), (["ledger", "burn"], "no command"),
                                (["agents", "list", "--nope"], "no option `--nope`"),
                                (["agents", "list", "--limit", "0"], "--limit"),
                                (["agents", "list", "--limit", "1", "--all"], "--all"),
                                (["agents", "create"], "NAME"), (["agents", "fund", AGENT], "AMOUNT"),
                                (["agents", "fund", AGENT, "x"], "amount"),
                                (["agents", "list", "--timeout", "0s"], "--timeout"),
                                (["token", "verify", "a", "secret-token"], "too many")):
            with self.subTest(arguments):
                message = self.fails(2, *arguments)
                self.assertIn(word, message)
                self.assertNotIn("secret-token", message)
        self.assertEqual(json.loads(self.fails(2, "nope", "--json")).keys(), {"error"})

    def test_a_full_disk_is_no_success(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "w") as full:
            result = subprocess.run([str(BINARY), "version"], stdout=full, stderr=subprocess.PIPE, env=self.environment)
        self.assertEqual(result.returncode, 1)

    def test_help_and_version(self):
        self.assertIn("agents", self.ok("--help"))
        self.assertIn("--daily-cap", self.ok("agents", "create", "--help"))
        self.assertRegex(self.ok("version"), r"^nomiqon \d+\.\d+\.\d+\n$")
        self.assertRegex(self.ok("--version"), r"^nomiqon \d+\.\d+\.\d+\n$")
        self.assertIn("version", json.loads(self.ok("version", "--json")))



if __name__ == "__main__":
    unittest.main()
