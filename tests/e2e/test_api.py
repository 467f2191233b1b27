"""The admin API's conventions and shapes, by spec/api.md."""

import re
import secrets
from decimal import Decimal

import pytest
from nacl.signing import SigningKey

from harness import LLM, Api, ApiError, base58


def new_key():
    return base58(bytes(SigningKey.generate().verify_key))


def unique(prefix="agent"):
    return f"{prefix}-{secrets.token_hex(6)}"


def refused(call, status, code, param=None):
    with pytest.raises(ApiError) as caught:
        call()
    assert (caught.value.status, caught.value.code) == (status, code), caught.value
    if param is not None:
        assert caught.value.param == param
    assert set(caught.value.error) <= {"type", "code", "message", "param", "requestId"}
    assert caught.value.error["requestId"].startswith("req_")
    return caught.value


def test_the_envelope(api):
    document = api.call("GET", "/v1/agents?limit=1", headers={"Nomiqon-Version": "2026-05-01"})
    assert set(document) == {"data", "meta"}
    assert document["meta"]["requestId"].startswith("req_")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", document["meta"]["timestamp"])
    assert document["meta"]["version"] == "2026-05-01"


def test_an_agent_as_published(api):
    key, name = SigningKey.generate(), unique("planner")
    public = base58(bytes(key.verify_key))
    agent = api.post("/v1/agents", {"name": name, "caid": {"publicKey": public},
                                    "policy": {"dailyCap": "5.00", "allowlist": [LLM]},
                                    "metadata": {"crew": "research-run-42", "role": "planner"}})
    assert re.fullmatch(r"ag_[0-9a-z]{26}", agent["id"])
    assert (agent["name"], agent["status"]) == (name, "active")
    assert agent["metadata"] == {"crew": "research-run-42", "role": "planner"}
    assert [(c["caid"], c["publicKey"], c["status"]) for c in agent["caids"]] == [(f"caid_{public}", public, "active")]
    wallet = agent["wallet"]
    assert wallet["owner"] == public and 32 <= len(wallet["address"]) <= 44
    assert wallet["mint"] == "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v"
    assert wallet["status"] == "provisioned"
    for amount in ("balance", "reserved", "available"):
        assert re.fullmatch(r"0\.\d{6,9}", wallet[amount])
    policy = agent["policy"]
    assert policy["id"].startswith("pol_")
    assert (policy["version"], policy["dailyCap"], policy["allowlist"], policy["frozen"]) == (1, "5.00", [LLM], False)
    assert Decimal(policy["_computed"]["remainingToday"]) == 5

    api.post(f"/v1/agents/{agent['id']}/fund", {"amount": "2.5", "reference": "first"})
    again = api.post(f"/v1/agents/{agent['id']}/fund", {"amount": "2.5", "reference": "first"})
    assert again is not None
    shown = api.get(f"/v1/agents/{agent['id']}")
    assert Decimal(shown["wallet"]["balance"]) == Decimal("2.5")
    assert shown["wallet"]["status"] == "funded"


def test_public_keys_are_taken_in_both_forms_and_small_order_ones_refused(api):
    agent = api.post("/v1/agents", {"name": unique(), "caid": {"publicKey": "caid_" + new_key()}, "policy": {}})
    assert agent["caids"][0]["caid"].startswith("caid_")
    for bad in (base58(b"\x01" + bytes(31)), base58(bytes(31)), "0OIl", "", "caid_"):
        refused(lambda: api.post("/v1/agents", {"name": unique(), "caid": {"publicKey": bad}, "policy": {}}), 422,
                "validation_error")
    refused(lambda: api.post("/v1/agents", {"name": unique(), "policy": {}}), 422, "validation_error")


def test_keys_are_needed_and_scopes_are_kept(gateway, api):
    refused(lambda: Api(gateway.base_url, None).get("/v1/agents"), 401, "unauthorized")
    refused(lambda: Api(gateway.base_url, "nmq_wrong").get("/v1/agents"), 401, "unauthorized")
    agent = api.agent()
    made = api.post("/v1/api-keys", {"name": "reader", "scopes": ["read"]})
    reader = Api(gateway.base_url, next(v for v in made.values() if isinstance(v, str) and v.startswith("nmq_")))
    reader.get(f"/v1/agents/{agent.id}")
    refused(lambda: reader.patch(f"/v1/agents/{agent.id}", {"policy": {"frozen": True}}), 403, "forbidden")
    made_operator = api.post("/v1/api-keys", {"name": "operator", "scopes": ["operator"]})
    operator = Api(gateway.base_url,
                   next(v for v in made_operator.values() if isinstance(v, str) and v.startswith("nmq_")))
    assert operator.patch(f"/v1/agents/{agent.id}", {"policy": {"frozen": True}})["policy"]["frozen"] is True
    refused(lambda: operator.patch(f"/v1/agents/{agent.id}", {"policy": {"dailyCap": "99"}}), 403, "forbidden")
    refused(lambda: operator.post(f"/v1/agents/{agent.id}/fund", {"amount": "1", "reference": "x"}), 403, "forbidden")
    api.call("DELETE", f"/v1/api-keys/{made['id']}")
    refused(lambda: reader.get("/v1/agents"), 401, "unauthorized")
    listed = str(api.get("/v1/api-keys"))
    assert reader.key not in listed and operator.key not in listed


def test_errors_name_the_member(api):
    def create(**members):
        return lambda: api.post("/v1/agents", {"name": unique(), "caid": {"publicKey": new_key()}, "policy": {}, **members})

    refused(create(polcy={}), 422, "validation_error", "/polcy")
    refused(create(name=""), 422, "validation_error", "/name")
    refused(create(name="a" * 65), 422, "validation_error", "/name")
    refused(create(policy={"dailycap": "1"}), 422, "validation_error", "/policy/dailycap")
    refused(create(policy={"dailyCap": 5}), 422, "validation_error", "/policy/dailyCap")
    refused(create(policy={"dailyCap": "-1"}), 422, "validation_error", "/policy/dailyCap")
    refused(create(policy={"dailyCap": "1.0000000001"}), 422, "validation_error", "/policy/dailyCap")
    refused(create(policy={"allowlist": ["ok.example", "*.com"]}), 422, "validation_error", "/policy/allowlist/1")
    refused(create(policy={"windowCap": {"amount": "1", "windowMs": 1000}}), 422, "validation_error", "/policy/windowCap")
    refused(create(metadata={"k": "v" * 513}), 422, "validation_error")
    refused(lambda: api.call("POST", "/v1/agents", raw=b"{"), 422, "validation_error")
    refused(lambda: api.get("/v1/agents/ag_01hzzzzzzzzzzzzzzzzzzzzzzz"), 404, "not_found")
    refused(lambda: api.get("/v1/nothing"), 404, "not_found")
    refused(lambda: api.get("/v1/agents?limit=0"), 422, "validation_error")


def test_names_are_unique_among_living_agents(api):
    agent = api.agent(name=unique())
    refused(lambda: api.agent(name=agent.name), 409, "conflict")
    api.call("DELETE", f"/v1/agents/{agent.id}")
    assert api.agent(name=agent.name).id != agent.id


def test_idempotency(api):
    body = {"name": unique(), "caid": {"publicKey": new_key()}, "policy": {}}
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    first = api.post("/v1/agents", body, headers=headers)
    assert api.post("/v1/agents", body, headers=headers)["id"] == first["id"]
    refused(lambda: api.post("/v1/agents", {**body, "name": unique()}, headers=headers), 409, "conflict")


def test_lists_come_in_pages(api):
    crew = unique("crew")
    made = {api.agent(fund=None, metadata={"crew": crew}).id for _ in range(5)}
    first = api.call("GET", f"/v1/agents?metadata.crew={crew}&limit=2")
    assert len(first["data"]) == 2 and first["meta"]["hasMore"] is True
    second = api.call("GET", f"/v1/agents?metadata.crew={crew}&limit=3&after={first['meta']['nextCursor']}")
    assert second["meta"]["hasMore"] is False
    assert {agent["id"] for agent in first["data"] + second["data"]} == made
    assert {agent["id"] for agent in api.all(f"/v1/agents?metadata.crew={crew}&status=active")} == made


def test_policies_are_versions_and_if_match_guards_them(api):
    agent = api.agent(dailyCap="1.00")
    changed = api.patch(f"/v1/agents/{agent.id}", {"policy": {"dailyCap": "2.00"}}, headers={"If-Match": '"1"'})
    assert (changed["policy"]["version"], changed["policy"]["dailyCap"]) == (2, "2.00")
    assert changed["policy"]["allowlist"] == agent.document["policy"]["allowlist"]
    refused(lambda: api.patch(f"/v1/agents/{agent.id}", {"policy": {"dailyCap": "3.00"}}, headers={"If-Match": '"1"'}),
            412, "precondition_failed")
    versions = api.all(f"/v1/agents/{agent.id}/policies")
    assert sorted(version["version"] for version in versions) == [1, 2]


def test_metadata_merges_and_null_removes(api):
    agent = api.agent(fund=None, metadata={"team": "growth", "env": "test"})
    shown = api.patch(f"/v1/agents/{agent.id}", {"metadata": {"env": None, "run": "7"}})
    assert shown["metadata"] == {"team": "growth", "run": "7"}


def test_the_agent_sees_its_own_money_by_its_token(gateway, api):
    agent = api.agent(dailyCap="4.00")
    token = agent.mint()
    me = Api(gateway.base_url, token).get("/v1/me")
    assert Decimal(me["cap"]) == 4 and Decimal(me["left"]) == 4 and Decimal(me["wallet"]["balance"]) == 10
    sock, answer = gateway.connect(agent, LLM, token=token)  # asking did not use it up
    sock.close()
    assert answer.status == 200


def test_health_metrics_and_description(gateway, api):
    import urllib.request

    from harness import DIRECT

    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        with DIRECT.open(urllib.request.Request(gateway.base_url + path), timeout=5) as answer:
            assert answer.status == 200, path
