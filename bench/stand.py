"""The processes of the benchmarks on loopback: origin, HAProxy, gateway, load. Each is ended by its own pid."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOST = "origin.bench.example"
PRICE = "0.000001"
MOST_CONNECTIONS = 8_000


class BenchError(Exception):
    """Something that keeps the figures from being taken; said in one line."""


def program(name, bin_dir):
    path = bin_dir / name
    if not os.access(path, os.X_OK):
        raise BenchError(f"{path} is missing: cmake --preset release && cmake --build --preset release")
    return path


def free_port():
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return candidate.getsockname()[1]


def wait_until(check, seconds, what):
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def resident_kib(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Rss:\s+(\d+) kB", text, re.MULTILINE).group(1))


def descendants(pid):
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = [int(word) for word in children.read_text().split()]
        except OSError:
            continue
        for child in pids:
            found += [child, *descendants(child)]
    return found


class Process:
    def __init__(self, command, log, **options):
        self.log = log
        with open(log, "ab") as output:
            options.setdefault("stdout", output)
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=output, **options)
        self.pid = self.child.pid

    def check(self):
        if self.child.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
            raise BenchError(f"{self.log.stem} ended with {self.child.returncode}:\n{tail}")

    def resident_kib(self):
        return resident_kib(self.pid)

    def stop(self, seconds=40):
        if self.child.poll() is not None:
            return
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Origin(Process):
    """Says its port when it listens."""

    def __init__(self, bin_dir, directory, name="bench_origin", *arguments):
        super().__init__([program(name, bin_dir), *arguments], directory / "origin.log", stdout=subprocess.PIPE,
                         text=True)
        self.port = int(self.child.stdout.readline() or 0)
        self.check()


class HAProxy(Process):
    """TCP mode, as Debian ships it; buffers and polling at their defaults."""

    def __init__(self, directory, threads, origin_port):
        binary = shutil.which("haproxy", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if not binary:
            raise BenchError("haproxy is missing: apt-get install haproxy")
        self.version = subprocess.run([binary, "-v"], capture_output=True, text=True).stdout.split()[2]
        self.port = free_port()
        config = directory / "haproxy.cfg"
        config.write_text(f"""global
    nbthread {threads}
    maxconn {MOST_CONNECTIONS}
defaults
    mode tcp
    maxconn {MOST_CONNECTIONS}
    timeout connect 5s
    timeout client 10m
    timeout server 10m
listen bench
    bind 127.0.0.1:{self.port}
    server origin 127.0.0.1:{origin_port}
""")
        super().__init__([binary, "-db", "-f", config], directory / "haproxy.log")
        wait_until(self.is_up, 10, "HAProxy")

    def is_up(self):
        self.check()
        return accepts(self.port)


class Gateway(Process):
    """With its private PostgreSQL, and one agent that has a session token and money for years."""

    def __init__(self, bin_dir, directory, threads, origin_port, routes, **config):
        self.nomiqon = program("nomiqon", bin_dir)
        self.directory = directory
        self.port, self.admin_port = free_port(), free_port()
        hosts = [route["host"] for route in routes]
        upstream = {"allowPrivate": ["127.0.0.0/8"],
                    "resolve": {f"{host}:{port}": f"127.0.0.1:{origin_port}" for host in hosts for port in (80, 443)},
                    **config.pop("upstream", {})}
        file = directory / "gateway.json"
        file.write_text(json.dumps({"proxy": {"threads": threads}, "upstream": upstream, "routes": routes, **config}))
        super().__init__([program("nomiqon-gateway", bin_dir), "--config", file, "--data-dir", directory / "data",
                          "--proxy-listen", f"127.0.0.1:{self.port}", "--admin-listen", f"127.0.0.1:{self.admin_port}"],
                         directory / "gateway.log")
        wait_until(self.is_up, 90, "the gateway's readiness")
        self.command("agents", "create", "bench", *(word for host in hosts for word in ("--allow", host)), "--fund",
                     "1000000")
        self.token = self.command("token", "mint", "--agent", "bench", "--use", "session", "--max", "1000000",
                                  "--ttl", "12h").split()[-1]

    def is_up(self):
        self.check()
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            return opener.open(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=5).status == 200
        except (OSError, urllib.error.HTTPError):
            return False

    def command(self, *words):
        environment = {**os.environ, "NOMIQON_BASE_URL": f"http://127.0.0.1:{self.admin_port}",
                       "NOMIQON_API_KEY": (self.directory / "data/admin.key").read_text().strip(),
                       "XDG_CONFIG_HOME": str(self.directory / "keys")}
        done = subprocess.run([self.nomiqon, *words], env=environment, capture_output=True, text=True, timeout=30)
        if done.returncode != 0:
            raise BenchError(f"nomiqon {words[0]} {words[1]}: {done.stderr.strip()}")
        return done.stdout

    def database_pids(self):
        return descendants(self.pid)


class Stand:
    """All of it, for one `with`. What it consists of is said by `start`, `way`, `process` and `LOAD`."""

    LOAD = "bench_load"

    def __init__(self, bin_dir, directory, threads):
        self.bin_dir, self.directory, self.threads = bin_dir, directory, threads
        self.processes = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.stop()

    def keep(self, process):
        self.processes.append(process)
        return process

    def watch_gateway(self):
        database = ",".join(str(pid) for pid in self.gateway.database_pids())
        return ["--watch", f"proxy:{self.gateway.pid}", "--watch", f"database:{database}",
                "--proxy-authorization", f"Bearer {self.gateway.token}"]

    def load(self, task, way, seconds=1.0, connections=64, path="/100"):
        command = [program(self.LOAD, self.bin_dir), *self.task(task), *self.way(way), "--connections",
                   str(connections), "--seconds", str(seconds), *(["--path", path] if path else [])]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              timeout=seconds + 90)
        for process in self.processes:
            process.check()
        if done.returncode != 0:
            said = done.stdout and json.loads(done.stdout)["first_error"]
            raise BenchError(f"{task} {way} with {connections} connections: {said or done.stderr.strip()}")
        return json.loads(done.stdout)

    def task(self, name):
        return [name]

    def idle_kib(self, way, connections, settle_seconds):
        """Resident memory that one idle connection takes, in KiB, of the proxy's own processes."""
        process = self.process(way)
        self.load("churn", way, seconds=0.5, connections=4)  # so that code and first buffers are there before
        time.sleep(settle_seconds)
        before = process.resident_kib()
        command = [program(self.LOAD, self.bin_dir), "idle", *self.way(way), "--connections", str(connections)]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            opened = json.loads(holder.stdout.readline() or '{"errors": 1, "first_error": "the load ended"}')
            if opened["errors"]:
                raise BenchError(f"{connections} idle connections through {way}: {opened['first_error']}")
            time.sleep(settle_seconds)
            after = process.resident_kib()
            said, _ = holder.communicate("", timeout=30)
        finally:
            holder.kill()
            holder.wait()
        still_open = json.loads(said)["still_open"]
        if still_open != connections:
            raise BenchError(f"only {still_open} of {connections} idle connections through {way} were still open")
        return (after - before) / connections


class ProxyStand(Stand):
    """Of bench/proxy."""

    def start(self):
        self.origin = self.keep(Origin(self.bin_dir, self.directory))
        self.haproxy = self.keep(HAProxy(self.directory, self.threads, self.origin.port))
        self.peer_version = f"HAProxy {self.haproxy.version}"
        route = {"host": HOST, "mode": "tunnel", "raw": True, "price": {"perConnection": PRICE, "perRequest": PRICE}}
        self.gateway = self.keep(Gateway(self.bin_dir, self.directory, self.threads, self.origin.port, [route]))

    def process(self, way):
        return self.haproxy if way == "haproxy" else self.gateway

    def way(self, name):
        """The load's arguments for one way to the origin."""
        if name == "direct":
            return ["--target", f"127.0.0.1:{self.origin.port}"]
        if name == "haproxy":
            return ["--target", f"127.0.0.1:{self.haproxy.port}", "--watch", f"proxy:{self.haproxy.pid}"]
        form = ["--connect", f"{HOST}:443"] if name == "tunnel" else ["--absolute", HOST]
        return ["--target", f"127.0.0.1:{self.gateway.port}", *form, *self.watch_gateway()]
