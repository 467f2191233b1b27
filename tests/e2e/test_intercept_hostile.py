"""Inside TLS: agents that want what their policy forbids, for less than it costs, or at the expense of others."""

import contextlib
import time

import pytest

from intercepted import (ANTHROPIC, CHAT, CHEAP_SOCKET, CHEAP_SOCKET_PRICE, CLAUDE, DEARER, FLAT, FLAT_PRICE, OPENAI, SOCKET,
                         Reader, chat_bytes, make_world, request_bytes)

CHAT_PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def world(workspace):
    with make_world(workspace, "hostile") as world:
        yield world


@pytest.fixture
def agent(world):
    return world.agent()


# Past the policy -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", [OPENAI, FLAT])
@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "x-http-method", "X_Method_Override", "X-Original-URL"])
def test_a_field_that_overrides_the_method_or_the_path_is_400(world, agent, host, name):
    before = world.count()
    with world.connect(agent, host) as tls:
        tls.sendall(request_bytes("GET", "/v1/models", host, headers=[f"{name}: DELETE"]))
        answer = Reader(tls).answer()
    assert (answer.status, answer.code) == (400, "bad_request")
    assert world.count() == before
    assert agent.settled_spend() == 0


def test_every_model_that_a_request_may_fall_back_to_must_be_permitted(world):
    agent = world.agent(allowlist=[{"host": ANTHROPIC, "models": [CLAUDE]}])
    before = world.count()
    body = {"model": CLAUDE, "max_tokens": 10, "messages": [{"role": "user", "content": "x"}]}
    with world.connect(agent, ANTHROPIC) as tls:
        reader = Reader(tls)
        tls.sendall(request_bytes("POST", "/v1/messages", ANTHROPIC, {**body, "fallbacks": [{"model": DEARER}]}))
        answer = reader.answer()
        assert (answer.status, answer.code) == (403, "policy_model_blocked")
        assert world.count() == before
        tls.sendall(request_bytes("POST", "/v1/messages", ANTHROPIC, {**body, "fallbacks": [{"model": CLAUDE}]}))
        assert reader.answer().status == 200


@pytest.mark.parametrize("protocol", ["h2c", "websocket, h2c", "TLS/1.2"])
def test_only_web_sockets_are_changed_to(world, agent, protocol):
    before = world.count()
    with world.connect(agent, SOCKET) as tls:
        tls.sendall(request_bytes("GET", "/socket", SOCKET, headers=["Connection: Upgrade", f"Upgrade: {protocol}"]))
        answer = Reader(tls).answer()
    assert (answer.status, answer.code) == (422, "price_unknown")
    assert world.count() == before


# For less than it costs ------------------------------------------------------------------------------------------


def test_an_upgrade_that_is_not_taken_costs_what_the_request_costs(world, agent):
    fields = ["Connection: Upgrade", "Upgrade: websocket"]
    with world.connect(agent, CHEAP_SOCKET) as tls:
        reader = Reader(tls)
        tls.sendall(request_bytes("GET", "/search?q=x", CHEAP_SOCKET, headers=fields))
        assert reader.answer().status == 200
        tls.sendall(request_bytes("GET", "/socket", CHEAP_SOCKET,
                                  headers=[*fields, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA=="]))
        assert reader.head().status == 101
    assert world.charges(agent) == [FLAT_PRICE, CHEAP_SOCKET_PRICE]


def test_an_answer_before_the_end_of_a_large_body_is_relayed_and_costs_what_it_says(world, agent):
    body = {**CHAT, "messages": [{"role": "user", "content": "a" * (9 << 20)}]}  # more than the provider reads
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(body))
        answer = Reader(tls).answer()
    assert answer.status == 413
    assert world.charges(agent) == [0]


# At the expense of others ----------------------------------------------------------------------------------------


def numbers(count):
    return b'{"model": "gpt-4o-mini", "max_completion_tokens": 9, "messages": [], "x": [' + b"1," * count + b"1]}"


def test_the_pricing_of_a_large_body_holds_up_no_other_connection(workspace):
    with make_world(workspace, "large", proxy={"threads": 1}) as world:
        heavy, light = world.agent(), world.agent()
        with world.connect(light, OPENAI) as tls, world.connect(heavy, OPENAI) as slow:
            reader, slow_reader = Reader(tls), Reader(slow)
            longest = 0
            for _ in range(5):
                slow.sendall(request_bytes("POST", CHAT_PATH, OPENAI, numbers(900_000)))
                for _ in range(10):
                    started = time.monotonic()
                    tls.sendall(request_bytes("GET", "/v1/models", OPENAI))
                    assert reader.answer().status == 200
                    longest = max(longest, time.monotonic() - started)
                assert slow_reader.answer().status == 200
        assert longest < 1, longest  # on the thread of both it would be some 3 s a body


def test_a_body_of_too_many_values_is_400(world, agent):
    before = world.count()
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(request_bytes("POST", CHAT_PATH, OPENAI, numbers(1_100_000)))
        answer = Reader(tls).answer()
    assert (answer.status, answer.code) == (400, "bad_request")
    assert world.count() == before


def test_no_agent_can_take_the_room_for_bodies_from_the_others(workspace):
    with make_world(workspace, "room", limits={"bufferedBytes": 4 << 20, "bodyBytes": 1 << 20}) as world:
        greedy, other = world.agent(), world.agent()
        head = f"POST {CHAT_PATH} HTTP/1.1\r\nHost: {OPENAI}\r\nContent-Length: {1 << 20}\r\n\r\n{{".encode()
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(world.connect(greedy, OPENAI)) for _ in range(6)]
            for tls in held:
                tls.sendall(head)
            time.sleep(0.3)
            with world.connect(other, OPENAI) as tls:
                tls.sendall(chat_bytes())
                assert Reader(tls).answer().status == 200
            refused = 0
            for tls in held:
                tls.settimeout(0.3)
                with contextlib.suppress(TimeoutError):
                    refused += Reader(tls).answer().code == "overloaded"
        assert refused == 4, "half of the room is left to others"
