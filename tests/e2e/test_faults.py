"""kill -9, lost databases, signals: nothing is lost and nothing invented."""

import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from decimal import Decimal
from pathlib import Path

import requests
from nacl.signing import SigningKey

from harness import (BIN, LLM, PLAIN_PRICE, SEARCH, SEARCH_PRICE, TUNNEL_PRICE, free_port, in_parallel, mint,
                     read_answer, sample_config, wait_until)
from soak import Soak
from soak_stand import Postgres, SharedGateway, gateway_user, give_to, service_user


def test_kill_9_under_load_loses_and_invents_nothing(new_gateway, provider):
    gateway = new_gateway(reservation={"lease": "5s"})
    agent = gateway.api().agent(fund="100")
    before = len(provider.requests())
    stop, answered = threading.Event(), []

    def client(number):
        while not stop.is_set():
            try:
                answer = requests.get(f"http://{SEARCH}/search?q=load",
                                      proxies={"http": gateway.proxy_url(agent, agent.mint())}, timeout=10)
                if answer.status_code == 200:
                    answered.append(number)
            except requests.RequestException:
                return

    held = [gateway.connect(agent, LLM) for _ in range(5)]  # reserved, and not yet spent
    assert [answer.status for _, answer in held] == [200] * 5
    load = threading.Thread(target=lambda: in_parallel(16, client))
    load.start()
    wait_until(lambda: len(answered) > 50, 20, "load")
    gateway.kill()
    stop.set()
    load.join()
    reached = len(provider.requests()) - before

    gateway.start()
    agent.api = gateway.api()
    spent = wait_until(agent._spent_when_nothing_held, 30, "the dead gateway's reservations to end")
    settled = agent.transactions("settled")
    unknown = [t for t in settled if t["unknown"]]
    # What the five tunnels held is settled in full, and marked; so is what was under way.
    assert len([t for t in unknown if t["recipient"] == LLM]) == 5
    plain = [t for t in settled if t["recipient"] == SEARCH]
    assert len(answered) <= reached <= len(plain) <= len(answered) + 16
    assert Decimal(spent) == 5 * TUNNEL_PRICE + len(plain) * PLAIN_PRICE
    assert agent.check_ledger("100") == Decimal(spent)
    assert agent.balance() == 100 - Decimal(spent)
    # And it goes on: same agent, same key, next request.
    sock, answer = gateway.connect(agent, SEARCH)
    sock.close()
    assert answer.status == 200


def test_a_dead_database_is_503_and_the_gateway_recovers_by_itself(new_gateway):
    gateway = new_gateway(database={"timeout": "1s"})
    agent = gateway.api().agent()
    postmaster = gateway.postmaster_pid()
    os.kill(postmaster, signal.SIGSTOP)  # the worst kind of loss: it accepts and never answers
    sessions = stop_children(postmaster)
    try:
        started = time.monotonic()
        sock, answer = gateway.connect(agent, SEARCH)
        sock.close()
        assert (answer.status, answer.code) == (503, "ledger_unavailable")
        assert answer.headers["x-should-retry"] == "true"
        assert time.monotonic() - started < 5
        wait_until(lambda: gateway.ready() == 503, 10, "/readyz to say so")
    finally:
        for pid in (*sessions, postmaster):
            os.kill(pid, signal.SIGKILL)

    wait_until(lambda: gateway.ready() == 200, 40, "recovery")
    assert gateway.process.poll() is None

    def accepted():
        sock, answer = gateway.connect(agent, SEARCH)
        sock.close()
        return answer.status == 200

    wait_until(accepted, 10, "an accepted request")
    assert gateway.postmaster_pid() != postmaster
    assert agent.check_ledger() <= SEARCH_PRICE


def stop_children(pid):
    """The database's sessions, which survive their postmaster's SIGSTOP; stopped, so that nobody answers."""
    stopped = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8") as stat:
                    parent = int(stat.read().rpartition(")")[2].split()[1])
                if parent == pid:
                    os.kill(int(entry), signal.SIGSTOP)
                    stopped.append(int(entry))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return stopped


def test_kill_9_of_the_postmaster_alone_is_survived(new_gateway):
    gateway = new_gateway()
    agent = gateway.api().agent()
    os.kill(gateway.postmaster_pid(), signal.SIGKILL)

    def accepted():
        sock, answer = gateway.connect(agent, SEARCH)
        sock.close()
        assert answer.status in (200, 503), answer.line
        return answer.status == 200 and gateway.ready() == 200

    wait_until(accepted, 40, "recovery")


def test_sigterm_finishes_what_is_under_way_and_settles_it(new_gateway, provider):
    gateway = new_gateway()
    agent = gateway.api().agent()
    answers = []

    def slow_call():
        answers.append(requests.get(f"http://{SEARCH}/search?q=slow", headers={"X-Sample-Delay": "1.5"}, timeout=20,
                                    proxies={"http": gateway.proxy_url(agent, agent.mint())}))

    call = threading.Thread(target=slow_call)
    before = len(provider.requests())
    call.start()
    wait_until(lambda: len(provider.requests()) > before, 5, "the slow call")
    gateway.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    refused = True
    try:
        socket.create_connection(("127.0.0.1", gateway.proxy_port), timeout=2).close()
        sock, answer = gateway.connect(agent, SEARCH, timeout=2)
        refused = answer.status != 200
        sock.close()
    except OSError:
        pass
    assert refused, "new work was taken while draining"
    assert gateway.process.wait(20) == 0, gateway.log_tail()
    call.join()
    assert [answer.status_code for answer in answers] == [200]

    gateway.start()
    agent.api = gateway.api()
    assert agent.settled_spend() == PLAIN_PRICE
    assert [t["unknown"] for t in agent.transactions("settled")] == [False]


def test_a_second_start_keeps_everything(new_gateway):
    gateway = new_gateway()
    key = (gateway.data_dir / "admin.key").read_text()
    assert (gateway.data_dir / "admin.key").stat().st_mode & 0o777 == 0o600
    agent = gateway.api().agent(dailyCap="3.00", metadata={"crew": "kept"})
    sock, answer = gateway.connect(agent, SEARCH)
    assert answer.status == 200
    sock.close()
    agent.settled_spend()
    before = agent.show()
    assert gateway.stop() == 0
    gateway.start()
    assert (gateway.data_dir / "admin.key").read_text() == key
    agent.api = gateway.api()
    assert agent.show() == before


def test_the_data_directory_belongs_to_one_gateway(new_gateway):
    gateway = new_gateway()
    import subprocess
    command = gateway.command()
    command[command.index("--proxy-listen") + 1] = "127.0.0.1:0"
    command[command.index("--admin-listen") + 1] = "127.0.0.1:0"
    second = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert second.returncode != 0
    assert "data" in second.stderr + second.stdout
    assert gateway.ready() == 200


def test_freezing_cuts_nothing_that_is_not_the_agents(gateway, provider, api):
    frozen, other = api.agent(), api.agent()
    context = ssl.create_default_context(cafile=provider.ca)
    sock, answer = gateway.connect(other, SEARCH)
    assert answer.status == 200
    with context.wrap_socket(sock, server_hostname=SEARCH) as tls:
        frozen.update_policy(frozen=True)
        tls.sendall(f"GET /search?q=unharmed HTTP/1.1\r\nHost: {SEARCH}\r\n\r\n".encode())
        assert read_answer(tls).status == 200


def test_an_outside_database_is_waited_for_and_its_password_shown_to_nobody(tmp_path, provider):
    proxy_port, admin_port = free_port(), free_port()
    config = tmp_path / "gateway.json"
    config.write_text(json.dumps(sample_config(provider)))
    log = tmp_path / "gateway.log"
    with open(log, "wb") as out:
        gateway = subprocess.Popen(
            [BIN / "nomiqon-gateway", "--config", config, "--data-dir", tmp_path / "data",
             "--proxy-listen", f"127.0.0.1:{proxy_port}", "--admin-listen", f"127.0.0.1:{admin_port}",
             "--database-url", f"postgresql://owner:open-sesame@127.0.0.1:{free_port()}/nomiqon"],
            stdout=out, stderr=out)
    try:
        def answered():
            try:
                answer = requests.get(f"http://127.0.0.1:{admin_port}/readyz", timeout=5, proxies={"http": None})
                return answer.status_code, answer.text
            except requests.ConnectionError:
                return None

        status, said = wait_until(answered, 20, "the admin listener")
        assert status == 503 and "database" in said
        token = mint(SigningKey.generate())
        with socket.create_connection(("127.0.0.1", proxy_port), timeout=10) as sock:
            sock.sendall(f"CONNECT {SEARCH}:443 HTTP/1.1\r\nHost: {SEARCH}\r\n"
                         f"Proxy-Authorization: Bearer {token}\r\n\r\n".encode())
            answer = read_answer(sock)
        assert (answer.status, answer.code) == (503, "ledger_unavailable")
        assert b"open-sesame" not in open(f"/proc/{gateway.pid}/cmdline", "rb").read()
        assert gateway.poll() is None
    finally:
        gateway.terminate()
        status = gateway.wait(20)
    assert status == 0
    assert b"open-sesame" not in log.read_bytes()


def test_a_database_that_dies_while_a_gateway_starts_is_waited_for(workspace, provider):
    """It is as little a reason to give up as one that is away from the beginning. Found by the soak."""
    user = service_user()
    directory = Path(tempfile.mkdtemp(prefix="start-", dir=workspace))
    directory.chmod(0o755)
    give_to(directory, user)
    postgres = Postgres(directory / "pg", user)
    gateway = None
    try:
        gateway = SharedGateway(directory / "gateway", sample_config(provider), postgres.url, gateway_user(user))
        gateway.kill()
        # What a start waits for while another gateway migrates.
        holder = threading.Thread(target=hold_the_schema_lock, args=(postgres,))
        holder.start()
        waiting = "select count(*) from pg_stat_activity where wait_event = 'advisory'"
        held = "select count(*) from pg_locks where locktype = 'advisory' and granted"
        wait_until(lambda: postgres.query(held) == [["1"]], 10, "the lock")
        gateway.spawn()
        wait_until(lambda: postgres.query(waiting) == [["1"]], 10, "a gateway that waits for the lock")
        postgres.kill_all()
        holder.join(10)
        postgres.start()
        assert gateway.await_ready() == []
    finally:
        if gateway:
            gateway.stop()
        postgres.stop()


SCHEMA_LOCK = 7957699366229077504  # migrations.cpp's


def hold_the_schema_lock(postgres):
    try:
        postgres.query(f"select pg_advisory_lock({SCHEMA_LOCK}); select pg_sleep(60)")
    except RuntimeError:
        pass  # its server was killed


def test_a_short_soak_with_kills_of_gateways_and_of_postgresql_keeps_the_ledger_exact(workspace):
    """scripts/soak, in short. What it prints when it fails has the seed."""
    soak = Soak(seconds=20, kills=8, seed="e2e", clients=8, gateways=2)
    soak.run(Path(tempfile.mkdtemp(prefix="soak-", dir=workspace)))
    assert not soak.failures, soak.report()
    assert soak.faults.killed == 8
    assert soak.notes.outcomes["served"] > 20
