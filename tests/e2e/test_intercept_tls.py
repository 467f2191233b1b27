"""Inside TLS: upgrades, certificates, versions of TLS, and what else connects: curl, the standard library, garbage."""

import http.client
import json
import ssl
import subprocess
import time

import pytest

from intercepted import (AGENT_KEY, ANTHROPIC, BAD_NAME, CHAT, CHAT_PATH, CHAT_PRICE, FLAT, GATEWAY_KEY, OPENAI, SOCKET,
                         SOCKET_PRICE, Reader, chat_bytes, fields_of, make_world, request_bytes)


@pytest.fixture(scope="module")
def world(workspace):
    with make_world(workspace, "intercept-tls") as world:
        yield world


@pytest.fixture
def agent(world):
    return world.agent()


# Upgrades --------------------------------------------------------------------------------------------------------

UPGRADE = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]


def test_an_upgrade_where_the_route_allows_it(world, agent):
    with world.connect(agent, SOCKET) as tls:
        tls.sendall(request_bytes("GET", "/socket", SOCKET, headers=UPGRADE))
        reader = Reader(tls)
        reader.data = tls.recv(65536)  # one TLS record at most
        assert reader.data.endswith(b"\r\n\r\n"), "the 101 came in pieces"
        answer = reader.head()
        assert answer.status == 101
        assert answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        for message in (b"hello", b"\x81\x05bytes" * 1000):
            tls.sendall(message)
            assert reader.exactly(len(message)) == message
    assert world.charges(agent) == [SOCKET_PRICE]


def test_an_upgrade_on_a_metered_route_is_422(world, agent):
    before = world.count()
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(request_bytes("GET", "/v1/realtime?model=gpt-realtime", OPENAI, headers=UPGRADE))
        answer = Reader(tls).answer()
    assert (answer.status, answer.code) == (422, "price_unknown")
    assert world.count() == before


def test_an_upgrade_where_the_route_does_not_allow_it_never_reaches_the_provider(world, agent):
    before = world.count()
    with world.connect(agent, FLAT) as tls:
        tls.sendall(request_bytes("GET", "/socket", FLAT, headers=UPGRADE))
        answer = Reader(tls).answer()
    assert answer.status != 101
    assert not [each for each in world.seen(before) if "upgrade" in fields_of(each)]


# TLS -------------------------------------------------------------------------------------------------------------


def test_a_bad_certificate_of_the_provider_is_502_and_costs_nothing(world, agent):
    before = world.count()
    with world.connect(agent, BAD_NAME) as tls:
        tls.sendall(request_bytes("GET", "/search?q=x", BAD_NAME))
        answer = Reader(tls).answer()
    assert (answer.status, answer.code) == (502, "upstream_unreachable")
    assert world.count() == before
    assert agent.settled_spend() == 0


def test_the_leaf_is_exact_and_passes_strict_checks(world, agent):
    for host in (OPENAI, FLAT):
        with world.connect(agent, host) as tls:
            leaf = tls.getpeercert()
            assert leaf["subjectAltName"] == (("DNS", host),)
            assert tls.version() in ("TLSv1.2", "TLSv1.3")
            days = (ssl.cert_time_to_seconds(leaf["notAfter"]) - time.time()) / 86400
            assert 0 < days < 398


def test_http_2_is_not_offered_and_the_server_name_must_be_the_hosts(world, agent):
    sock, answer = world.gateway.connect(agent, OPENAI, token=agent.mint(use="session", max="1"))
    assert answer.status == 200
    context = world.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(sock, server_hostname=OPENAI) as tls:
        assert tls.selected_alpn_protocol() in (None, "http/1.1")
    sock, answer = world.gateway.connect(agent, OPENAI, token=agent.mint(use="session", max="1"))
    with pytest.raises((ssl.SSLError, OSError)):
        world.context().wrap_socket(sock, server_hostname=ANTHROPIC)


def test_tls_1_1_is_refused(world, agent):
    sock, _ = world.gateway.connect(agent, OPENAI, token=agent.mint(use="session", max="1"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(world.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(sock, server_hostname=OPENAI)


# Other clients ---------------------------------------------------------------------------------------------------


def test_the_standard_librarys_client(world, agent):
    client = http.client.HTTPSConnection("127.0.0.1", world.gateway.proxy_port, context=world.context(), timeout=20)
    token = agent.mint(use="session", max="1")
    client.set_tunnel(OPENAI, 443, {"Proxy-Authorization": f"Bearer spt_{token}"})
    for _ in range(2):
        client.request("POST", CHAT_PATH, json.dumps(CHAT), {"Content-Type": "application/json"})
        answer = client.getresponse()
        assert answer.status == 200 and json.loads(answer.read())["object"] == "chat.completion"
    client.close()
    assert world.charges(agent) == [CHAT_PRICE, CHAT_PRICE]


def test_curl(world, agent):
    done = subprocess.run(
        ["curl", "-sS", "-i", "--max-time", "20", "--noproxy", "", "--proxy", world.url(agent), "--cacert", world.ca,
         "-d", json.dumps(CHAT), "-H", "Content-Type: application/json", f"https://{OPENAI}{CHAT_PATH}"],
        capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert b"chat.completion" in done.stdout and b"X-Nomiqon-Cost: " in done.stdout
    assert world.charges(agent) == [CHAT_PRICE]


def test_a_client_that_sends_garbage_inside_tls_gets_400(world, agent):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert Reader(tls).answer().status == 400


def test_secrets_are_in_no_log(world, agent):
    with world.connect(agent, OPENAI) as tls:
        tls.sendall(chat_bytes({**CHAT, "model": "no-such"}) + chat_bytes(headers=["X-Sample-Status: 401"]))
        reader = Reader(tls)
        answers = [reader.answer(), reader.answer()]
    said = world.gateway.log_file.read_text(errors="replace") + str([(a.headers, a.body) for a in answers])
    assert GATEWAY_KEY not in said and AGENT_KEY not in said


def test_a_plain_request_to_a_metered_host_is_refused(world, agent):
    answer = world.gateway.raw((f"GET http://{OPENAI}/v1/models HTTP/1.1\r\nHost: {OPENAI}\r\n"
                                f"Proxy-Authorization: Bearer {agent.mint()}\r\nConnection: close\r\n\r\n").encode())
    assert (answer.status, answer.code) == (422, "price_unknown")
