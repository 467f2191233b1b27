"""Caps and wallets under load: never past the cap, as many at the provider as were accepted, sums that agree."""

import threading
from decimal import Decimal

import pytest
import requests

from harness import LLM, SEARCH, TUNNEL_PRICE, in_parallel

CLIENTS = 64


def test_64_clients_on_one_agent_never_pass_the_cap(gateway, provider, api):
    agent = api.agent(dailyCap="2.50")
    before = provider.connections()
    done, highest = threading.Event(), []

    def watch():
        while not done.is_set():
            spend = api.get(f"/v1/agents/{agent.id}/spend")
            highest.append(Decimal(spend["spent"]) + Decimal(spend["reserved"]))

    def client(number):
        codes = []
        for _ in range(3):
            try:
                with requests.Session() as session:
                    answer = session.post(f"https://{LLM}/v1/chat/completions", json={"model": "sample-1"},
                                          proxies={"https": gateway.proxy_url(agent, agent.mint())},
                                          verify=provider.ca, timeout=30)
                    codes.append(answer.status_code)
            except requests.exceptions.ProxyError as error:
                codes.append(next(code for code in ("policy_cap_exceeded", "policy_cap_reserved") if code in str(error)))
        return codes

    watcher = threading.Thread(target=watch)
    watcher.start()
    codes = [code for codes in in_parallel(CLIENTS, client) for code in codes]
    done.set()
    watcher.join()

    assert len(highest) > 5
    assert max(highest) <= Decimal("2.50")
    assert codes.count(200) == 50  # 2.50 / 0.05
    assert provider.connections() - before == 50
    assert agent.settled_spend() == Decimal("2.50")
    assert len(agent.transactions("settled")) == 50
    assert agent.check_ledger() == 50 * TUNNEL_PRICE


@pytest.mark.parametrize("limit", ["wallet", "token", "total"])
def test_every_other_limit_holds_under_a_race_as_well(gateway, provider, api, limit):
    agent = api.agent(fund="0.35" if limit == "wallet" else "10", totalCap="0.35" if limit == "total" else None)
    shared = agent.mint(use="session", max="0.35") if limit == "token" else None

    def client(number):
        sock, answer = gateway.connect(agent, LLM, token=shared or agent.mint())
        if answer.status == 200:
            sock.sendall(b"\x16\x03\x01")  # the start of a ClientHello is not yet a spend; leaving is a release
        return sock, answer

    results = in_parallel(20, client)
    accepted = [answer for _, answer in results if answer.status == 200]
    assert len(accepted) == 7
    refused = {answer.code for _, answer in results if answer.status != 200}
    assert refused <= {"balance_reserved", "spend_token_reserved", "policy_cap_reserved"}
    for sock, _ in results:
        sock.close()
    assert agent.settled_spend() == 0  # all were given back
    assert len(agent.transactions("voided")) == 7
    assert agent.check_ledger("0.35" if limit == "wallet" else "10") == 0


def test_one_token_raced_by_many_pays_once(gateway, api):
    agent = api.agent()
    token = agent.mint()

    def client(number):
        sock, answer = gateway.connect(agent, SEARCH, token=token)
        sock.close()
        return answer.code or answer.status

    codes = in_parallel(16, client)
    assert sorted(map(str, codes)) == ["200"] + ["spend_token_replayed"] * 15


def test_a_cap_lowered_below_what_is_spent_stops_the_agent(gateway, provider, api):
    agent = api.agent(dailyCap="1.00")
    proxies = {"http": gateway.proxy_url(agent, agent.mint(use="session", max="1"))}
    assert requests.get(f"http://{SEARCH}/search?q=1", proxies=proxies, timeout=20).status_code == 200
    agent.settled_spend()
    agent.update_policy(dailyCap="0.001")
    answer = requests.get(f"http://{SEARCH}/search?q=2", proxies=proxies, timeout=20)
    assert (answer.status_code, answer.reason) == (402, "policy_cap_exceeded")


def test_stats_and_reports_agree_with_the_wallet(gateway, api):
    agent = api.agent(metadata={"crew": "reporting"})
    proxies = {"http": gateway.proxy_url(agent, agent.mint(use="session", max="1"))}
    for number in range(3):
        requests.get(f"http://{SEARCH}/search?q={number}", proxies=proxies, timeout=20)
    assert agent.settled_spend() == Decimal("0.006")
    stats = api.get(f"/v1/transactions/stats?agentId={agent.id}")
    assert (Decimal(stats["totalSpent"]), stats["transactionCount"]) == (Decimal("0.006"), 3)
    assert stats["topRecipients"][0]["hostname"] == SEARCH
    assert Decimal(stats["topRecipients"][0]["totalUsdc"]) == Decimal("0.006")
    rows = api.get("/v1/reports/spend?group_by=agent,day,host")
    mine = [row for row in rows if agent.id in row.values() or agent.name in row.values()]
    assert len(mine) == 1 and Decimal(mine[0]["amount"]) == Decimal("0.006")


def test_two_gateways_on_one_database_share_caps_and_freezes(gateway, new_gateway, provider, api):
    second = new_gateway(database={"url": f"host='{gateway.data_dir}/postgres' user=nomiqon_owner dbname=nomiqon"})
    agent = api.agent(dailyCap="0.35")
    before = provider.connections()

    def client(number):
        sock, answer = (gateway, second)[number % 2].connect(agent, LLM)
        return sock, answer.code or answer.status

    results = in_parallel(40, client)
    assert [code for _, code in results].count(200) == 7
    assert provider.connections() - before == 7
    for sock, _ in results:
        sock.close()
    assert agent.settled_spend() == 0

    agent.update_policy(frozen=True)  # through the first one's API
    sock, answer = second.connect(agent, LLM)
    sock.close()
    assert (answer.status, answer.code) == (403, "agent_frozen")
    assert agent.check_ledger() == 0
