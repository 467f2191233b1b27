"""Malformed requests over raw sockets, and clients that are slow: the error that the specification names, never an exit
or a hang."""

import socket
import time

import pytest

from harness import SEARCH, read_answer

HOST = f"Host: {SEARCH}\r\n"
MALFORMED = {
    "no request line": b"\x00\x01\x02\x03\r\n\r\n",
    "a TLS ClientHello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40) + b"\r\n\r\n",
    "no version": b"GET http://x/\r\n\r\n",
    "origin form": f"GET /search HTTP/1.1\r\n{HOST}\r\n".encode(),
    "an unknown scheme": f"GET ftp://{SEARCH}/ HTTP/1.1\r\n{HOST}\r\n".encode(),
    "CONNECT without a port": f"CONNECT {SEARCH} HTTP/1.1\r\n{HOST}\r\n".encode(),
    "CONNECT to port 0": f"CONNECT {SEARCH}:0 HTTP/1.1\r\n{HOST}\r\n".encode(),
    "CONNECT to port 65536": f"CONNECT {SEARCH}:65536 HTTP/1.1\r\n{HOST}\r\n".encode(),
    "a user in the target": f"GET http://user@{SEARCH}/ HTTP/1.1\r\n{HOST}\r\n".encode(),
    "two Content-Length": f"POST http://{SEARCH}/ HTTP/1.1\r\n{HOST}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx".encode(),
    "a negative Content-Length": f"POST http://{SEARCH}/ HTTP/1.1\r\n{HOST}Content-Length: -1\r\n\r\n".encode(),
    "length and chunked": f"POST http://{SEARCH}/ HTTP/1.1\r\n{HOST}Content-Length: 5\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode(),
    "another transfer coding": f"POST http://{SEARCH}/ HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip, chunked\r\n\r\n".encode(),
    "a folded header": f"GET http://{SEARCH}/ HTTP/1.1\r\n{HOST}X-A: 1\r\n 2\r\n\r\n".encode(),
    "a space before the colon": f"GET http://{SEARCH}/ HTTP/1.1\r\n{HOST}X-A : 1\r\n\r\n".encode(),
    "a header without a colon": f"GET http://{SEARCH}/ HTTP/1.1\r\n{HOST}nonsense\r\n\r\n".encode(),
    "a control character in a header": f"GET http://{SEARCH}/ HTTP/1.1\r\n{HOST}X-A: 1\x002\r\n\r\n".encode(),
    "another Host": f"GET http://{SEARCH}/ HTTP/1.1\r\nHost: api.other.example\r\n\r\n".encode(),
    "two Hosts": f"GET http://{SEARCH}/ HTTP/1.1\r\n{HOST}{HOST}\r\n".encode(),
    "no Host": f"GET http://{SEARCH}/ HTTP/1.1\r\n\r\n".encode(),
    "another spelling of an address": b"CONNECT 0x7f.1:443 HTTP/1.1\r\nHost: 0x7f.1:443\r\n\r\n",
    "HTTP/2 in clear": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_request_is_400_and_closes(gateway, provider, case):
    before = provider.connections()
    answer = gateway.raw(MALFORMED[case])
    assert (answer.status, answer.code) == (400, "bad_request"), answer.line
    assert answer.json()["error"]["code"] == "bad_request"
    assert provider.connections() == before


def test_header_limits_are_431(gateway):
    answer = gateway.raw(f"GET http://{SEARCH}/ HTTP/1.1\r\n{HOST}X-Big: {'a' * 40_000}\r\n\r\n".encode())
    assert (answer.status, answer.code) == (431, "request_too_large")
    many = "".join(f"X-{n}: 1\r\n" for n in range(150))
    answer = gateway.raw(f"GET http://{SEARCH}/ HTTP/1.1\r\n{HOST}{many}\r\n".encode())
    assert (answer.status, answer.code) == (431, "request_too_large")


def test_a_body_beyond_the_limit_is_413(new_gateway):
    gateway = new_gateway(limits={"bodyBytes": 1024, "headerTimeout": "1s", "idleTimeout": "1s",
                                  "clientHelloTimeout": "1s"})
    agent = gateway.api().agent()
    answer = gateway.raw(f"POST http://{SEARCH}/v1/chat/completions HTTP/1.1\r\n{HOST}Content-Length: 2000\r\n"
                         f"Proxy-Authorization: Bearer {agent.mint()}\r\n\r\n".encode())
    assert (answer.status, answer.code) == (413, "request_too_large")

    # The same gateway, since it has short limits: clients that send too little are cut.
    for first_bytes in (b"", b"GET http://", f"GET http://{SEARCH}/ HTTP/1.1\r\n{HOST}".encode()):
        started = time.monotonic()
        with socket.create_connection(("127.0.0.1", gateway.proxy_port), timeout=8) as sock:
            sock.sendall(first_bytes)
            read_answer(sock)
            assert sock.recv(1) == b""
        assert time.monotonic() - started < 5

    # One byte a tenth of a second is progress, and still no head within the limit.
    with socket.create_connection(("127.0.0.1", gateway.proxy_port), timeout=8) as sock:
        started = time.monotonic()
        try:
            for byte in f"GET http://{SEARCH}/?{'a' * 100}".encode():
                sock.sendall(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            pass
        assert time.monotonic() - started < 5

    sock, answer = gateway.connect(agent, SEARCH)
    assert answer.status == 200
    started = time.monotonic()
    assert sock.recv(1) == b""  # no ClientHello: cut
    assert time.monotonic() - started < 5
    sock.close()
    assert agent.settled_spend() == 0


def test_the_gateway_still_serves_after_all_of_that(gateway, api):
    assert gateway.process.poll() is None
    sock, answer = gateway.connect(api.agent(), SEARCH)
    sock.close()
    assert answer.status == 200
