"""Real processes for the tests: the gateway, the sample provider, and a spend-token minter of its own."""

import base64
import gc
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from decimal import Decimal
from pathlib import Path

from nacl.signing import SigningKey

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("NOMIQON_BIN_DIR", ROOT / "build/release/bin")).resolve()

LLM, SEARCH, BLOCKED = "api.llm.example", "api.search.example", "api.blocked.example"
TUNNEL_PRICE, SEARCH_PRICE, PLAIN_PRICE = Decimal("0.05"), Decimal("0.01"), Decimal("0.002")


def wait_until(check, seconds=10, what="it"):
    """The first true value of `check`, which is asked again and again."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


# Certificates and the provider -----------------------------------------------------------------------------------


def make_certificates(directory):
    """By the quickstart's own function, so that it is tested too."""
    script = 'set -eu; . "$1/scripts/lib/certificates.sh"; shift; make_certificates "$@"'
    subprocess.run(["bash", "-c", script, "bash", ROOT, directory, LLM, SEARCH, BLOCKED], check=True,
                   capture_output=True)


class Provider:
    """examples/sample_provider.py, and what its log says."""

    def __init__(self, directory):
        self.log = directory / "provider.log"
        self.ca = directory / "ca.pem"
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "examples/sample_provider.py", "--cert", directory / "provider.pem",
             "--key", directory / "provider.key", "--log", self.log], stdout=subprocess.PIPE, text=True)
        ports = json.loads(self.process.stdout.readline())
        self.tls, self.plain = ports["tls"], ports["plain"]

    def events(self, kind):
        return [event for line in self.log.read_text().splitlines() if (event := json.loads(line))["event"] == kind]

    def connections(self):
        return len(self.events("connection"))

    def requests(self):
        return self.events("request")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


# The gateway -----------------------------------------------------------------------------------------------------


def sample_config(provider, **members):
    config = {
        "upstream": {
            "allowPrivate": ["127.0.0.0/8"],
            "resolve": {f"{LLM}:443": f"127.0.0.1:{provider.tls}", f"{SEARCH}:443": f"127.0.0.1:{provider.tls}",
                        f"{BLOCKED}:443": f"127.0.0.1:{provider.tls}", f"{SEARCH}:80": f"127.0.0.1:{provider.plain}",
                        f"{BLOCKED}:80": f"127.0.0.1:{provider.plain}"},
        },
        "routes": [
            {"host": LLM, "mode": "tunnel", "price": {"perConnection": str(TUNNEL_PRICE)}},
            {"host": SEARCH, "mode": "tunnel",
             "price": {"perConnection": str(SEARCH_PRICE), "perRequest": str(PLAIN_PRICE)}},
        ],
    }
    for name, value in members.items():
        if isinstance(value, dict):
            config.setdefault(name, {}).update(value)
        else:
            config[name] = value
    return config


def free_port():
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return candidate.getsockname()[1]


class Gateway:
    """One nomiqon-gateway on ports of its own. It may be stopped, killed and started again on the same data."""

    def __init__(self, directory, config, prefix=()):
        self.prefix = prefix  # of the command line: a program that execs the gateway
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)  # the private PostgreSQL runs as another user when the tests run as root
        self.data_dir = self.directory / "data"
        self.config_file = self.directory / "gateway.json"
        self.log_file = self.directory / "gateway.log"
        self.proxy_port, self.admin_port = free_port(), free_port()
        self.base_url = f"http://127.0.0.1:{self.admin_port}"
        self.process = None
        self.write_config(config)
        self.start()

    def write_config(self, config):
        self.config = config
        self.config_file.write_text(json.dumps(config, indent=2))

    def command(self):
        return [*self.prefix, BIN / "nomiqon-gateway", "--config", self.config_file, "--data-dir", self.data_dir,
                "--proxy-listen", f"127.0.0.1:{self.proxy_port}", "--admin-listen", f"127.0.0.1:{self.admin_port}"]

    def popen_options(self):
        return {}

    def spawn(self):
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            **self.popen_options())

    def start(self, seconds=60):
        self.spawn()
        try:
            wait_until(self.is_ready_or_dead, seconds, "the gateway's readiness")
        except AssertionError:
            self.kill()
            raise AssertionError("the gateway is not ready:\n" + self.log_tail()) from None
        assert self.process.poll() is None, "the gateway ended:\n" + self.log_tail()

    def is_ready_or_dead(self):
        return self.process.poll() is not None or self.ready() == 200

    def ready(self):
        """The status of /readyz; 0 when nobody answers."""
        try:
            with DIRECT.open(self.base_url + "/readyz", timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def stop(self, seconds=30):
        """SIGTERM, as an operator would; the exit status."""
        if self.process is None or self.process.poll() is not None:
            return None if self.process is None else self.process.returncode
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def postmaster_pid(self):
        return int((self.data_dir / "postgres/postmaster.pid").read_text().split()[0])

    def log_tail(self, lines=40):
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])

    def api(self, key=None):
        return Api(self.base_url, key or (self.data_dir / "admin.key").read_text().strip())

    def verify_ledger(self, *options):
        """`nomiqon ledger verify`: its exit status and all that it said."""
        environment = {**os.environ, "NOMIQON_BASE_URL": self.base_url, "NOMIQON_API_KEY": self.api().key}
        done = subprocess.run([BIN / "nomiqon", "ledger", "verify", *options], env=environment, capture_output=True,
                              text=True, timeout=300)
        return done.returncode, done.stdout + done.stderr

    def proxy_url(self, agent, token):
        return f"http://{agent.caid}:{token}@127.0.0.1:{self.proxy_port}"

    def raw(self, data, timeout=5):
        """Sends bytes to the proxy and returns everything that it answers until it closes or falls silent."""
        with socket.create_connection(("127.0.0.1", self.proxy_port), timeout=timeout) as sock:
            sock.sendall(data)
            return read_answer(sock)

    def connect(self, agent, host, port=443, token=None, timeout=10):
        """CONNECT by hand: the socket and the head of the answer."""
        sock = socket.create_connection(("127.0.0.1", self.proxy_port), timeout=timeout)
        token = agent.mint() if token is None else token
        sock.sendall(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n"
                     f"Proxy-Authorization: Bearer {token}\r\n\r\n".encode())
        return sock, read_answer(sock)


class Answer:
    def __init__(self, data):
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        parts = lines[0].split(" ", 2)
        self.status = int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0
        self.reason = parts[2] if len(parts) > 2 else ""
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        self.body = body

    @property
    def code(self):
        return self.headers.get("x-nomiqon-error")

    def json(self):
        return json.loads(self.body)


def read_answer(sock):
    """One HTTP answer with a Content-Length or none; whatever there is when the peer closes."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return Answer(data)
            data += piece
        answer = Answer(data)
        length = int(answer.headers.get("content-length", "0"))
        while len(answer.body) < length:
            piece = sock.recv(65536)
            if not piece:
                break
            answer.body += piece
        return answer
    except ConnectionError:
        return Answer(data)


# The API ---------------------------------------------------------------------------------------------------------

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ApiError(Exception):
    def __init__(self, status, document, headers):
        error = document.get("error", {})
        super().__init__(f"{status} {error.get('code')}: {error.get('message')} {error.get('param') or ''}")
        self.status, self.code, self.param, self.error = status, error.get("code"), error.get("param"), error
        self.headers = headers


class Api:
    def __init__(self, base_url, key):
        self.base_url, self.key = base_url, key

    def call(self, method, path, body=None, headers=None, raw=None):
        """The whole document of an answer. Raises ApiError."""
        data = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        request = urllib.request.Request(self.base_url + path, data=data, method=method, headers={
            **({"Authorization": f"Bearer {self.key}"} if self.key else {}),
            **({"Content-Type": "application/json"} if data is not None else {}), **(headers or {})})
        try:
            with DIRECT.open(request, timeout=20) as answer:
                text = answer.read()
                return json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            text = error.read()
            raise ApiError(error.code, json.loads(text) if text else {}, error.headers) from None

    def get(self, path):
        return self.call("GET", path)["data"]

    def post(self, path, body=None, **options):
        return self.call("POST", path, body, **options)["data"]

    def patch(self, path, body, **options):
        return self.call("PATCH", path, body, **options)["data"]

    def all(self, path):
        """Every item of a list, over all its pages."""
        items, after = [], ""
        joint = "&" if "?" in path else "?"
        while True:
            page = self.call("GET", f"{path}{joint}limit=200{after}")
            items += page["data"]
            if not page["meta"].get("hasMore"):
                return items
            after = f"&after={page['meta']['nextCursor']}"

    def agent(self, name=None, fund="10", key=None, metadata=None, **policy):
        key = key or SigningKey.generate()
        policy.setdefault("allowlist", [LLM, SEARCH])
        document = self.post("/v1/agents", {
            "name": name or f"agent-{secrets.token_hex(6)}", "caid": {"publicKey": base58(bytes(key.verify_key))},
            "policy": policy, "metadata": metadata or {}})
        agent = Agent(self, document, key)
        if fund:
            self.post(f"/v1/agents/{agent.id}/fund", {"amount": fund, "reference": secrets.token_hex(8)})
        return agent


class Agent:
    def __init__(self, api, document, key):
        self.api, self.document, self.key = api, document, key
        self.id, self.name, self.caid = document["id"], document["name"], caid_of(key)

    def mint(self, **claims):
        return mint(self.key, **claims)

    def show(self):
        return self.api.get(f"/v1/agents/{self.id}")

    def balance(self):
        return Decimal(self.show()["wallet"]["balance"])

    def settled_spend(self):
        """What the agent spent today, once nothing is held."""
        return Decimal(wait_until(self._spent_when_nothing_held, 10, f"{self.name}: everything settled"))

    def _spent_when_nothing_held(self):
        spend = self.api.get(f"/v1/agents/{self.id}/spend")
        return spend["spent"] if Decimal(spend["wallet"]["reserved"]) == 0 else None

    def update_policy(self, **policy):
        return self.api.patch(f"/v1/agents/{self.id}", {"policy": policy})

    def transactions(self, status=None):
        return self.api.all(f"/v1/transactions?agentId={self.id}" + (f"&status={status}" if status else ""))

    def check_ledger(self, funded="10"):
        """The double entries must say what the wallet says; returns what was paid to providers."""
        accounts = {}
        for transfer in self.api.all(f"/v1/ledger/transfers?agentId={self.id}"):
            amount = Decimal(transfer["amount"])
            assert amount > 0
            accounts[transfer["debit"]] = accounts.get(transfer["debit"], Decimal(0)) - amount
            accounts[transfer["credit"]] = accounts.get(transfer["credit"], Decimal(0)) + amount
        wallet = self.show()["wallet"]
        paid = sum((amount for name, amount in accounts.items() if name.startswith("provider:")), Decimal(0))
        assert accounts.get("treasury", 0) == -Decimal(funded)
        assert accounts.get("held", 0) == Decimal(wallet["reserved"])
        assert accounts["wallet"] + accounts.get("held", 0) == Decimal(wallet["balance"])
        assert Decimal(funded) - paid == Decimal(wallet["balance"])
        assert sum(accounts.values()) == 0
        return paid


# The spend token, by spec alone ----------------------------------------------------------------------------------

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def base58(data):
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def caid_of(key):
    return "caid_" + base58(bytes(key.verify_key))


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def mint(key, header=None, sign=True, **claims):
    """A signed spend token; any claim may be given, and None leaves one out."""
    now = int(time.time())
    claims = {"aud": "nomiqon", "iat": now, "exp": now + 60, "jti": secrets.token_urlsafe(16), **claims}
    claims = {name: value for name, value in claims.items() if value is not None}
    header = header or {"alg": "EdDSA", "typ": "spend+jwt", "kid": caid_of(key)}
    compact = {"separators": (",", ":")}
    signed = ".".join(base64url(json.dumps(part, **compact).encode()) for part in (header, claims))
    signature = key.sign(signed.encode()).signature if sign else bytes(64)
    return f"{signed}.{base64url(signature)}"


# Clients ---------------------------------------------------------------------------------------------------------


def in_parallel(count, work):
    """`work(n)` on `count` threads that start together; the results in order."""
    results, barrier = [None] * count, threading.Barrier(count)

    def run(number):
        barrier.wait()
        try:
            results[number] = work(number)
        except Exception as error:  # handed to the test, which compares it
            results[number] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()  # clients leave connections in reference cycles, and open tunnels would hold up the gateway's drain
    return results


def curl(gateway, provider, agent, url, *options, token=None, timeout=20):
    """A real curl through the gateway: its exit status, and the last head and body that it got."""
    token = agent.mint() if token is None else token
    done = subprocess.run(
        ["curl", "-sS", "-i", "--max-time", str(timeout), "--noproxy", "", "--proxy", gateway.proxy_url(agent, token),
         "--cacert", provider.ca, *options, url], capture_output=True, timeout=timeout + 5)
    return done.returncode, done.stdout, done.stderr.decode()
