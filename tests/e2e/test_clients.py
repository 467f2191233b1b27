"""Allowed and refused calls as curl, requests and httpx see them."""

import http.client
import socket
import ssl
import time
from decimal import Decimal

import httpx
import pytest
import requests
from nacl.signing import SigningKey

from harness import (BLOCKED, LLM, PLAIN_PRICE, SEARCH, SEARCH_PRICE, TUNNEL_PRICE, Agent, caid_of, curl, mint,
                     read_answer)

CHAT = {"model": "sample-1", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def agent(api):
    return api.agent(dailyCap="5.00")


def connections_made(provider, work):
    before = provider.connections()
    result = work()
    time.sleep(0.05)
    return provider.connections() - before, result


# Allowed ---------------------------------------------------------------------------------------------------------


def test_curl_through_a_tunnel_is_charged_once_per_connection(gateway, provider, agent):
    made, (status, out, err) = connections_made(provider, lambda: curl(
        gateway, provider, agent, f"https://{LLM}/v1/chat/completions", "-d", '{"model":"sample-1"}'))
    assert status == 0, err
    assert b"HTTP/1.1 200" in out and b"chat.completion" in out
    assert made == 1
    assert agent.settled_spend() == TUNNEL_PRICE
    assert agent.balance() == Decimal("10") - TUNNEL_PRICE


def test_requests_through_a_tunnel(gateway, provider, agent):
    proxy = gateway.proxy_url(agent, agent.mint())
    with requests.Session() as session:
        for _ in range(3):  # one connection, one charge, one `once` token
            answer = session.post(f"https://{LLM}/v1/chat/completions", json=CHAT, proxies={"https": proxy},
                                  verify=provider.ca, timeout=20)
            assert answer.json()["object"] == "chat.completion"
    assert agent.settled_spend() == TUNNEL_PRICE


def test_httpx_streams_through_a_tunnel(gateway, provider, agent):
    context = ssl.create_default_context(cafile=provider.ca)
    with httpx.Client(proxy=gateway.proxy_url(agent, agent.mint()), verify=context, timeout=20) as client:
        with client.stream("POST", f"https://{LLM}/v1/chat/completions", json={**CHAT, "stream": True}) as answer:
            lines = [line for line in answer.iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert agent.settled_spend() == TUNNEL_PRICE


def test_standard_library_client_speaks_connect_in_http_1_0(gateway, provider, agent):
    context = ssl.create_default_context(cafile=provider.ca)
    client = http.client.HTTPSConnection("127.0.0.1", gateway.proxy_port, context=context, timeout=20)
    client.set_tunnel(SEARCH, 443, {"Proxy-Authorization": f"Bearer spt_{agent.mint()}"})
    client.request("GET", "/search?q=x")
    assert client.getresponse().status == 200
    client.close()
    assert agent.settled_spend() == SEARCH_PRICE


def test_a_session_token_pays_for_many_connections_up_to_its_max(gateway, provider, agent):
    token = agent.mint(use="session", max="0.10")
    results = [curl(gateway, provider, agent, f"https://{LLM}/v1/chat/completions", "-d", "{}", token=token)
               for _ in range(3)]
    assert [status for status, _, _ in results] == [0, 0, 56]
    assert b"402 spend_token_exhausted" in results[2][1]
    assert agent.settled_spend() == Decimal("0.10")


def test_plain_requests_are_charged_one_by_one_and_carry_no_token_on(gateway, provider, agent):
    token = agent.mint(use="session", max="1")
    proxies = {"http": gateway.proxy_url(agent, token)}
    with requests.Session() as session:
        for number in range(2):
            answer = session.get(f"http://{SEARCH}/search", params={"q": f"plain-{number}"}, proxies=proxies, timeout=20)
            assert answer.status_code == 200
            assert answer.json()["query"] == f"plain-{number}"
            assert Decimal(answer.headers["X-Nomiqon-Reserved"]) == PLAIN_PRICE
            assert answer.headers["X-Nomiqon-Request-Id"].startswith("req_")
    assert agent.settled_spend() == 2 * PLAIN_PRICE
    seen = [r for r in provider.requests() if r["target"].endswith(("plain-0", "plain-1"))]
    assert len(seen) == 2
    names = {name.lower() for request in seen for name, _ in request["headers"]}
    assert not {name for name in names if name.startswith(("proxy-", "x-nomiqon"))}
    assert token not in provider.log.read_text()


def test_a_token_in_its_own_header_pays_for_a_plain_request(gateway, agent):
    answer = gateway.raw((f"GET http://{SEARCH}/search?q=own-header HTTP/1.1\r\nHost: {SEARCH}\r\n"
                          f"X-Nomiqon-Agent-Id: {agent.id}\r\nX-Nomiqon-Spend-Token: spt_{agent.mint()}\r\n"
                          "Connection: close\r\n\r\n").encode())
    assert answer.status == 200, answer.line
    assert agent.settled_spend() == PLAIN_PRICE


def test_requests_after_connect_to_port_80_are_authorised_one_by_one(gateway, agent):
    sock, answer = gateway.connect(agent, SEARCH, 80, token=agent.mint(use="session", max="1"))
    assert answer.status == 200, answer.line
    for number in range(2):
        sock.sendall(f"GET /search?q=inside-{number} HTTP/1.1\r\nHost: {SEARCH}\r\n\r\n".encode())
        inside = read_answer(sock)
        assert inside.status == 200, inside.line
        assert Decimal(inside.headers["x-nomiqon-reserved"]) == PLAIN_PRICE
    sock.close()
    assert agent.settled_spend() == 2 * PLAIN_PRICE


def test_a_once_token_at_connect_to_port_80_pays_for_one_request(gateway, agent):
    sock, answer = gateway.connect(agent, SEARCH, 80)
    assert answer.status == 200, answer.line
    sock.sendall(f"GET /search?q=once HTTP/1.1\r\nHost: {SEARCH}\r\n\r\n".encode())
    inside = read_answer(sock)
    assert inside.status == 200
    assert inside.headers.get("connection", "").lower() == "close"
    assert sock.recv(1) == b""
    sock.close()


# Refused ---------------------------------------------------------------------------------------------------------


def test_a_blocked_host_is_403_and_nothing_reaches_the_provider(gateway, provider, agent):
    def call():
        sock, answer = gateway.connect(agent, BLOCKED)
        sock.close()
        return answer

    made, answer = connections_made(provider, call)
    assert made == 0
    assert (answer.status, answer.reason, answer.code) == (403, "policy_domain_blocked", "policy_domain_blocked")
    error = answer.json()["error"]
    assert error["type"] == "spend_authorization_error"
    assert error["code"] == "policy_domain_blocked"
    assert error["agent"] == agent.id
    assert error["requestId"].startswith("req_")
    assert len(error["message"]) > 20
    assert answer.headers["x-should-retry"] == "false"
    assert agent.settled_spend() == 0


def test_each_client_shows_the_code_of_a_refused_connect(gateway, provider, agent):
    status, out, err = curl(gateway, provider, agent, f"https://{BLOCKED}/")
    assert status == 56 and b"403 policy_domain_blocked" in out and "403" in err
    proxy = gateway.proxy_url(agent, agent.mint())
    with pytest.raises(requests.exceptions.ProxyError, match="policy_domain_blocked"):
        requests.get(f"https://{BLOCKED}/", proxies={"https": proxy}, verify=provider.ca, timeout=20)
    with httpx.Client(proxy=proxy, verify=ssl.create_default_context(cafile=provider.ca)) as client:
        with pytest.raises(httpx.ProxyError, match="policy_domain_blocked"):
            client.get(f"https://{BLOCKED}/")


def test_a_blocked_plain_request_has_the_same_refusal(gateway, provider, agent):
    made, answer = connections_made(provider, lambda: requests.get(
        f"http://{BLOCKED}/", proxies={"http": gateway.proxy_url(agent, agent.mint())}, timeout=20))
    assert (made, answer.status_code, answer.reason) == (0, 403, "policy_domain_blocked")
    assert answer.json()["error"]["code"] == "policy_domain_blocked"


def test_a_refusal_before_the_money_does_not_burn_the_token(gateway, agent):
    token = agent.mint()
    for host, status in ((BLOCKED, 403), (SEARCH, 200), (SEARCH, 407)):
        sock, answer = gateway.connect(agent, host, token=token)
        sock.close()
        assert answer.status == status, answer.line


TOKENS = {
    "missing": ("spend_token_missing", lambda agent: ""),
    "garbage": ("spend_token_invalid", lambda agent: "abc.def.ghi"),
    "unsigned": ("spend_token_invalid", lambda agent: agent.mint(sign=False)),
    "unregistered key": ("spend_token_invalid", lambda agent: mint(SigningKey.generate())),
    "somebody else's signature": ("spend_token_invalid", lambda agent: mint(
        SigningKey.generate(), header={"alg": "EdDSA", "typ": "spend+jwt", "kid": agent.caid})),
    "another algorithm": ("spend_token_invalid", lambda agent: agent.mint(
        header={"alg": "none", "typ": "spend+jwt", "kid": agent.caid})),
    "unknown claim": ("spend_token_invalid", lambda agent: agent.mint(admin=True)),
    "no id": ("spend_token_invalid", lambda agent: agent.mint(jti=None)),
    "another audience": ("spend_token_invalid", lambda agent: agent.mint(aud="somebody else")),
    "a long life for one use": ("spend_token_invalid", lambda agent: agent.mint(exp=int(time.time()) + 4000)),
    "expired": ("spend_token_expired", lambda agent: agent.mint(iat=int(time.time()) - 100, exp=int(time.time()) - 1)),
    "another method": ("spend_token_mismatch", lambda agent: agent.mint(htm="GET")),
    "another origin": ("spend_token_mismatch", lambda agent: agent.mint(htu=f"https://{LLM}")),
}


@pytest.mark.parametrize("case", TOKENS)
def test_a_wrong_token_is_407(gateway, provider, agent, case):
    code, make = TOKENS[case]
    made, (sock, answer) = connections_made(provider, lambda: gateway.connect(agent, SEARCH, token=make(agent)))
    assert (made, answer.status, answer.reason) == (0, 407, code)
    assert answer.headers["proxy-authenticate"] == 'Basic realm="nomiqon"'
    # The connection stays open: a client that answers the challenge (Git does) goes on with it.
    sock.sendall(f"CONNECT {SEARCH}:443 HTTP/1.1\r\nHost: {SEARCH}:443\r\n"
                 f"Proxy-Authorization: Bearer {agent.mint()}\r\n\r\n".encode())
    assert read_answer(sock).status == 200
    sock.close()


def test_a_bound_token_passes_where_it_is_bound_to(gateway, agent):
    sock, answer = gateway.connect(agent, SEARCH, token=agent.mint(htm="CONNECT", htu=f"https://{SEARCH.upper()}:443/"))
    sock.close()
    assert answer.status == 200, answer.line


def test_basic_credentials_must_name_the_tokens_own_caid(gateway, provider, agent, api):
    other = api.agent()
    status, out, _ = curl(gateway, provider, other, f"https://{SEARCH}/search?q=x", token=agent.mint())
    assert status == 56 and b"407 spend_token_invalid" in out


def test_a_cap_that_is_spent_is_402_and_says_how_it_stands(gateway, provider, api):
    agent = api.agent(dailyCap="0.05")
    assert curl(gateway, provider, agent, f"https://{LLM}/v1/chat/completions", "-d", "{}")[0] == 0
    agent.settled_spend()
    sock, answer = gateway.connect(agent, LLM)
    sock.close()
    assert (answer.status, answer.code) == (402, "policy_cap_exceeded")
    error = answer.json()["error"]
    assert error["cap"] == "daily"
    assert [Decimal(error[name]) for name in ("limit", "spent", "reserved")] == [Decimal("0.05"), Decimal("0.05"), 0]
    assert error["resetsAt"].endswith("T00:00:00.000Z")


def test_an_empty_wallet_is_402(gateway, api):
    agent = api.agent(fund=None, dailyCap="5")
    sock, answer = gateway.connect(agent, LLM)
    sock.close()
    assert (answer.status, answer.code) == (402, "insufficient_balance")


def test_money_that_is_only_held_is_429_with_retry_after(gateway, api):
    agent = api.agent(dailyCap="0.05")
    holding, first = gateway.connect(agent, LLM)  # no byte is sent: the charge stays open
    assert first.status == 200
    started = time.monotonic()
    sock, answer = gateway.connect(agent, LLM)
    assert (answer.status, answer.code) == (429, "policy_cap_reserved")
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["x-should-retry"] == "true"
    assert time.monotonic() - started >= 0.4  # reservation.wait
    sock.close()
    holding.close()
    # Nothing was ever sent on the first one, so its money comes back.
    assert agent.settled_spend() == 0
    sock, answer = gateway.connect(agent, LLM)
    assert answer.status == 200
    sock.close()


def test_max_per_request_is_a_limit_of_its_own(gateway, api):
    sock, answer = gateway.connect(api.agent(maxPerRequest="0.04"), LLM)
    sock.close()
    assert (answer.status, answer.code) == (402, "request_limit_exceeded")


def test_freeze_pause_revoke_and_terminate_refuse_from_the_next_request_on(gateway, api, agent):
    def code():
        sock, answer = gateway.connect(agent, SEARCH)
        sock.close()
        return answer.status, answer.code

    assert code() == (200, None)
    agent.update_policy(frozen=True)
    assert code() == (403, "agent_frozen")
    agent.update_policy(frozen=False)
    assert code() == (200, None)
    api.post(f"/v1/agents/{agent.id}/pause")
    assert code() == (403, "agent_paused")
    api.post(f"/v1/agents/{agent.id}/resume")
    assert code() == (200, None)
    api.call("DELETE", f"/v1/agents/{agent.id}/caids/{agent.caid}")
    assert code() == (403, "identity_revoked")
    api.call("DELETE", f"/v1/agents/{agent.id}")
    assert code() == (410, "agent_terminated")


def test_a_second_identity_works_after_the_first_is_revoked(gateway, api, agent):
    from harness import base58

    key = SigningKey.generate()
    api.post(f"/v1/agents/{agent.id}/caids", {"publicKey": base58(bytes(key.verify_key))})
    api.call("DELETE", f"/v1/agents/{agent.id}/caids/{agent.caid}")
    sock, answer = gateway.connect(agent, SEARCH, token=mint(key))
    sock.close()
    assert answer.status == 200, answer.line
    assert caid_of(key) in [caid["caid"] for caid in agent.show()["caids"] if caid["status"] == "active"]


def test_an_address_that_the_configuration_does_not_name_is_refused(gateway, api):
    agent = api.agent(allowlist=["10.1.2.3", "169.254.169.254:80"])
    sock, answer = gateway.connect(agent, "10.1.2.3")
    sock.close()
    assert (answer.status, answer.code) == (403, "address_blocked")
    sock, answer = gateway.connect(agent, "169.254.169.254", 80, token=agent.mint())
    if answer.status == 200:  # requests inside are refused one by one
        sock.sendall(b"GET /latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n")
        answer = read_answer(sock)
    sock.close()
    assert (answer.status, answer.code) == (403, "address_blocked")
    assert agent.settled_spend() == 0


def test_what_is_not_tls_for_the_named_host_is_cut_and_costs_nothing(gateway, provider, agent):
    before = len(provider.events("request"))
    for first_bytes in (b"SSH-2.0-OpenSSH_9.2\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", client_hello(LLM)):
        sock, answer = gateway.connect(agent, SEARCH)
        assert answer.status == 200
        sock.sendall(first_bytes)
        assert not reads_data(sock)
        sock.close()
    assert len(provider.events("request")) == before
    assert agent.settled_spend() == 0
    assert len(agent.transactions("voided")) == 3


def test_a_client_hello_in_many_small_pieces_passes(gateway, provider, agent):
    sock, answer = gateway.connect(agent, SEARCH)
    assert answer.status == 200
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    hello = client_hello(SEARCH)
    for place in range(0, len(hello), 40):
        sock.sendall(hello[place:place + 40])
        time.sleep(0.002)
    assert reads_data(sock)  # the provider's ServerHello
    sock.close()
    assert agent.settled_spend() == SEARCH_PRICE


def client_hello(host):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=host)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def reads_data(sock):
    sock.settimeout(10)
    try:
        return len(sock.recv(1)) > 0
    except ConnectionError:
        return False


def test_refusals_of_a_known_agent_are_transactions(gateway, agent):
    sock, _ = gateway.connect(agent, BLOCKED)
    sock.close()
    deadline = time.monotonic() + 5
    while not (rows := agent.transactions("rejected")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [(row["recipient"], row["rejectCode"]) for row in rows] == [(BLOCKED, "policy_domain_blocked")]


def test_an_unreachable_provider_costs_nothing(gateway, api):
    agent = api.agent(allowlist=["127.0.0.1:9"])  # an address that is allowed, a port where nobody listens
    sock, answer = gateway.connect(agent, "127.0.0.1", 9)
    sock.close()
    assert (answer.status, answer.code) == (502, "upstream_unreachable")
    assert agent.settled_spend() == 0
    assert isinstance(agent, Agent) and agent.balance() == 10
