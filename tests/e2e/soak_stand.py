"""The processes of the soak: a PostgreSQL that is killed and comes back, gateways that share it, a provider.

As root they run as `postgres` (else `nobody`), since PostgreSQL refuses root. Each process is ended by its own pid.
"""

import os
import pwd
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

from harness import BIN, Gateway, wait_until

POSTGRES_BIN = Path(os.environ.get("NOMIQON_POSTGRES_BIN", "/usr/lib/postgresql/15/bin"))
OWNER, DATABASE = "nomiqon_owner", "nomiqon"

# Small, so that a crash finds much to recover; durable, since what a client was told must survive it.
SETTINGS = {
    "listen_addresses": "", "fsync": "on", "synchronous_commit": "on", "restart_after_crash": "on",
    "max_connections": "120", "shared_buffers": "64MB", "checkpoint_timeout": "30s", "logging_collector": "off",
    "log_min_messages": "error", "log_min_error_statement": "panic",
}


def service_user():
    """Whom root runs the servers as; None when we aren't root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("root needs a user `postgres` or `nobody` to run PostgreSQL as")


def as_user(user):
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def give_to(path, user):
    if user is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def stat_of(pid):
    """(parent, state, start time) of a process; None when there is none. The start time tells it from a later one."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), fields[0], int(fields[19])


def children_of(pid):
    """{pid: start time}"""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := stat_of(int(entry))) and stat[0] == pid and stat[1] != "Z":
            found[int(entry)] = stat[2]
    return found


def send(pid, start, number):
    """A signal for that process alone, not for one that got its number since."""
    stat = stat_of(pid)
    if stat and stat[2] == start and stat[1] != "Z":
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class Postgres:
    """A cluster of its own, on a Unix socket in a directory of its own."""

    def __init__(self, directory, user):
        self.directory, self.user, self.process = Path(directory), user, None
        self.orphans = {}  # of a killed postmaster: {pid: start time}
        self.data, self.log = self.directory / "data", self.directory / "postgres.log"
        self.directory.mkdir(mode=0o700)  # nobody else gets at the socket, where everyone is trusted
        give_to(self.directory, user)
        subprocess.run([POSTGRES_BIN / "initdb", "-D", self.data, "-U", OWNER, "-A", "trust", "-E", "UTF8",
                        "--locale=C.UTF-8"], check=True, capture_output=True, cwd="/", **as_user(user))
        self.start()
        self.query(f'create database "{DATABASE}"', database="postgres")

    @property
    def url(self):
        return f"postgresql://{OWNER}@/{DATABASE}?host={quote(str(self.directory), safe='')}"

    def start(self, seconds=60):
        """Again and again: after a kill -9 of the postmaster its children hold the shared memory for a moment."""
        deadline, patience = time.monotonic() + seconds, time.monotonic() + 5
        while True:
            self.spawn()
            while self.process.poll() is None:
                if self.accepts():
                    self.orphans = {}
                    return
                if time.monotonic() > deadline:
                    raise AssertionError("PostgreSQL does not come back:\n" + self.log_tail())
                time.sleep(0.02)
            if time.monotonic() > deadline:
                raise AssertionError("PostgreSQL does not start:\n" + self.log_tail())
            if time.monotonic() > patience:
                for pid, start in self.orphans.items():
                    send(pid, start, signal.SIGKILL)
            time.sleep(0.05)

    def spawn(self):
        settings = {**SETTINGS, "unix_socket_directories": str(self.directory)}
        command = [POSTGRES_BIN / "postgres", "-D", self.data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                            start_new_session=True, **as_user(self.user))

    def accepts(self):
        return subprocess.run([POSTGRES_BIN / "pg_isready", "-q", "-h", self.directory, "-U", OWNER, "-d", "postgres"],
                              check=False, cwd="/").returncode == 0

    def kill_all(self):
        children = children_of(self.process.pid)
        self.process.kill()
        for pid, start in children.items():
            send(pid, start, signal.SIGKILL)
        self.process.wait(10)
        self.orphans = children

    def kill_postmaster(self):
        """Its children go on until they notice: some commit after it has gone."""
        self.orphans = children_of(self.process.pid)
        self.process.kill()
        self.process.wait(10)

    def kill_backend(self, choose):
        """One that serves a gateway. The postmaster ends all others then, and recovers by itself."""
        backends = [pid for pid in children_of(self.process.pid) if self.is_backend(pid)]
        if not backends:
            return False
        os.kill(choose(sorted(backends)), signal.SIGKILL)
        return True

    @staticmethod
    def is_backend(pid):
        try:
            return f" {DATABASE} ".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            return False

    def freeze(self):
        """SIGSTOP for all of it: it accepts and never answers. Returns what thaws it."""
        stopped = {self.process.pid: stat_of(self.process.pid)[2], **children_of(self.process.pid)}
        for pid, start in stopped.items():
            send(pid, start, signal.SIGSTOP)
        return lambda: [send(pid, start, signal.SIGCONT) for pid, start in stopped.items()]

    def query(self, sql, database=DATABASE):
        """Rows of text."""
        done = subprocess.run([POSTGRES_BIN / "psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-R", "\x1e", "-v",
                               "ON_ERROR_STOP=1", "-h", self.directory, "-U", OWNER, "-d", database],
                              input=sql, text=True, capture_output=True, check=False, cwd="/")
        if done.returncode != 0:
            raise RuntimeError(f"psql: {done.stderr.strip()}")
        text = done.stdout.rstrip("\n\x1e")
        return [row.split("\x1f") for row in text.split("\x1e")] if text else []

    def log_tail(self, lines=20):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        children = children_of(self.process.pid)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
            for pid, start in children.items():
                send(pid, start, signal.SIGKILL)


def gateway_user(user):
    """That user, where it may run the program (a build tree can lie in a home that is closed to others)."""
    if user is None:
        return None
    try:
        subprocess.run([BIN / "nomiqon-gateway", "--version"], check=True, capture_output=True, cwd="/",
                       **as_user(user))
    except (OSError, subprocess.SubprocessError):
        return None
    return user


class SharedGateway(Gateway):
    """A gateway on a database that isn't its own."""

    def __init__(self, directory, config, url, user):
        self.user, self.arguments = user, ["--database-url", url]
        self.directory = Path(directory)
        self.directory.mkdir()
        give_to(self.directory, user)
        super().__init__(directory, config)

    def command(self):
        return [*super().command(), *self.arguments]

    def popen_options(self):
        return {"cwd": "/", "start_new_session": True, **as_user(self.user)}

    def kill_and_restart(self):
        self.kill()
        self.spawn()

    def freeze(self):
        pid, start = self.process.pid, stat_of(self.process.pid)[2]
        send(pid, start, signal.SIGSTOP)
        return lambda: send(pid, start, signal.SIGCONT)

    def await_ready(self, seconds=60):
        """What was wrong, if it ended by itself meanwhile; it is started again then, a few times."""
        deaths = []
        for _ in range(3):
            wait_until(self.is_ready_or_dead, seconds, f"readiness of {self.directory.name}")
            if self.process.poll() is None:
                return deaths
            deaths += self.restart_if_dead()
        raise AssertionError(f"{self.directory.name} ends again and again: {deaths[-1]}")

    def restart_if_dead(self):
        """What was wrong."""
        if self.process.poll() is None:
            return []
        said = [line for line in self.log_tail(200).splitlines() if " info " not in line][-3:]
        died = f"{self.directory.name} ended by itself with {self.process.returncode}: " + " | ".join(said)
        self.spawn()
        return [died]
