"""scripts/soak: gateways on one PostgreSQL under load, all of them killed again and again. Nothing may be lost, nothing
invented, nothing spent twice or past a cap; `nomiqon ledger verify` must find the ledger clean.

The seed decides what is asked and when which process is killed; how threads and processes interleave it can't.
"""

import argparse
import collections
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import soak_checks
from harness import LLM, Provider, make_certificates, sample_config, wait_until
from soak_clients import Administrator, Client, Dawdler, Notes, threads_for
from soak_stand import Postgres, SharedGateway, gateway_user, give_to, service_user

LEASE = 5  # seconds; the shortest that there is
KINDS = ["rich"] * 4 + ["capped"] * 4 + ["poor"] * 3 + ["total"]
QUIET_LIMIT = 90  # seconds until nothing may be held any more


class World:
    """The processes, and what the threads share."""

    def __init__(self, directory, gateways=3):
        self.directory, self.processes = Path(directory), []
        self.stopping, self.lock, self.agents = threading.Event(), threading.Lock(), []
        user = service_user()
        self.directory.chmod(0o755)  # the servers run as another user when we are root
        give_to(self.directory, user)
        make_certificates(self.directory)
        self.provider = self.keep(Provider(self.directory))
        self.postgres = self.keep(Postgres(self.directory / "pg", user))
        config = sample_config(self.provider, reservation={"lease": f"{LEASE}s"}, database={"timeout": "2s"})
        config["upstream"]["resolve"][f"{LLM}:80"] = f"127.0.0.1:{self.provider.plain}"
        self.gateways = []
        for number in range(gateways):
            self.gateways.append(self.keep(SharedGateway(self.directory / f"gateway-{number}", config,
                                                         self.postgres.url, gateway_user(user))))

    def keep(self, process):
        self.processes.append(process)
        return process

    def close(self):
        self.stopping.set()
        for process in reversed(self.processes):
            try:
                process.stop()
            except Exception as error:  # the others must be stopped all the same
                print(f"stopping {process}: {error!r}", file=sys.stderr)
                if getattr(process, "process", None) is not None and process.process.poll() is None:
                    process.process.kill()


class Faults:
    """kill -9, and now and then a standstill that outlasts the lease or the database's timeout."""

    kills = {"gateway": 11, "PostgreSQL": 3, "postmaster alone": 3, "backend": 3}

    def __init__(self, world, seed, seconds, kills):
        self.world, self.rng = world, random.Random(f"{seed}/faults")
        self.done, self.failures, self.slowest, self.gave_up = collections.Counter(), [], 0.0, False
        names, weights = zip(*self.kills.items())
        wanted = self.rng.choices(names, weights, k=kills)
        wanted[:2] = ["gateway", "postmaster alone"][:kills]  # of both kinds, however few
        stalls = ["stalled gateway", "stalled PostgreSQL"] * round(seconds / 75)
        self.plan = sorted((self.rng.uniform(0.05, 0.9) * seconds, self.rng.random(), name)
                           for name in [*wanted, *stalls])

    def run(self):
        begun = time.monotonic()
        for at, _, name in self.plan:
            if self.world.stopping.wait(max(0.0, begun + at - time.monotonic())):
                return
            try:
                self.strike(name)
                self.done[name] += 1
            except Exception as error:
                self.failures.append(f"after a kill ({name}): {error}")
                self.gave_up = True
                return

    def strike(self, name):
        postgres, gateway, begun = self.world.postgres, self.rng.choice(self.world.gateways), time.monotonic()
        self.failures += gateway.restart_if_dead()
        if name == "gateway":
            gateway.kill_and_restart()
        elif name == "PostgreSQL":
            postgres.kill_all()
            postgres.start()
        elif name == "postmaster alone":
            postgres.kill_postmaster()
            postgres.start()
        elif name == "backend":
            wait_until(lambda: postgres.kill_backend(self.rng.choice), 30, "a backend to kill")
        else:
            process = gateway if name == "stalled gateway" else postgres
            thaw = process.freeze()
            try:
                self.world.stopping.wait(self.rng.uniform(LEASE + 2, LEASE + 5) if process is gateway else
                                         self.rng.uniform(1, 4))
            finally:
                thaw()
        if self.rng.random() < 0.6:  # else the next one strikes while this one is being recovered from
            self.await_recovery()
            if name in self.kills:
                self.slowest = max(self.slowest, time.monotonic() - begun)

    def await_recovery(self):
        for gateway in self.world.gateways:
            self.failures += gateway.await_ready()

    @property
    def killed(self):
        return sum(count for name, count in self.done.items() if name in self.kills)


class Soak:
    """One run. `failures` is what was wrong, in words."""

    def __init__(self, seconds, kills, seed, clients=12, gateways=3, say=lambda text: None):
        self.seconds, self.kills, self.seed, self.clients, self.gateways = seconds, kills, seed, clients, gateways
        self.say, self.failures, self.table, self.told = say, [], [], {}

    def run(self, directory):
        world = World(directory, self.gateways)
        try:
            self.load(world)
            self.judge(world)
            for gateway in world.gateways:
                if (status := gateway.stop()) != 0:
                    self.failures.append(f"{gateway.directory.name} ended with {status} on SIGTERM")
        finally:
            world.close()
        return self.failures

    def load(self, world):
        administrator = Administrator(world, self.seed)
        world.agents += [administrator.make_agent(kind) for kind in KINDS]
        self.faults = Faults(world, self.seed, self.seconds, self.kills)
        clients = [Client(world, self.seed, number) for number in range(self.clients)]
        clients += [Dawdler(world, self.seed, self.clients + number) for number in range(max(1, self.clients // 4))]
        workers = threads_for([*clients, administrator])
        striking = threads_for([self.faults])[0]
        begun = told = time.monotonic()
        while time.monotonic() < begun + self.seconds or striking.is_alive():
            time.sleep(0.1)
            if self.faults.gave_up or time.monotonic() > begun + 2 * self.seconds + 120:
                break
            if time.monotonic() > told + 30:
                told = time.monotonic()
                served = sum(client.notes.outcomes["served"] for client in clients)
                self.say(f"{told - begun:5.0f} s: {self.faults.killed} kills, {served} served")
        world.stopping.set()
        for thread in [striking, *workers]:
            thread.join(120)
            if thread.is_alive():
                self.failures.append("a client or a kill hangs")
        self.administrative = administrator.changes
        self.notes = Notes()
        for worker in [*clients, administrator]:
            self.notes.add(worker.notes)
        self.failures += list(dict.fromkeys(self.notes.failures))[:20]
        if not self.faults.gave_up and self.faults.killed < self.kills:
            self.failures.append(f"only {self.faults.killed} of {self.kills} kills within the time")

    def judge(self, world):
        try:
            self.faults.await_recovery()
            begun = time.monotonic()
            holding = "select count(*) from nomiqon.wallets where reserved > 0"
            wait_until(lambda: world.postgres.query(holding) == [["0"]], QUIET_LIMIT, "the end of every reservation")
            self.quiet = time.monotonic() - begun
            agents, lines, found = soak_checks.verdict(*world.gateways[0].verify_ledger("--json"))
        except AssertionError as error:
            self.quiet, agents, lines, found = float("nan"), 0, 0, [str(error)]
        self.failures += self.faults.failures
        checks = soak_checks.Checks(world.postgres, world.provider, self.notes)
        self.failures += found + checks.run()
        self.told, secrets_told = soak_checks.told_in_logs(world.gateways, world.postgres)
        self.failures += secrets_told
        self.make_table(checks.figures, agents, lines, found)

    def make_table(self, figures, agents, lines, found):
        outcomes = self.notes.outcomes
        refused = {name: count for name, count in outcomes.items() if name.startswith("refused: ")}
        table = [("kills", self.faults.killed)]
        table += [(f"  {name}", count) for name, count in sorted(self.faults.done.items())]
        table += [("slowest recovery (s)", f"{self.faults.slowest:.1f}"),
                  ("requests", sum(outcomes[name] for name in ("served", "left", "unanswered", "no gateway")) +
                   sum(refused.values()))]
        table += [(f"  {name}", outcomes[name]) for name in ("served", "left", "unanswered", "no gateway")]
        table += [("  refused", sum(refused.values()))]
        table += [(f"    {name.removeprefix('refused: ')}", count) for name, count in sorted(refused.items())]
        table += [("administrative changes", self.administrative)]
        table += [(f"  {name}", count) for name, count in sorted(outcomes.items()) if name.startswith("API")]
        table += list(figures.items())
        clean = "clean" if lines and not found else "NOT CLEAN"
        table += [("nothing held after (s)", f"{self.quiet:.1f}"),
                  ("ledger verify", f"{clean}: {agents} agents, {lines} lines")]
        self.table = table

    def report(self):
        width = max((len(name) for name, _ in self.table), default=0) + 2
        lines = [f"{name:<{width}}{value}" for name, value in self.table]
        if self.told:
            lines += ["", "errors that the programs logged:"]
            lines += [f"{count:6}  {line}" for line, count in self.told.most_common(25)]
        if self.failures:
            lines += ["", f"FAILED, seed {self.seed}:", *(f"  {failure}" for failure in self.failures), "",
                      f"again: scripts/soak --minutes {self.seconds / 60:g} --kills {self.kills} --seed {self.seed} "
                      f"--clients {self.clients} --gateways {self.gateways} --keep"]
        else:
            lines += ["", f"All of it held, seed {self.seed}."]
        return "\n".join(lines)


def options_of(arguments):
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--kills", type=int, help="of gateways and of PostgreSQL; six a minute unless said")
    parser.add_argument("--seed", help="of an earlier run, to do the same again")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--gateways", type=int, default=3, choices=range(1, 9), metavar="1-8")
    parser.add_argument("--keep", action="store_true", help="when it fails, leave the directory with logs and database")
    options = parser.parse_args(arguments)
    if not 0 < options.minutes <= 1440 or not 1 <= options.clients <= 256:
        parser.error("--minutes must be up to 1440, --clients from 1 to 256")
    if options.kills is None:
        options.kills = max(2, round(options.minutes * 6))
    if options.kills < 0:
        parser.error("--kills can't be below 0")
    options.seed = options.seed or secrets.token_hex(4)
    return options


def main(arguments=None):
    options = options_of(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # through every `finally`
    os.environ.pop("NOMIQON_DATABASE_URL", None)
    # A Unix socket's path has room for 107 bytes.
    place = None if len(tempfile.gettempdir()) < 60 else "/tmp"
    directory = Path(tempfile.mkdtemp(prefix="nomiqon-soak-", dir=place))
    soak = Soak(options.minutes * 60, options.kills, options.seed, options.clients, options.gateways,
                say=lambda text: print(text, flush=True))
    print(f"seed {options.seed}: {options.minutes:g} minutes, {options.kills} kills, {options.gateways} gateways, "
          f"{options.clients} clients", flush=True)
    try:
        failed = soak.run(directory)
        print(soak.report())
        return 1 if failed else 0
    except BaseException:
        soak.failures.append("it was not finished")
        print(f"not finished, seed {options.seed}", file=sys.stderr)
        raise
    finally:
        if options.keep and soak.failures:
            print(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
