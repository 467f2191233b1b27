"""What the tests of `nomiqon` share: the binary (NOMIQON_BIN_DIR says where), run in a home of its own, and a small
server in the gateway's place, which remembers what it was asked."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

BINARY = pathlib.Path(os.environ.get("NOMIQON_BIN_DIR", "build/release/bin")).resolve() / "nomiqon"
AGENT = "ag_01hx0000000000000000000000"
OTHER = "ag_01hx0000000000000000000001"
KEY = "nmq_test_key"


def decode(segment):
    return json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))


def agent(**changes):
    value = {"id": AGENT, "name": "planner", "status": "active", "metadata": {"crew": "c1"},
             "createdAt": "2026-05-24T12:00:00.000Z", "caids": [],
             "wallet": {"address": "addr", "balance": "5.000000", "reserved": "0.000000", "available": "5.000000",
                        "status": "funded"},
             "policy": {"id": "pol_x", "version": 3, "dailyCap": "5.00", "allowlist": ["api.openai.com"],
                        "frozen": False, "_computed": {"spentToday": "1.250000"}}}
    value.update(changes)
    return value


class FakeApi:
    """Answers by a function from the request; what it returns is the data, or (status, body), or None to hang up."""

    def __init__(self):
        self.requests = []
        self.answer = lambda request: {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                url = urlsplit(self.path)
                request = {"method": self.command, "path": url.path, "query": parse_qs(url.query),
                           "headers": dict(self.headers), "body": json.loads(body) if body else None}
                outer.requests.append(request)
                answer = outer.answer(request)
                if answer is None:
                    self.close_connection = True
                    self.connection.close()
                    return
                status, content = answer if isinstance(answer, tuple) else (200, {"data": answer, "meta": {}})
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/csv" if isinstance(content, bytes) else "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def error(status, code, message="no", **more):
    return status, {"error": {"type": code, "code": code, "message": message, "requestId": "req_1", **more}}


class CliTest(unittest.TestCase):
    def setUp(self):
        self.home = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.home)
        self.environment = {"HOME": str(self.home), "PATH": os.environ.get("PATH", ""), "NOMIQON_API_KEY": KEY,
                            "NOMIQON_DATA_DIR": str(self.home / "data")}
        # A sanitizer's options and a coverage file must get through.
        for name, value in os.environ.items():
            if name.endswith("SAN_OPTIONS"):
                self.environment[name] = value
        self.keys = self.home / ".config/nomiqon/keys"

    def run_cli(self, *arguments, stdin="", **environment):
        result = subprocess.run([str(BINARY), *arguments], input=stdin, capture_output=True, text=True, timeout=60,
                                env={**self.environment, **environment})
        self.assertIn(result.returncode, (0, 1, 2), result.stderr)
        return result

    def ok(self, *arguments, **more):
        result = self.run_cli(*arguments, **more)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def fails(self, code, *arguments, **more):
        result = self.run_cli(*arguments, **more)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stderr


class ApiTest(CliTest):
    def setUp(self):
        super().setUp()
        self.api = FakeApi()
        self.addCleanup(self.api.close)
        self.environment["NOMIQON_BASE_URL"] = self.api.url

    def routes(self, table):
        """Answers by `METHOD path`; a value may be a function of the request."""
        def answer(request):
            found = table.get(f"{request['method']} {request['path']}", error(404, "not_found"))
            return found(request) if callable(found) else found
        self.api.answer = answer

    def create(self, *options):
        """Makes an agent through the fake API; the answer echoes what was sent."""
        self.routes({"POST /v1/agents": lambda request: (201, {"data": agent(
            name=request["body"]["name"],
            caids=[{"caid": "caid_" + request["body"]["caid"]["publicKey"], "status": "active"}])}),
            f"POST /v1/agents/{AGENT}/fund": agent(), f"GET /v1/agents/{AGENT}": agent()})
        return self.ok("agents", "create", "planner", *options)
