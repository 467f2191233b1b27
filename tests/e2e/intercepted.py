"""What the tests of interception share: providers' real names that lead to the sample provider, a price book that costs
can be worked out from by hand, a gateway with metered routes, and TLS through it by hand."""

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
from decimal import ROUND_CEILING, Decimal
from pathlib import Path

from harness import ROOT, Answer, Gateway, Provider, wait_until

OPENAI, ANTHROPIC, GEMINI = "api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com"
TAVILY, FLAT, SOCKET = "api.tavily.com", "api.flat.example", "api.socket.example"
CHEAP_SOCKET = "api.cheapsocket.example"
BAD_NAME = "api.misnamed.example"
HOSTS = [OPENAI, ANTHROPIC, GEMINI, TAVILY, FLAT, SOCKET, CHEAP_SOCKET, BAD_NAME]
GATEWAY_KEY = "sk-of-the-gateway-41b7"
AGENT_KEY = "sk-of-the-agent-9d02"
FLAT_PRICE, TAVILY_PRICE, SOCKET_PRICE = Decimal("0.003"), Decimal("0.008"), Decimal("0.05")
CHEAP_SOCKET_PRICE = Decimal("0.001")

BOOK = {
    "gpt-4o-mini": {"litellm_provider": "openai", "mode": "chat", "max_input_tokens": 128000,
                    "max_output_tokens": 16384, "input_cost_per_token": 1.503e-07, "output_cost_per_token": 6.01e-07,
                    "cache_read_input_token_cost": 7.5e-08},
    "text-embedding-3-small": {"litellm_provider": "openai", "mode": "embedding", "max_input_tokens": 8191,
                               "input_cost_per_token": 2.01e-08},
    "claude-haiku-4-5": {"litellm_provider": "anthropic", "mode": "chat", "max_input_tokens": 200000,
                         "max_output_tokens": 64000, "input_cost_per_token": 1e-06, "output_cost_per_token": 5e-06,
                         "cache_creation_input_token_cost": 1.25e-06, "cache_read_input_token_cost": 1e-07},
    "claude-opus-4-5": {"litellm_provider": "anthropic", "mode": "chat", "max_input_tokens": 200000,
                        "max_output_tokens": 64000, "input_cost_per_token": 5e-06, "output_cost_per_token": 2.5e-05},
    "gemini/gemini-2.5-flash": {"litellm_provider": "gemini", "mode": "chat", "max_input_tokens": 1048576,
                                "max_output_tokens": 65536, "input_cost_per_token": 3e-07,
                                "output_cost_per_token": 2.5e-06},
}
GPT, CLAUDE, FLASH = "gpt-4o-mini", "claude-haiku-4-5", "gemini/gemini-2.5-flash"
DEARER = "claude-opus-4-5"


def cost(model, read, written):
    rates = [Decimal(repr(BOOK[model].get(f"{side}_cost_per_token", 0))) for side in ("input", "output")]
    return (read * rates[0] + written * rates[1]).quantize(Decimal("1e-9"), rounding=ROUND_CEILING)


def cost_of_usage(model, usage):
    """By the provider's own count, of any of their forms."""
    def first(*names):
        return next((usage[name] for name in names if name in usage), 0)

    return cost(model, first("prompt_tokens", "input_tokens", "promptTokenCount"),
                first("completion_tokens", "output_tokens", "candidatesTokenCount"))


# The world -------------------------------------------------------------------------------------------------------


def make_certificates(directory, names):
    directory.mkdir(exist_ok=True)
    script = 'set -eu; . "$1/scripts/lib/certificates.sh"; shift; make_certificates "$@"'
    subprocess.run(["bash", "-c", script, "bash", ROOT, directory, *names], check=True, capture_output=True)


def start_provider(directory):
    make_certificates(directory, [name for name in HOSTS if name != BAD_NAME])
    return Provider(directory)


def config_for(provider, workspace, **members):
    prices = workspace / "prices.json"
    prices.write_text(json.dumps(BOOK))
    key = workspace / "provider-key"
    key.write_text(GATEWAY_KEY + "\n")
    for file in (prices, key):
        file.chmod(0o600 if file == key else 0o644)

    def metered(host, meter, header, prefix=""):
        return {"host": host, "mode": "intercept", "meter": meter,
                "credential": {"header": header, "value": f"{prefix}${{file:{key}}}"}}

    routes = [metered(OPENAI, "openai", "Authorization", "Bearer "), metered(ANTHROPIC, "anthropic", "x-api-key"),
              metered(GEMINI, "gemini", "x-goog-api-key"),
              {"host": TAVILY, "mode": "intercept", "price": {"perRequest": str(TAVILY_PRICE)},
               "credential": {"header": "Authorization", "value": f"Bearer ${{file:{key}}}"}},
              *({"host": host, "mode": "intercept", "price": {"perRequest": str(FLAT_PRICE)}} for host in (FLAT, BAD_NAME)),
              *({"host": host, "mode": "intercept", "upgrade": True,
                 "price": {"perRequest": str(FLAT_PRICE), "perConnection": str(price), "maxSeconds": 30,
                           "maxBytes": 1000000}}
                for host, price in ((SOCKET, SOCKET_PRICE), (CHEAP_SOCKET, CHEAP_SOCKET_PRICE)))]
    config = {
        "upstream": {"allowPrivate": ["127.0.0.0/8"], "caFile": str(provider.ca),
                     "resolve": {f"{host}:443": f"127.0.0.1:{provider.tls}" for host in HOSTS}},
        "prices": {"models": str(prices)}, "routes": routes}
    for name, value in members.items():
        if isinstance(value, dict):
            config.setdefault(name, {}).update(value)
        else:
            config[name] = value
    return config


class World:
    def __init__(self, gateway, provider):
        self.gateway, self.provider, self.api = gateway, provider, gateway.api()
        self.ca = gateway.data_dir / "ca.crt"

    def agent(self, **policy):
        policy.setdefault("allowlist", HOSTS)
        policy.setdefault("dailyCap", "5")
        return self.api.agent(**policy)

    def url(self, agent, **claims):
        """The proxy's, with a token that pays for many requests."""
        token = agent.mint(**{"use": "session", "max": "5", "exp": int(time.time()) + 600, **claims})
        return self.gateway.proxy_url(agent, token)

    def context(self):
        """A client that trusts the gateway alone, and checks as strictly as Python can."""
        context = ssl.create_default_context(cafile=self.ca)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    def connect(self, agent, host, token=None, port=443, headers=""):
        """TLS inside a CONNECT. `token`: None mints one of a session, "" sends none."""
        if token is None:
            token = agent.mint(use="session", max="5")
        field = f"Proxy-Authorization: Bearer {token}\r\n" if token else ""
        sock = socket.create_connection(("127.0.0.1", self.gateway.proxy_port), timeout=20)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{field}{headers}\r\n".encode())
        head = b""
        while b"\r\n\r\n" not in head:
            piece = sock.recv(1)
            assert piece, head
            head += piece
        answer = Answer(head)
        assert answer.status == 200, answer.line
        return self.context().wrap_socket(sock, server_hostname=host)

    def seen(self, since, host=None):
        """Requests that the provider got."""
        found = self.provider.requests()[since:]
        return [request for request in found if host in (None, request["host"])]

    def count(self):
        return len(self.provider.requests())

    def told(self, connection_of):
        """The usage that the provider told in its answer to a request of its log."""
        def find():
            found = [event for event in self.provider.events("answered")
                     if (event["connection"], event["target"]) == (connection_of["connection"], connection_of["target"])]
            return found[-1] if found else None

        return wait_until(find, 10, "the provider's answer")["usage"]

    def charges(self, agent):
        """What the agent's calls cost, oldest first, once nothing is held."""
        agent.settled_spend()
        settled = [each for each in agent.transactions() if each["status"] in ("settling", "settled")]
        return [Decimal(each["amount"]) for each in sorted(settled, key=lambda each: (each["createdAt"], each["id"]))]


@contextlib.contextmanager
def make_world(workspace, name, **members):
    """A provider and a gateway of their own; at the end the ledger must be able to prove all that happened."""
    provider = start_provider(workspace / name)
    gateway = Gateway(Path(tempfile.mkdtemp(prefix=f"{name}-gateway-", dir=workspace)),
                      config_for(provider, workspace / name, **members))
    try:
        yield World(gateway, provider)
        verified, said = gateway.verify_ledger()
        assert verified == 0, said
    finally:
        status = gateway.stop()
        provider.stop()
        shutil.rmtree(gateway.directory, ignore_errors=True)
    assert status == 0, "the gateway's end"


def fields_of(request):
    return {name.lower(): value for name, value in request["headers"]}


# HTTP by hand ----------------------------------------------------------------------------------------------------


def request_bytes(method, path, host, body=b"", headers=()):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if body or method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Reader:
    """Reads answers off a connection, one after another, and keeps what it read of each, byte for byte."""

    def __init__(self, sock):
        self.sock, self.data = sock, b""

    def _more(self):
        piece = self.sock.recv(65536)
        if not piece:
            raise EOFError(self.data)
        self.data += piece

    def until(self, mark):
        while mark not in self.data:
            self._more()
        found, self.data = self.data.split(mark, 1)
        return found + mark

    def exactly(self, count):
        while len(self.data) < count:
            self._more()
        found, self.data = self.data[:count], self.data[count:]
        return found

    def head(self):
        return Answer(self.until(b"\r\n\r\n"))

    def chunk(self):
        """The next chunk's data; empty at the end, after which `trailers` has the fields behind it."""
        size = int(self.until(b"\r\n").split(b";")[0], 16)
        if size:
            data = self.exactly(size)
            assert self.exactly(2) == b"\r\n"
            return data
        self.trailers = []
        while (line := self.until(b"\r\n")) != b"\r\n":
            self.trailers.append(line.decode().strip())
        return b""

    def answer(self, to_head=False):
        """A whole answer, its body without the transfer coding."""
        answer = self.head()
        if to_head or answer.status in (204, 304) or answer.status < 200:
            answer.body = b""
        elif answer.headers.get("transfer-encoding", "").lower() == "chunked":
            answer.body = b""
            while data := self.chunk():
                answer.body += data
        elif "content-length" in answer.headers:
            answer.body = self.exactly(int(answer.headers["content-length"]))
        else:
            answer.body = self.rest()
        return answer

    def rest(self):
        """Whatever comes until the connection ends, in order or not."""
        try:
            while True:
                self._more()
        except (EOFError, OSError):
            pass
        found, self.data = self.data, b""
        return found

    def is_at_end(self):
        """Whether nothing more comes and the connection is closed."""
        try:
            return not self.data and self.sock.recv(1) == b""
        except OSError:
            return True


# The call of most tests, and its price --------------------------------------------------------------------------

CHAT_PATH = "/v1/chat/completions"
CHAT = {"model": GPT, "messages": [{"role": "user", "content": "hello"}], "max_completion_tokens": 100}
STREAM = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
CHAT_PRICE = cost(GPT, len(json.dumps(CHAT["messages"])) // 4 + 1, 9)


def chat_bytes(document=CHAT, headers=(), host=OPENAI):
    return request_bytes("POST", CHAT_PATH, host, document, [f"Authorization: Bearer {AGENT_KEY}", *headers])
