"""Inside TLS, by hand: connections, tokens and framing, as careless and hostile clients send them."""

import gzip
import json
import time
from decimal import Decimal

import pytest

from intercepted import (AGENT_KEY, ANTHROPIC, CHAT, CHAT_PATH, CHAT_PRICE, FLAT, FLAT_PRICE, GATEWAY_KEY, OPENAI, STREAM,
                         TAVILY, Reader, chat_bytes, fields_of, make_world, request_bytes)


@pytest.fixture(scope="module")
def world(workspace):
    with make_world(workspace, "intercept", limits={"bodyBytes": 1 << 20}) as world:
        yield world


@pytest.fixture
def agent(world):
    return world.agent()


# Connections -----------------------------------------------------------------------------------------------------


def test_each_request_of_a_kept_connection_is_paid_for(world, agent):
    before = world.count()
    with world.connect(agent, OPENAI) as tls:
        reader = Reader(tls)
        for _ in range(3):
            tls.sendall(chat_bytes())
            answer = reader.answer()
            assert answer.status == 200
            assert answer.headers["x-nomiqon-request-id"].startswith("req_")
            assert Decimal(answer.headers["x-nomiqon-cost"]) == CHAT_PRICE
            assert Decimal(answer.headers["x-nomiqon-reserved"]) > CHAT_PRICE
    assert world.charges(agent) == [CHAT_PRICE] * 3
    seen = world.seen(before)
    assert len(seen) == 3 and len({request["connection"] for request in seen}) == 1, "one connection upstream"
    for request in seen:
        assert fields_of(request)["authorization"] == f"Bearer {GATEWAY_KEY}"
        assert AGENT_KEY not in json.dumps(request)


def test_pipelined_requests_are_answered_in_order_each_on_its_own(world, agent):
    before = world.count()
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes() + request_bytes("GET", "/v1/models", OPENAI) + chat_bytes({**CHAT, "model": "no-such"}) +
                    chat_bytes(STREAM))
        reader = Reader(tls)
        answers = [reader.answer() for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 422, 200]
    assert answers[2].code == "price_unknown"
    assert answers[3].body.endswith(b"data: [DONE]\n\n")
    assert len(world.seen(before)) == 3
    assert sorted(world.charges(agent)) == [0, CHAT_PRICE, CHAT_PRICE]


def test_a_policy_is_checked_for_every_request(world, agent):
    with world.connect(agent, OPENAI) as tls:
        reader = Reader(tls)
        tls.sendall(chat_bytes())
        assert reader.answer().status == 200
        agent.update_policy(frozen=True)
        tls.sendall(chat_bytes())
        answer = reader.answer()
        assert (answer.status, answer.reason, answer.code) == (403, "agent_frozen", "agent_frozen")
        agent.update_policy(frozen=False)
    assert world.charges(agent) == [CHAT_PRICE]


@pytest.mark.parametrize("host", [ANTHROPIC, "api.openai.com:8443", "", "evil.example"])
def test_a_host_other_than_that_of_connect_is_400(world, agent, host):
    before = world.count()
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(host=host))
        answer = Reader(tls).answer()
    assert (answer.status, answer.code) == (400, "bad_request")
    assert world.count() == before
    assert agent.settled_spend() == 0


def test_the_absolute_form_of_another_host_is_400(world, agent):
    before = world.count()
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(request_bytes("POST", f"https://{ANTHROPIC}{CHAT_PATH}", OPENAI, CHAT))
        assert Reader(tls).answer().status == 400
    assert world.count() == before


def test_two_hosts_are_400(world, agent):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(headers=[f"Host: {ANTHROPIC}"]))
        assert Reader(tls).answer().status == 400


def test_the_hosts_own_port_may_be_named(world, agent):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(host=f"{OPENAI}:443"))
        assert Reader(tls).answer().status == 200


def test_a_connection_that_is_kept_without_requests_sends_nothing_up(world, agent):
    connections = world.provider.connections()
    with world.connect(agent, TAVILY):
        time.sleep(0.2)
    assert world.provider.connections() == connections
    assert agent.settled_spend() == 0


# Tokens ----------------------------------------------------------------------------------------------------------


def test_a_connect_without_a_token_is_200_and_its_requests_401(world, agent):
    before = world.count()
    with world.connect(agent, OPENAI, token="") as tls:
        reader = Reader(tls)
        tls.sendall(request_bytes("GET", "/v1/models", OPENAI))
        answer = reader.answer()
        assert (answer.status, answer.code) == (401, "spend_token_missing")
        assert "www-authenticate" in answer.headers and "proxy-authenticate" not in answer.headers
        assert world.count() == before
        tls.sendall(chat_bytes(headers=[f"X-Nomiqon-Agent-Id: {agent.id}",
                                        f"X-Nomiqon-Spend-Token: spt_{agent.mint()}"]))
        assert reader.answer().status == 200
    assert world.charges(agent) == [CHAT_PRICE]
    (seen,) = world.seen(before)
    assert not [name for name in fields_of(seen) if name.startswith("x-nomiqon")]


@pytest.mark.parametrize("code, claims", [
    ("spend_token_expired", {"iat": int(time.time()) - 100, "exp": int(time.time()) - 1}),
    ("spend_token_mismatch", {"htu": f"https://{ANTHROPIC}"}), ("spend_token_mismatch", {"htm": "GET"}),
    ("spend_token_invalid", {"aud": "another"})])
def test_a_wrong_token_of_a_request_is_401(world, agent, code, claims):
    before = world.count()
    with world.connect(agent, OPENAI, token="") as tls:
        tls.sendall(chat_bytes(headers=[f"X-Nomiqon-Agent-Id: {agent.id}",
                                        f"X-Nomiqon-Spend-Token: spt_{agent.mint(**claims)}"]))
        answer = Reader(tls).answer()
    assert (answer.status, answer.code) == (401, code)
    assert world.count() == before


def test_a_once_token_of_a_request_pays_once(world, agent):
    fields = [f"X-Nomiqon-Agent-Id: {agent.id}", f"X-Nomiqon-Spend-Token: spt_{agent.mint()}"]
    before = world.count()
    with world.connect(agent, OPENAI, token="") as tls:
        reader = Reader(tls)
        for expected in (200, 401):
            tls.sendall(chat_bytes(headers=fields))
            answer = reader.answer()
            assert answer.status == expected
    assert answer.code == "spend_token_replayed"
    assert len(world.seen(before)) == 1
    assert world.charges(agent) == [CHAT_PRICE]


def test_a_once_token_of_connect_pays_for_one_request_and_the_answer_closes(world, agent):
    with world.connect(agent, OPENAI, token=agent.mint()) as tls:
        reader = Reader(tls)
        tls.sendall(chat_bytes())
        answer = reader.answer()
        assert answer.status == 200
        assert answer.headers["connection"].lower() == "close"
        assert reader.is_at_end()
    assert world.charges(agent) == [CHAT_PRICE]


def test_an_expired_token_at_connect_is_407(world, agent):
    now = int(time.time())
    sock, answer = world.gateway.connect(agent, OPENAI, token=agent.mint(iat=now - 100, exp=now - 1))
    sock.close()
    assert (answer.status, answer.code) == (407, "spend_token_expired")


def test_the_answer_closes_when_the_connections_token_is_about_to_expire(world, agent):
    token = agent.mint(use="session", max="1", exp=int(time.time()) + 4)
    with world.connect(agent, OPENAI, token=token) as tls:
        reader = Reader(tls)
        for _ in range(60):
            tls.sendall(chat_bytes())
            answer = reader.answer()
            assert answer.status == 200, "it was to say when it closes before the token expires"
            if answer.headers.get("connection", "").lower() == "close":
                break
            time.sleep(0.1)
        else:
            pytest.fail("the connection never closed")
        assert reader.is_at_end()


# Framing ---------------------------------------------------------------------------------------------------------


def test_a_chunked_request_with_trailers(world, agent):
    before = world.count()
    data = json.dumps(CHAT).encode()
    head = (f"POST {CHAT_PATH} HTTP/1.1\r\nHost: {OPENAI}\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n").encode()
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(head)
        for at in range(0, len(data), 17):
            piece = data[at:at + 17]
            tls.sendall(b"%x;note=1\r\n%s\r\n" % (len(piece), piece))
        tls.sendall(b"0\r\nX-Sum: 12\r\n\r\n")
        answer = Reader(tls).answer()
    assert answer.status == 200 and json.loads(answer.body)["object"] == "chat.completion"
    assert len(world.seen(before)) == 1
    assert world.charges(agent) == [CHAT_PRICE]


def test_a_chunked_answer_keeps_its_trailers(world, agent):
    with world.connect(agent, FLAT) as tls:
        tls.sendall(request_bytes("GET", "/search?q=x", FLAT, headers=[
            "X-Sample-Framing: chunked", "X-Sample-Trailer: told-late", "TE: trailers"]))
        reader = Reader(tls)
        answer = reader.answer()
    assert answer.headers.get("transfer-encoding") == "chunked"
    assert json.loads(answer.body)["query"] == "x"
    assert "X-Sample-Trailer: told-late" in reader.trailers
    assert world.charges(agent) == [FLAT_PRICE]


def test_each_chunk_is_passed_on_at_once_whatever_its_type(world, agent):
    with world.connect(agent, FLAT) as tls:
        tls.sendall(request_bytes("GET", "/bytes/1600", FLAT, headers=["X-Sample-Framing: chunked", "X-Sample-Delay: 0.4"]))
        reader = Reader(tls)
        assert reader.head().headers["content-type"] == "text/plain"
        first, at = reader.chunk(), time.monotonic()
        rest = b""
        while data := reader.chunk():
            rest += data
    assert first + rest == b"0123456789abcdef" * 101
    assert time.monotonic() - at > 0.3, "the first chunk came with the second"


def test_a_connection_that_the_provider_left_is_not_used_again(world, agent):
    with world.connect(agent, OPENAI) as tls:
        reader = Reader(tls)
        for _ in range(4):
            tls.sendall(chat_bytes(headers=["X-Sample-Leave: 1"]))
            assert reader.answer().status == 200
            time.sleep(0.05)
    assert world.charges(agent) == [CHAT_PRICE] * 4


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("coding", ["", "gzip", "deflate"])
def test_a_json_answer_in_every_framing(world, agent, framing, coding):
    fields = [f"X-Sample-Framing: {framing}", f"X-Sample-Coding: {coding}", "Accept-Encoding: gzip, deflate"]
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(headers=fields))
        answer = Reader(tls).answer()
    assert answer.status == 200
    assert answer.headers.get("content-encoding", "") == coding
    body = gzip.decompress(answer.body) if coding == "gzip" else answer.body
    if coding != "deflate":
        assert json.loads(body)["usage"]["completion_tokens"] == 9
    assert world.charges(agent) == [CHAT_PRICE]


def test_head_204_and_304_have_no_body_and_keep_the_connection(world, agent):
    with world.connect(agent, FLAT) as tls:
        reader = Reader(tls)
        tls.sendall(request_bytes("HEAD", "/search?q=x", FLAT))
        answer = reader.answer(to_head=True)
        assert answer.status == 200 and int(answer.headers["content-length"]) > 0
        for status in (204, 304):
            tls.sendall(request_bytes("GET", f"/status/{status}", FLAT))
            assert reader.answer().status == status
        tls.sendall(request_bytes("GET", "/search?q=still", FLAT))
        assert json.loads(reader.answer().body)["query"] == "still"
    # Rule 17: what is complete and no success costs nothing.
    assert sum(world.charges(agent)) == 3 * FLAT_PRICE


def test_expect_100_continue(world, agent):
    body = json.dumps(CHAT).encode()
    head = request_bytes("POST", CHAT_PATH, OPENAI, body, ["Expect: 100-continue"])[:-len(body)]
    with world.connect(agent, OPENAI) as tls:
        reader = Reader(tls)
        tls.sendall(head)
        assert reader.head().status == 100
        tls.sendall(body)
        assert reader.answer().status == 200
    assert world.charges(agent) == [CHAT_PRICE]


def test_expect_100_continue_of_a_refused_request_is_refused_at_once(world, agent):
    agent.update_policy(frozen=True)
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(request_bytes("POST", CHAT_PATH, OPENAI, b"x" * 100, ["Expect: 100-continue"])[:-100])
        answer = Reader(tls).answer()
    assert (answer.status, answer.code) == (403, "agent_frozen")


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_beyond_the_limit_is_413(world, agent, framing):
    before = world.count()
    with world.connect(agent, OPENAI) as tls:
        if framing == "length":
            tls.sendall(f"POST {CHAT_PATH} HTTP/1.1\r\nHost: {OPENAI}\r\nContent-Length: 1048577\r\n\r\n".encode())
        else:
            tls.sendall(f"POST {CHAT_PATH} HTTP/1.1\r\nHost: {OPENAI}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            try:
                for _ in range(18):
                    tls.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
            except OSError:
                pass  # it has heard enough
        answer = Reader(tls).answer()
    assert (answer.status, answer.code) == (413, "request_too_large")
    assert world.count() == before
    assert agent.settled_spend() == 0


@pytest.mark.parametrize("name, head", [
    ("two lengths", "Content-Length: 2\r\nContent-Length: 3\r\n"),
    ("a length and chunks", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"),
    ("another method in a header", "Content-Length: 2\r\nX-HTTP-Method-Override: GET\r\n"),
    ("a folded line", "Content-Length: 2\r\nX-A: b\r\n c\r\n"), ("a space before the colon", "Content-Length : 2\r\n")])
def test_what_two_parsers_could_read_differently_is_400(world, agent, name, head):
    before = world.count()
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(f"POST {CHAT_PATH} HTTP/1.1\r\nHost: {OPENAI}\r\n{head}\r\n{{}}".encode())
        assert Reader(tls).answer().status == 400
    assert world.count() == before
