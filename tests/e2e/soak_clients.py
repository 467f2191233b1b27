"""What the soak's agents and administrators do, and what they saw. All of it is noted; soak_checks.py compares it with
the ledger afterwards."""

import collections
import http.client
import itertools
import random
import secrets
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from decimal import Decimal

from harness import (BLOCKED, LLM, SEARCH, SEARCH_PRICE, TUNNEL_PRICE, PLAIN_PRICE, Api, ApiError, read_answer)

# What may be answered at any time: money, the administrator's doings, a database that is away. Anything else must have
# been asked for (`allowed`).
ALWAYS_ALLOWED = {"policy_cap_exceeded", "insufficient_balance", "policy_cap_reserved", "balance_reserved",
                  "spend_token_exhausted", "spend_token_reserved", "agent_frozen", "agent_paused", "agent_terminated",
                  "ledger_unavailable", "overloaded"}


@dataclass
class Served:
    """A success as the client saw it."""
    agent: str
    request_id: str
    host: str
    price: Decimal
    spent: bool  # whether an answer of the provider came too; else it may have been given back


@dataclass
class Notes:
    """What one thread saw. Each thread has its own; they are put together at the end."""
    served: list = field(default_factory=list)
    attempts: dict = field(default_factory=dict)  # the number in the URL → the `ref` of the token that paid for it
    outcomes: collections.Counter = field(default_factory=collections.Counter)
    failures: list = field(default_factory=list)
    funded: dict = field(default_factory=dict)  # (agent, reference) → amount, "certain" or "tried"
    adjusted: dict = field(default_factory=dict)

    def add(self, other):
        self.served += other.served
        self.attempts.update(other.attempts)
        self.outcomes.update(other.outcomes)
        self.failures += other.failures
        self.funded.update(other.funded)
        self.adjusted.update(other.adjusted)


class SoakAgent:
    """An agent, and what was forbidden to it when."""

    def __init__(self, agent, kind):
        self.agent, self.id, self.kind = agent, agent.id, kind
        self.blocked, self.epoch, self.gone = False, 0, False
        self.session, self.session_ref, self.session_until = None, None, 0.0

    def session_token(self, rng):
        if time.monotonic() > self.session_until:
            ref = f"session-{secrets.token_hex(8)}"
            token = self.agent.mint(use="session", max=str(rng.choice(["0.05", "0.2", "1"])), ref=ref,
                                    exp=int(time.time()) + 120)
            self.session, self.session_ref, self.session_until = token, ref, time.monotonic() + rng.uniform(3, 20)
        return self.session, self.session_ref


class Unanswered(Exception):
    """The connection ended before there was an answer: nobody knows what happened."""


class Client:
    """One thread of requests, by a generator of its own."""

    numbers = itertools.count(1)
    operations = {"plain_once": 30, "plain_session": 30, "tunnel": 14, "tunnel_session": 6, "leave_tunnel": 6,
                  "leave_waiting": 5, "leave_stream": 6, "replay": 8, "blocked": 3, "no_token": 2}

    def __init__(self, world, seed, number):
        self.world, self.rng, self.notes = world, random.Random(f"{seed}/client/{number}"), Notes()
        self.context = ssl.create_default_context(cafile=world.provider.ca)
        self.used = collections.deque(maxlen=20)  # once tokens: (agent, token, ref, whether it certainly paid)

    def run(self):
        names, weights = zip(*self.operations.items())
        while not self.world.stopping.is_set():
            name = self.rng.choices(names, weights)[0]
            with self.world.lock:
                agent = self.rng.choice(self.world.agents)
            self.gateway = self.rng.choice(self.world.gateways)
            try:
                getattr(self, name)(agent)
            except Unanswered:
                self.notes.outcomes["unanswered"] += 1
            except ConnectionRefusedError:
                self.notes.outcomes["no gateway"] += 1
                time.sleep(self.rng.uniform(0.01, 0.1))
            except OSError:
                self.notes.outcomes["unanswered"] += 1
            except Exception as error:  # a mistake of the soak itself must not end the thread in silence
                self.notes.failures.append(f"{name}: {error!r}")
                time.sleep(0.1)

    # What can be asked -----------------------------------------------------------------------------------------

    def plain_once(self, agent):
        token, ref = self.once(agent)
        self.remember(agent, token, ref, self.get(agent, token, ref))

    def plain_session(self, agent):
        """Some requests on one connection."""
        token, ref = agent.session_token(self.rng)
        with self.dial() as sock:
            for _ in range(self.rng.randint(1, 5)):
                if not self.get(agent, token, ref, sock=sock):
                    return

    def tunnel(self, agent):
        token, ref = self.once(agent)
        self.remember(agent, token, ref, self.through_tunnel(agent, token, ref))

    def tunnel_session(self, agent):
        token, ref = agent.session_token(self.rng)
        self.through_tunnel(agent, token, ref)

    def leave_tunnel(self, agent):
        """Opened and not used: to be given back."""
        token, _ = self.once(agent)
        with self.dial() as sock:
            if self.open_tunnel(agent, sock, SEARCH, token):
                time.sleep(self.rng.choice([0, 0.01, 0.3]))

    def leave_waiting(self, agent):
        """The answer is slow, and the client doesn't wait for it."""
        token, ref = self.once(agent)
        with self.dial() as sock:
            sock.sendall(self.request(agent, "GET", SEARCH, "/search", token, ref,
                                      f"X-Sample-Delay: {self.rng.uniform(0.2, 2):.2f}\r\n"))
            time.sleep(self.rng.uniform(0.005, 0.2))
        self.notes.outcomes["left"] += 1

    def leave_stream(self, agent):
        token, ref = self.once(agent)
        body = b'{"model": "sample-1", "stream": true}'
        with self.dial() as sock:
            sock.sendall(self.request(agent, "POST", LLM, "/v1/chat/completions", token, ref,
                                      f"X-Sample-Delay: 0.05\r\nContent-Length: {len(body)}\r\n") + body)
            data = sock.recv(65536)
            if not data:
                raise Unanswered
            if data.startswith(b"HTTP/1.1 200"):
                for _ in range(self.rng.randint(0, 5)):
                    data += sock.recv(65536)
        self.notes.outcomes["left"] += 1

    def replay(self, agent):
        """A token again: of a call that was paid for, or one whose answer never came (as a client's retry does)."""
        if not self.used:
            return
        agent, token, ref, paid = self.used[self.rng.randrange(len(self.used))]
        if self.get(agent, token, ref, allowed={"spend_token_replayed", "spend_token_expired"}) and paid:
            self.notes.failures.append(f"the once token {ref} of {agent.id} was taken twice")

    def blocked(self, agent):
        token, ref = self.once(agent)
        if self.get(agent, token, ref, host=BLOCKED, allowed={"policy_domain_blocked"}):
            self.notes.failures.append(f"{agent.id} reached {BLOCKED}")

    def no_token(self, agent):
        with self.dial() as sock:
            sock.sendall(f"GET http://{SEARCH}/search HTTP/1.1\r\nHost: {SEARCH}\r\n\r\n".encode())
            if self.judge(agent, read_answer(sock), {"spend_token_missing"}, agent.epoch, False):
                self.notes.failures.append("served without a token")

    # How -------------------------------------------------------------------------------------------------------

    def once(self, agent):
        ref = f"once-{secrets.token_hex(8)}"
        return agent.agent.mint(ref=ref), ref

    def remember(self, agent, token, ref, paid):
        self.used.append((agent, token, ref, bool(paid)))

    def dial(self):
        return socket.create_connection(("127.0.0.1", self.gateway.proxy_port), timeout=15)

    def request(self, agent, method, host, path, token, ref, more=""):
        number = f"a{next(self.numbers)}"
        self.notes.attempts[number] = ref
        return (f"{method} http://{host}{path}?q={number} HTTP/1.1\r\nHost: {host}\r\n{more}"
                f"Proxy-Authorization: Bearer {token}\r\n\r\n").encode()

    def get(self, agent, token, ref, host=SEARCH, sock=None, allowed=frozenset()):
        """True when it was served; the token may be on a connection that is there already."""
        if sock is None:
            with self.dial() as own:
                return self.get(agent, token, ref, host, own, allowed)
        epoch, blocked = agent.epoch, agent.blocked
        sock.sendall(self.request(agent, "GET", host, "/search", token, ref))
        answer = read_answer(sock)
        served = self.judge(agent, answer, allowed, epoch, blocked)
        if served:
            self.serve(agent, answer, host, PLAIN_PRICE, spent=True)
        return served

    def through_tunnel(self, agent, token, ref):
        host = self.rng.choice([LLM, SEARCH])
        with self.dial() as sock:
            request_id = self.open_tunnel(agent, sock, host, token)
            if not request_id:
                return False
            number = f"a{next(self.numbers)}"
            self.notes.attempts[number] = ref
            with self.context.wrap_socket(sock, server_hostname=host) as tls:
                tls.sendall(f"GET /search?q={number} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                answer = read_answer(tls)
            if not complete(answer):
                raise Unanswered
            self.notes.served.append(Served(agent.id, request_id, host,
                                            TUNNEL_PRICE if host == LLM else SEARCH_PRICE, spent=True))
            self.notes.outcomes["served"] += 1
            return True

    def open_tunnel(self, agent, sock, host, token):
        """The request's id."""
        epoch, blocked = agent.epoch, agent.blocked
        sock.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n"
                     f"Proxy-Authorization: Bearer {token}\r\n\r\n".encode())
        answer = read_answer(sock)
        if not self.judge(agent, answer, frozenset(), epoch, blocked):
            return None
        self.serve(agent, answer, host, TUNNEL_PRICE if host == LLM else SEARCH_PRICE, spent=False)
        return answer.headers["x-nomiqon-request-id"]

    def judge(self, agent, answer, allowed, epoch, blocked):
        if not complete(answer):
            raise Unanswered
        if answer.status == 200:
            if blocked and agent.epoch == epoch:
                self.notes.failures.append(f"{agent.id} was served although it was frozen, paused or terminated before")
            return True
        self.notes.outcomes[f"refused: {answer.code or answer.status}"] += 1
        if answer.code not in ALWAYS_ALLOWED | allowed:
            self.notes.failures.append(f"an answer that nothing explains: {answer.line} {answer.body[:300]!r}")
        if answer.code == "spend_token_exhausted":
            agent.session_until = 0.0
        if answer.status == 503:
            time.sleep(self.rng.uniform(0, 0.05))  # a refusal costs nothing: the others are to get the processors
        return False

    def serve(self, agent, answer, host, price, spent):
        request_id = answer.headers.get("x-nomiqon-request-id")
        if not request_id:
            self.notes.failures.append(f"200 without X-Nomiqon-Request-Id: {answer.headers}")
            return
        self.notes.served.append(Served(agent.id, request_id, host, price, spent))
        self.notes.outcomes["served" if spent else "tunnel opened"] += 1


class Dawdler(Client):
    """Holds tunnels without using them. When its gateway is taken for dead meanwhile, the money is booked as spent, and
    given back by a correction when that gateway turns out to be alive."""

    operations = {"dawdle": 1}

    def dawdle(self, agent):
        token, _ = self.once(agent)
        with self.dial() as sock:
            if self.open_tunnel(agent, sock, SEARCH, token):
                self.world.stopping.wait(self.rng.uniform(2, 9))  # the ClientHello may take 10 s
            else:
                self.world.stopping.wait(0.2)


def complete(answer):
    return answer.status != 0 and len(answer.body) >= int(answer.headers.get("content-length", "0"))


# The administrator -----------------------------------------------------------------------------------------------


class Administrator:
    """Freezes, funds, lowers caps, terminates; through any gateway, again and again until there is an answer."""

    actions = {"freeze": 4, "pause": 2, "cap": 8, "fund": 8, "adjust": 2, "terminate": 1}

    def __init__(self, world, seed):
        self.world, self.rng, self.notes = world, random.Random(f"{seed}/administrator"), Notes()
        self.key = world.gateways[0].api().key  # of the database, so good at each of its gateways
        self.changes = 0

    def run(self):
        names, weights = zip(*self.actions.items())
        while not self.world.stopping.wait(self.rng.uniform(0.05, 0.6)):
            name = self.rng.choices(names, weights)[0]
            agent = self.rng.choice(self.world.agents)
            try:
                getattr(self, name)(agent)
                self.changes += 1
            except TimeoutError as error:
                self.notes.failures.append(f"{name}: {error}")
            except ApiError as error:
                self.notes.failures.append(f"{name} of {agent.id}: {error}")
            except Exception as error:  # see Client.run
                self.notes.failures.append(f"{name}: {error!r}")

    def make_agent(self, kind):
        money = {"rich": ("1000", {}), "capped": ("100", {"dailyCap": "0.50"}), "poor": ("0.30", {}),
                 "total": ("100", {"totalCap": "1.00"})}
        fund, policy = money[kind]
        agent = Api(self.world.gateways[0].base_url, self.key)
        agent.call = self.call
        made = SoakAgent(agent.agent(fund=None, **policy), kind)
        self.give(made, fund)
        return made

    def freeze(self, agent):
        self.patch(agent, frozen=True)
        agent.blocked = True
        self.world.stopping.wait(self.rng.uniform(0, 0.5))
        agent.blocked, agent.epoch = False, agent.epoch + 1
        self.patch(agent, frozen=False)

    def pause(self, agent):
        self.call("POST", f"/v1/agents/{agent.id}/pause")
        agent.blocked = True
        self.world.stopping.wait(self.rng.uniform(0, 0.5))
        agent.blocked, agent.epoch = False, agent.epoch + 1
        self.call("POST", f"/v1/agents/{agent.id}/resume")

    def cap(self, agent):
        """Up and down, sometimes below what is spent; most agents go on for a while."""
        spent = Decimal(self.call("GET", f"/v1/agents/{agent.id}/spend")["data"]["spent"])
        room = Decimal(self.rng.choice(["-0.1", "0.05", "0.3", "0.3", "1"]))
        if agent.kind == "capped":
            self.patch(agent, dailyCap=str(max(Decimal("0.01"), spent + room)))
        elif agent.kind == "total":
            total = Decimal(self.call("GET", f"/v1/agents/{agent.id}")["data"]["policy"]["_computed"]["spentTotal"])
            self.patch(agent, totalCap=str(max(Decimal("0.01"), total + room)))

    def fund(self, agent):
        self.give(agent, self.rng.choice(["0.05", "0.2", "0.4"]))

    def adjust(self, agent):
        amount = self.rng.choice(["0.01", "-0.01"])
        reason = f"soak {secrets.token_hex(8)}"
        self.notes.adjusted[(agent.id, reason)] = (Decimal(amount), "tried")
        try:
            self.call("POST", f"/v1/agents/{agent.id}/adjust", {"amount": amount, "reason": reason})
        except ApiError as error:
            if error.status not in (409, 412, 422):  # less is available
                raise
            del self.notes.adjusted[(agent.id, reason)]
            return
        self.notes.adjusted[(agent.id, reason)] = (Decimal(amount), "certain")

    def terminate(self, agent):
        self.call("DELETE", f"/v1/agents/{agent.id}")
        agent.blocked = agent.gone = True
        successor = self.make_agent(agent.kind)
        with self.world.lock:
            self.world.agents.remove(agent)
            self.world.agents.append(successor)

    def give(self, agent, amount):
        reference = secrets.token_hex(8)
        self.notes.funded[(agent.id, reference)] = (Decimal(amount), "tried")
        self.call("POST", f"/v1/agents/{agent.id}/fund", {"amount": amount, "reference": reference})
        self.notes.funded[(agent.id, reference)] = (Decimal(amount), "certain")

    def patch(self, agent, **policy):
        self.call("PATCH", f"/v1/agents/{agent.id}", {"policy": policy})

    def call(self, method, path, body=None, headers=None, raw=None):
        """Repeated with the same Idempotency-Key until a gateway answers: done once, however often it was sent."""
        options = {**(headers or {}), **({} if method == "GET" else {"Idempotency-Key": secrets.token_hex(16)})}
        deadline = time.monotonic() + 90
        while True:
            gateway = self.rng.choice(self.world.gateways)
            try:
                return Api(gateway.base_url, self.key).call(method, path, body, options, raw)
            except ApiError as error:
                if error.status not in (429, 500, 502, 503, 504) or time.monotonic() > deadline:
                    raise
                self.notes.outcomes[f"API {error.status}"] += 1
                if error.status == 500:
                    self.notes.outcomes[f"API 500: {error}"] += 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{method} {path}: no answer in 90 s: {error!r}") from None
                self.notes.outcomes["API unanswered"] += 1
            time.sleep(0.1)


def threads_for(workers):
    threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    return threads
