"""Inside TLS, by hand: what comes back from a provider, whole or broken, and what it costs."""

import gzip
import json
import re
import time
import urllib.request
from decimal import Decimal

import pytest

from harness import in_parallel, wait_until
from intercepted import (AGENT_KEY, ANTHROPIC, CHAT, CHAT_PRICE, CLAUDE, FLASH, GATEWAY_KEY, GEMINI, GPT, OPENAI, STREAM,
                         TAVILY, TAVILY_PRICE, Reader, chat_bytes, cost, cost_of_usage, fields_of, make_world,
                         request_bytes)


@pytest.fixture(scope="module")
def world(workspace):
    with make_world(workspace, "answers", upstream={"idleTimeout": "5s", "responseTimeout": "3s"}) as world:
        yield world


@pytest.fixture
def agent(world):
    return world.agent()


def the_settled(agent):
    agent.settled_spend()
    return [each for each in agent.transactions() if each["status"] in ("settled", "settling")]


def check_settled_in_full(agent, unknown):
    (each,) = the_settled(agent)
    assert each["unknown"] is unknown
    assert Decimal(each["amount"]) == Decimal(each["reserved"]) > CHAT_PRICE


# Streams ---------------------------------------------------------------------------------------------------------


def test_each_event_is_passed_on_at_once(world, agent):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(STREAM, ["X-Sample-Delay: 0.25"]))
        reader = Reader(tls)
        assert reader.head().headers["content-type"].startswith("text/event-stream")
        arrivals = []
        data = b""
        while piece := reader.chunk():
            data += piece
            arrivals.append(time.monotonic())
    assert data.endswith(b"data: [DONE]\n\n") and data.count(b"\n\n") == 13
    gaps = [later - earlier for earlier, later in zip(arrivals, arrivals[1:])]
    assert len(arrivals) >= 12, "events came together"
    assert max(gaps) < 0.6, gaps
    assert world.charges(agent) == [CHAT_PRICE]


def test_usage_that_the_client_did_not_ask_for_is_asked_for_and_hidden(world, agent):
    before = world.count()
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes({**CHAT, "stream": True}, ["Accept-Encoding: gzip, br"]))
        answer = Reader(tls).answer()
    assert b'"usage": {' not in answer.body and answer.body.endswith(b"data: [DONE]\n\n")
    bodies = [event["body"] for event in world.provider.events("body")]
    assert json.loads(bodies[-1])["stream_options"] == {"include_usage": True}
    assert fields_of(world.seen(before)[0]).get("accept-encoding", "identity") == "identity"
    assert world.charges(agent) == [CHAT_PRICE]


def test_a_compressed_stream_arrives_byte_for_byte_and_is_metered(world, agent):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(STREAM, ["X-Sample-Coding: gzip", "Accept-Encoding: gzip"]))
        answer = Reader(tls).answer()
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body).endswith(b"data: [DONE]\n\n")
    assert world.charges(agent) == [CHAT_PRICE]


def test_events_in_pieces_of_one_byte(world, agent):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(STREAM, ["X-Sample-Pieces: 1"]))
        answer = Reader(tls).answer()
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert world.charges(agent) == [CHAT_PRICE]


@pytest.mark.parametrize("reset", ["", "1"])
def test_a_stream_that_its_provider_cuts_looks_dead(world, agent, reset):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(STREAM, ["X-Sample-Cut: 5", f"X-Sample-Reset: {reset}"]))
        reader = Reader(tls)
        assert reader.head().status == 200
        rest = reader.rest()
    assert b"[DONE]" not in rest
    assert b'"error"' in rest and b"upstream" in rest, "an error event in the provider's form comes first"
    assert not rest.endswith(b"0\r\n\r\n"), "no orderly end of the body"
    check_settled_in_full(agent, unknown=True)


def test_an_anthropic_stream_that_is_cut_has_an_error_event_of_its_form(world, agent):
    body = {"model": CLAUDE, "max_tokens": 100, "messages": [{"role": "user", "content": "x"}], "stream": True}
    with world.connect(agent, ANTHROPIC) as tls:
        tls.sendall(request_bytes("POST", "/v1/messages", ANTHROPIC, body, ["X-Sample-Cut: 5"]))
        reader = Reader(tls)
        assert reader.head().status == 200
        rest = reader.rest()
    assert b"event: error\ndata: " in rest and b"message_stop" not in rest
    check_settled_in_full(agent, unknown=True)


def test_a_cut_behind_the_usage_costs_what_it_says(world, agent):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(STREAM, ["X-Sample-Cut: 12"]))
        rest = Reader(tls).rest()
    assert b"[DONE]" not in rest
    assert world.charges(agent) == [CHAT_PRICE]


def test_a_provider_that_hangs_in_a_stream_is_given_up(world, agent):
    started = time.monotonic()
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(STREAM, ["X-Sample-Hang: 4"]))
        rest = Reader(tls).rest()
    assert b"[DONE]" not in rest and b'"error"' in rest
    assert time.monotonic() - started < 15
    check_settled_in_full(agent, unknown=True)


@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["json", "stream"])
@pytest.mark.parametrize("field, status, code", [
    ("X-Sample-Drop: 1", 502, "upstream_unreachable"), ("X-Sample-Delay: 6", 504, "upstream_timeout")])
def test_a_provider_that_never_answers(world, agent, body, field, status, code):
    before = world.count()
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(body, [field]))
        answer = Reader(tls).answer()
    assert (answer.status, answer.code) == (status, code)
    assert len(world.seen(before)) == 1, "it went out, so nobody may send it again"
    check_settled_in_full(agent, unknown=True)


def test_a_cost_is_in_no_stream_unless_it_is_configured(world, agent):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(STREAM))
        answer = Reader(tls).answer()
    assert b"nomiqon" not in answer.body and "x-nomiqon-cost" not in answer.headers
    assert Decimal(answer.headers["x-nomiqon-reserved"]) > CHAT_PRICE


@pytest.mark.parametrize("name, fields", [("cut", ["X-Sample-Cut: 40"]), ("reset", ["X-Sample-Cut: 40", "X-Sample-Reset: 1"]),
                                          ("longer than told", ["X-Sample-Length: -20"]),
                                          ("shorter than told", ["X-Sample-Length: +20"])])
def test_a_json_answer_that_breaks(world, agent, name, fields):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(headers=fields))
        reader = Reader(tls)
        try:
            answer = reader.answer()
        except (EOFError, OSError):
            answer = None
    if answer is not None and answer.status != 200:
        assert answer.status == 502
    agent.settled_spend()
    (each,) = the_settled(agent)
    if name == "shorter than told":
        # All of the document came: whether its end did is the framing's matter, and nobody knows.
        assert Decimal(each["amount"]) in (CHAT_PRICE, Decimal(each["reserved"]))
    else:
        assert Decimal(each["amount"]) == Decimal(each["reserved"])


def test_a_client_that_leaves_early_pays_what_the_answer_cost(world, agent):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(STREAM, ["X-Sample-Delay: 0.1"]))
        reader = Reader(tls)
        reader.head()
        reader.chunk()
        reader.chunk()
    assert world.charges(agent) == [CHAT_PRICE], "read to its end without the client"
    (each,) = the_settled(agent)
    assert not each["unknown"]


def test_a_client_that_leaves_before_its_json_answer_pays_what_it_cost(world, agent):
    before = world.count()
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(headers=["X-Sample-Delay: 1"]))
        wait_until(lambda: world.count() > before, 5, "the request at the provider")
    assert world.charges(agent) == [CHAT_PRICE]


# Strange usage ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("usage", ["none", '{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}', '"much"',
                                   '{"prompt_tokens":-5,"completion_tokens":9,"total_tokens":4}',
                                   '{"prompt_tokens":"7","completion_tokens":9,"total_tokens":16}',
                                   '{"prompt_tokens":1e30,"completion_tokens":9,"total_tokens":16}'])
@pytest.mark.parametrize("body", [CHAT, STREAM], ids=["json", "stream"])
def test_a_usage_that_makes_no_sense_is_settled_in_full(world, agent, body, usage):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(body, [f"X-Sample-Usage: {usage}"]))
        assert Reader(tls).answer().status == 200
    (each,) = the_settled(agent)
    assert Decimal(each["amount"]) == Decimal(each["reserved"]) > CHAT_PRICE


def test_an_answer_that_can_not_be_priced_is_an_event_for_the_operator(world, agent):
    def alarms():
        with urllib.request.urlopen(world.gateway.base_url + "/metrics", timeout=5) as answer:
            return float(re.search(r"^nomiqon_metering_alarms_total(?:\{.*\})? (\S+)$", answer.read().decode(), re.M)[1])

    before = alarms()
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(headers=['X-Sample-Usage: {"prompt_tokens":-5,"completion_tokens":9}']))
        answer = Reader(tls).answer()
    assert alarms() == before + 1
    assert f"metering alarm request={answer.headers['x-nomiqon-request-id']}" in world.gateway.log_file.read_text()


def test_a_huge_usage_is_settled_in_full_as_an_overrun(world, agent):
    usage = '{"prompt_tokens":2000000,"completion_tokens":9,"total_tokens":2000009}'
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(headers=[f"X-Sample-Usage: {usage}"]))
        assert Reader(tls).answer().status == 200
    (each,) = the_settled(agent)
    assert each["overrun"] and Decimal(each["amount"]) == cost(GPT, 2000000, 9)


@pytest.mark.parametrize("status, charged", [(400, False), (401, False), (429, False), (500, False), (503, False),
                                             (408, True), (499, True)])
def test_what_errors_of_the_provider_cost(world, agent, status, charged):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes(headers=[f"X-Sample-Status: {status}"]))
        answer = Reader(tls).answer()
    assert answer.status == status and answer.code is None, "the provider's own answer"
    if charged:
        check_settled_in_full(agent, unknown=True)
    else:
        assert agent.settled_spend() == 0


# Other providers -------------------------------------------------------------------------------------------------


def test_gemini_with_the_key_of_the_gateway_alone(world, agent):
    body = {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "generationConfig": {"maxOutputTokens": 50}}
    for action, query in (("generateContent", f"?key={AGENT_KEY}"), ("streamGenerateContent", "?alt=sse"),
                          ("streamGenerateContent", "")):
        before, spent = world.count(), sum(world.charges(agent))
        with world.connect(agent, GEMINI) as tls:
            tls.sendall(request_bytes("POST", f"/v1beta/models/gemini-2.5-flash:{action}{query}", GEMINI, body,
                                      [f"x-goog-api-key: {AGENT_KEY}"]))
            assert Reader(tls).answer().status == 200
        (seen,) = world.seen(before)
        assert fields_of(seen)["x-goog-api-key"] == GATEWAY_KEY
        assert sum(world.charges(agent)) - spent == cost_of_usage(FLASH, world.told(seen))
        assert AGENT_KEY not in json.dumps(seen), "an agent's key in the query reaches the provider"


def test_a_flat_price_for_each_request(world, agent):
    before = world.count()
    with world.connect(agent, TAVILY) as tls:
        tls.sendall(request_bytes("POST", "/search", TAVILY, {"query": "x"}, [f"Authorization: Bearer {AGENT_KEY}"]))
        answer = Reader(tls).answer()
    assert answer.status == 200
    assert fields_of(world.seen(before)[0])["authorization"] == f"Bearer {GATEWAY_KEY}"
    assert world.charges(agent) == [TAVILY_PRICE]


def test_a_clamp_lowers_the_output_limit_to_what_is_left(world):
    agent = world.agent(maxPerRequest=str(cost(GPT, 2000, 200)))
    body = {**CHAT, "max_completion_tokens": 16000}
    with world.connect(agent, OPENAI) as tls:
        reader = Reader(tls)
        tls.sendall(chat_bytes(body))
        refused = reader.answer()
        assert (refused.status, refused.code) == (402, "request_limit_exceeded")
        tls.sendall(chat_bytes(body, ["X-Nomiqon-Clamp: 1"]))
        answer = reader.answer()
    assert answer.status == 200, answer.body
    sent = json.loads(world.provider.events("body")[-1]["body"])
    assert 0 < sent["max_completion_tokens"] < 16000
    announced = [value for name, value in answer.headers.items() if "clamp" in name]
    assert announced and str(sent["max_completion_tokens"]) in announced[0]


def test_parallel_streams_never_pass_the_cap_together(world):
    """Twenty at once against a cap that holds a few: what was spent and held never passes it."""
    bound_tokens = 16384
    agent = world.agent(dailyCap=str(cost(GPT, 4000, bound_tokens) * 3))
    body = {**STREAM, "max_completion_tokens": bound_tokens}

    def call(_):
        with world.connect(agent, OPENAI) as tls:
            tls.sendall(chat_bytes(body, ["X-Sample-Delay: 0.2"]))
            return Reader(tls).answer().status

    results = in_parallel(20, call)
    assert set(results) <= {200, 429}, results
    assert results.count(200) >= 3
    assert agent.settled_spend() == results.count(200) * CHAT_PRICE
