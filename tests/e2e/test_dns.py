"""Policy comes before DNS: the name of a host that is not allowed leaves the machine in no form."""

import os
import random
import socket
import subprocess
import threading

import pytest

# Of this run alone: others may run beside it.
NAMESERVER = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(2, 254)}"


class Nameserver:
    """Knows no name, and remembers what it was asked."""

    def __init__(self):
        self.names = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((NAMESERVER, 53))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
            except OSError:
                return
            labels, place = [], 12
            while query[place]:
                labels.append(query[place + 1:place + 1 + query[place]].decode())
                place += 1 + query[place]
            self.names.append(".".join(labels))
            # RFC 1035: the question comes back, with QR, RD, RA and the code NXDOMAIN.
            self.socket.sendto(query[:2] + b"\x81\x83\0\1\0\0\0\0\0\0" + query[12:place + 5], client)


@pytest.fixture
def nameserver():
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        pytest.skip("giving the gateway a nameserver of its own needs root and a mount namespace")
    server = Nameserver()
    yield server
    server.socket.close()


def test_a_blocked_name_is_never_looked_up(new_gateway, nameserver, tmp_path):
    (tmp_path / "resolv.conf").write_text(f"nameserver {NAMESERVER}\noptions timeout:1 attempts:1\n")
    gateway = new_gateway(prefix=["unshare", "-m", "sh", "-c", f'mount --bind {tmp_path}/resolv.conf /etc/resolv.conf && '
                                                               'exec "$@"', "sh"])
    agent = gateway.api().agent(fund=None, allowlist=["allowed.lookup.example"])
    agent.api.post(f"/v1/agents/{agent.id}/fund", {"amount": "1", "reference": "dns"})

    for host, token in (("secret-data.blocked.example", agent.mint()), ("allowed.lookup.example", "")):
        sock, answer = gateway.connect(agent, host, token=token)
        sock.close()
        assert answer.status in (403, 407)
    assert nameserver.names == []

    sock, answer = gateway.connect(agent, "allowed.lookup.example")
    sock.close()
    assert (answer.status, answer.code) == (502, "upstream_unreachable")
    assert {name.removesuffix(".") for name in nameserver.names} == {"allowed.lookup.example"}
