"""What must be true after the soak, by rows of the database, the provider's log and the clients' notes. `nomiqon ledger
verify` is asked too, but nothing here trusts it, or any sum that is stored."""

import collections
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

NANO = Decimal("1e-9")

RESERVATIONS = """
select r.agent_id, r.transaction_id, r.request_id, coalesce(r.ref, ''), r.host, r.day,
       r.caid || ' ' || r.token_exp || ' ' || r.token_id, r.token_session, coalesce(r.token_max, -1),
       e.ending, e.amount, e.unknown, e.overrun, coalesce(e.reason, ''), coalesce(c.amount, -1)
from nomiqon.reservations r
left join nomiqon.endings e using (agent_id, day, transaction_id)
left join nomiqon.corrections c using (agent_id, day, transaction_id)"""

# What a policy's version said, beside what its reservations were held against; and the policy that was made next, after
# which nothing may have been reserved by this one.
AGAINST_THE_POLICY = """
select r.agent_id, r.transaction_id, case
    when p.version is null then 'by a policy that is not there'
    when r.daily_cap is distinct from ((p.document ->> 'dailyCap')::numeric * 1e9)::bigint
      or r.total_cap is distinct from ((p.document ->> 'totalCap')::numeric * 1e9)::bigint
    then 'against other caps than its policy has'
    when coalesce((p.document ->> 'frozen')::boolean, false) then 'by a frozen policy'
    when r.created_at > n.created_at then 'after the next policy was made'
    when r.created_at > a.terminated_at then 'after its agent was terminated' end as wrong
from nomiqon.reservations r
join nomiqon.agents a using (agent_id)
left join nomiqon.policies p on p.agent_id = r.agent_id and p.version = r.policy_version
left join nomiqon.policies n on n.agent_id = r.agent_id and n.version = r.policy_version + 1"""

# The highest cap that an agent ever had; no row where it once had none.
HIGHEST_CAPS = """
select agent_id, max((document ->> '{cap}')::numeric * 1e9)::bigint from nomiqon.policies group by agent_id
having bool_and(document ? '{cap}' and document ->> '{cap}' is not null)"""


@dataclass
class Row:
    agent: str
    transaction: str
    request_id: str
    ref: str
    host: str
    day: str
    token: str
    session: bool
    token_max: int
    ending: str
    cost: int
    unknown: bool
    overrun: bool
    reason: str
    corrected: bool

    @staticmethod
    def of(fields):
        (agent, transaction, request_id, ref, host, day, token, session, token_max, ending, amount, unknown, overrun,
         reason, correction) = fields
        corrected = correction != "-1"
        cost = int(correction if corrected else amount or 0) if ending == "settled" else 0
        return Row(agent, transaction, request_id, ref, host, day, token, session == "t", int(token_max), ending, cost,
                   unknown == "t", overrun == "t", reason, corrected)


class Checks:
    def __init__(self, postgres, provider, notes):
        self.postgres, self.provider, self.notes = postgres, provider, notes
        self.failures, self.figures = [], {}
        self.rows = [Row.of(fields) for fields in postgres.query(RESERVATIONS)]

    def run(self):
        for check in (self.every_reservation_ended, self.tokens_were_used_once, self.successes_are_in_the_ledger_once,
                      self.what_was_served_is_paid, self.no_cap_was_passed, self.policies_were_obeyed,
                      self.wallets_are_what_moved, self.money_came_in_once):
            found = check()
            self.failures += found[:10]
            if len(found) > 10:
                self.failures.append(f"{check.__name__}: {len(found) - 10} more")
        self.figures |= {
            "reservations": len(self.rows), "settled": sum(row.ending == "settled" for row in self.rows),
            "given back": sum(row.ending == "released" for row in self.rows),
            "unknown settlements": sum(row.unknown for row in self.rows),
            "expired": sum(row.reason == "expired" for row in self.rows),
            "corrections": sum(row.corrected for row in self.rows),
            "overruns": sum(row.overrun for row in self.rows),
            "spent (USDC)": str(sum(row.cost for row in self.rows) * NANO),
        }
        return self.failures

    def every_reservation_ended(self):
        counts = collections.Counter((row.agent, row.transaction) for row in self.rows)
        return ([f"{row.transaction} of {row.agent} never ended" for row in self.rows if not row.ending] +
                [f"{transaction} of {agent} is there {count} times"
                 for (agent, transaction), count in counts.items() if count > 1])

    def tokens_were_used_once(self):
        counts = collections.Counter((row.agent, row.token) for row in self.rows if not row.session)
        spent, most = collections.Counter(), {}
        for row in self.rows:
            if row.token_max >= 0:
                spent[row.agent, row.token] += row.cost
                most[row.agent, row.token] = row.token_max
        return ([f"the once token {token} of {agent} paid {count} times"
                 for (agent, token), count in counts.items() if count > 1] +
                [f"the token {key[1]} of {key[0]} spent {spent[key] * NANO} of {most[key] * NANO}"
                 for key in spent if spent[key] > most[key]])

    def successes_are_in_the_ledger_once(self):
        found, by_request = [], collections.defaultdict(list)
        for row in self.rows:
            by_request[row.request_id].append(row)
        for served in self.notes.served:
            rows = by_request[served.request_id]
            what = f"{served.request_id} of {served.agent}, which its client saw succeed"
            if len(rows) != 1:
                found.append(f"{what}, is in the ledger {len(rows)} times")
            elif (rows[0].agent, rows[0].host) != (served.agent, served.host):
                found.append(f"{what}, is in the ledger as another's")
            elif served.spent and (rows[0].ending, rows[0].cost) != ("settled", int(served.price / NANO)):
                found.append(f"{what} for {served.price}, ended as {rows[0]}")
        return found

    def what_was_served_is_paid(self):
        """By the token's `ref`, which the client chose, and the number in the URL, which the provider saw."""
        paid = collections.Counter(row.ref for row in self.rows if row.cost > 0)
        served = collections.Counter()
        for event in self.provider.requests():
            number = parse_qs(urlsplit(event["target"]).query).get("q", [""])[0]
            served[self.notes.attempts.get(number, f"unknown {event['target']}")] += 1
        self.figures["served by the provider"] = served.total()
        return [f"the provider served {ref} {count} times; {paid[ref]} were paid for"
                for ref, count in served.items() if count > paid[ref]]

    def no_cap_was_passed(self):
        found = []
        for name, key in (("dailyCap", lambda row: (row.agent, row.day)), ("totalCap", lambda row: (row.agent,))):
            highest = {agent: int(cap) for agent, cap in self.postgres.query(HIGHEST_CAPS.format(cap=name))}
            spent = collections.Counter()
            for row in self.rows:
                if not row.overrun:
                    spent[key(row)] += row.cost
            found += [f"{' '.join(group)} spent {amount * NANO}; its {name} was at most {highest[group[0]] * NANO}"
                      for group, amount in spent.items() if group[0] in highest and amount > highest[group[0]]]
        self.figures["overspent"] = len(found)
        return found

    def policies_were_obeyed(self):
        return [f"{transaction} of {agent} was reserved {wrong}"
                for agent, transaction, wrong in self.postgres.query(AGAINST_THE_POLICY) if wrong]

    def wallets_are_what_moved(self):
        moved = collections.Counter()
        for agent, debit, credit, amount in self.postgres.query(
                "select agent_id, debit, credit, sum(amount) from nomiqon.transfers group by 1, 2, 3"):
            moved[agent, debit] -= int(amount)
            moved[agent, credit] += int(amount)
        spent = collections.Counter()
        for row in self.rows:
            spent[row.agent] += row.cost
        found = []
        for agent, balance, reserved, exposed, status in self.postgres.query(
                "select agent_id, balance, reserved, exposed, status from nomiqon.wallets join nomiqon.agents "
                "using (agent_id)"):
            paid = sum(amount for (owner, account), amount in moved.items()
                       if owner == agent and account.startswith("provider:"))
            if (int(reserved), int(exposed), moved[agent, "held"]) != (0, 0, 0):
                found.append(f"{agent} still holds {int(reserved) * NANO}, "
                             f"{moved[agent, 'held'] * NANO} by its transfers")
            if int(balance) < 0 or int(balance) != moved[agent, "wallet"]:
                found.append(f"{agent} has {int(balance) * NANO}, {moved[agent, 'wallet'] * NANO} by its transfers")
            if paid != spent[agent]:
                found.append(f"{agent} paid {paid * NANO} to providers, its endings say {spent[agent] * NANO}")
            if status == "terminated" and int(balance) != 0:
                found.append(f"{agent} is terminated and still has {int(balance) * NANO}")
        return found

    def money_came_in_once(self):
        found = []
        for kind, wanted in (("fund", self.notes.funded), ("adjust", self.notes.adjusted)):
            rows = collections.defaultdict(list)
            for agent, reference, amount, debit in self.postgres.query(
                    "select agent_id, reference, amount, debit from nomiqon.transfers "
                    f"where kind = '{kind}'"):
                rows[agent, reference].append(int(amount) * NANO * (1 if debit == "treasury" else -1))
            for key, (amount, how) in wanted.items():
                got = rows.pop(key, [])
                if got != [amount] and not (how == "tried" and got == []):
                    found.append(f"{kind} {amount} of {key} ({how}) is in the ledger as {[str(x) for x in got]}")
            found += [f"{kind} {key} is in the ledger, and nobody asked for it" for key in rows]
        return found


# What the programs said of it ---------------------------------------------------------------------------------------


def told_in_logs(gateways, postgres):
    """({line without its numbers: how often} of what says error, [secrets that a log told])."""
    told, secrets_told = collections.Counter(), []
    for gateway in gateways:
        text = gateway.log_file.read_text(errors="replace")
        for line in text.splitlines():
            if re.search(r"\berror\b|\bcritical\b|\bfatal\b", line, re.IGNORECASE):
                told[f"gateway: {shape(line)}"] += 1
        if re.search(r"eyJ[A-Za-z0-9_-]{20}|nmq_[A-Za-z0-9]{8}", text):
            secrets_told.append(f"{gateway.directory.name}'s log has a token or a key")
    for line in postgres.log.read_text(errors="replace").splitlines():
        if re.search(r"\b(ERROR|PANIC):", line):
            told[f"PostgreSQL: {shape(line)}"] += 1
    return told, secrets_told


def shape(line):
    line = re.sub(r"^\S+ \S+ (\S+ )?", "", line)
    line = re.sub(r"\b(ag|txn|req|gw)_[0-9a-z]+", r"\1_…", line)
    return re.sub(r"\d+", "N", line)[:200]


def verdict(status, said):
    """What `nomiqon ledger verify --json` found: (agents, lines, failures)."""
    try:
        document = json.loads(said)
    except ValueError:
        return 0, 0, [f"ledger verify: exit status {status}: {said[-2000:]}"]
    failures = [f"ledger verify: {json.dumps(finding)}" for finding in document["findings"]]
    if status != 0 and not failures:
        failures.append(f"ledger verify: exit status {status}")
    return document["agents"], document["lines"], failures
