"""The configuration file, its check, and what SIGHUP reloads."""

import json
import signal
import subprocess
from decimal import Decimal

import requests

from harness import BIN, SEARCH, sample_config, wait_until


def check(path):
    done = subprocess.run([BIN / "nomiqon-gateway", "--check-config", "--config", path], capture_output=True, text=True,
                          timeout=20)
    return done.returncode, done.stdout + done.stderr


def test_every_mistake_is_told_with_its_place(tmp_path):
    path = tmp_path / "gateway.json"
    path.write_text("""{
      // comments are fine
      "reservation": { "wait": "soon" },
      "upstream": { "allowPrivate": ["127.0.0.0/64"], "resolv": {} },
      "routes": [ { "host": "a.example", "mode": "tunnel", "price": { "perConnection": 0.05 } },
                  { "host": "b.example", "mode": "tunnel", "price": { "perConnection": "0" } } ]
    }""")
    status, said = check(path)
    assert status != 0
    for line, word in ((3, "wait"), (4, "allowPrivate"), (4, "resolv"), (5, "perConnection"), (6, "perConnection")):
        assert any(f"{path}:{line}:" in told and word in told for told in said.splitlines()), (line, word, said)
    assert not (tmp_path / "data").exists()


def test_a_good_file_passes_and_a_broken_one_says_where(tmp_path, provider):
    path = tmp_path / "gateway.json"
    path.write_text(json.dumps(sample_config(provider)))
    assert check(path)[0] == 0
    path.write_text('{ "token": { "audience": "x" }')
    status, said = check(path)
    assert status != 0 and f"{path}:1:" in said
    assert check(tmp_path / "absent.json")[0] != 0


def test_sighup_reloads_routes_and_prices(new_gateway, provider):
    gateway = new_gateway()
    agent = gateway.api().agent()

    def reserved():
        answer = requests.get(f"http://{SEARCH}/search?q=x", timeout=20,
                              proxies={"http": gateway.proxy_url(agent, agent.mint())})
        return Decimal(answer.headers.get("X-Nomiqon-Reserved", "0"))

    assert reserved() == Decimal("0.002")
    config = sample_config(provider)
    config["routes"] = [{"host": "*.example", "mode": "tunnel", "price": {"perConnection": "0.5", "perRequest": "0.004"}}]
    gateway.write_config(config)
    gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: reserved() == Decimal("0.004"), 5, "the new price")

    # A file with a mistake changes nothing, and ends nothing.
    gateway.config_file.write_text('{ "routes": 7 }')
    gateway.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "routes" in gateway.log_tail(), 5, "the mistake in the log")
    assert reserved() == Decimal("0.004")
    assert gateway.process.poll() is None


def test_a_host_that_no_route_names_is_a_tunnel_for_a_tenth_of_a_cent_and_paid_hosts_are_not(new_gateway):
    gateway = new_gateway()
    agent = gateway.api().agent(allowlist=["api.replicate.com", "nowhere.invalid"])
    sock, answer = gateway.connect(agent, "api.replicate.com")
    sock.close()
    assert (answer.status, answer.code) == (422, "price_unknown")
    sock, answer = gateway.connect(agent, "nowhere.invalid")
    sock.close()
    assert (answer.status, answer.code) == (502, "upstream_unreachable")
    assert agent.settled_spend() == 0
    voided = agent.transactions("voided")
    assert [Decimal(t["reserved"]) for t in voided] == [Decimal("0.001")]


def test_secrets_stand_in_no_log(gateway, api):
    key = (gateway.data_dir / "admin.key").read_text().strip()
    agent = api.agent()
    token = agent.mint()
    sock, _ = gateway.connect(agent, SEARCH, token=token)
    sock.close()
    sock, _ = gateway.connect(agent, SEARCH, token=token + "x")
    sock.close()
    log = gateway.log_file.read_text()
    assert key not in log
    assert token not in log and token.split(".")[2] not in log
