"""The processes of bench/intercept on loopback: a provider that speaks TLS, Squid, gateway, load."""

import os
import shutil
import subprocess
from pathlib import Path

from stand import MOST_CONNECTIONS, PRICE, ROOT, BenchError, Gateway, Origin, Process, Stand, accepts, descendants, \
    free_port, resident_kib, wait_until

FLAT = "flat.bench.example"  # a price a request
METERED = "metered.bench.example"  # priced by its usage
ASKED = '{"model":"gpt-4o-mini","max_tokens":64,"messages":[{"role":"user","content":"Who answers on loopback?"}]}'
CERTIFICATES = Path("/usr/lib/squid/security_file_certgen")

P256 = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA = ("rsa:2048",)
SQUIDS = {
    # As fast as it goes: bumped at once, so that its connections to the origin are shared.
    "squid": (P256, "ssl_bump bump all"),
    # As its documentation sets it up: it looks at the origin's certificate before it makes one like it.
    "squiddoc": (RSA, "acl step1 at_step SslBump1\nssl_bump peek step1\nssl_bump bump all"),
}


def make_certificate(directory, name, key_type, *extensions):
    """Self-signed. Returns the files of certificate and key."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    words = ["openssl", "req", "-x509", "-newkey", *key_type, "-nodes", "-days", "30", "-subj", f"/CN={name}",
             "-keyout", key, "-out", certificate]
    for extension in extensions:
        words += ["-addext", extension]
    subprocess.run(words, check=True, capture_output=True)
    key.chmod(0o644)  # a key for an hour on loopback; Squid's workers are another user
    return certificate, key


class Squid(Process):
    """Debian's squid-openssl with ssl-bump. Nothing is cached or logged. Its CA's key is that of each host too."""

    def __init__(self, directory, name, key_type, ssl_bump, threads, origin_port, origin_ca):
        binary = shutil.which("squid", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if not binary or not CERTIFICATES.exists():
            raise BenchError("Squid is missing: apt-get install squid-openssl")
        if os.geteuid() != 0:
            raise BenchError("Squid's workers need root, for their sockets in /run/squid")
        self.version = subprocess.run([binary, "-v"], capture_output=True, text=True).stdout.split()[3]
        self.port = free_port()
        home = directory / name
        home.mkdir()
        self.ca, key = make_certificate(home, "squid", key_type, "keyUsage=critical,keyCertSign,cRLSign")
        (home / "hosts").write_text("".join(f"127.0.0.1 {host}\n" for host in (FLAT, METERED)))
        subprocess.run([CERTIFICATES, "-c", "-s", home / "certificates", "-M", "16MB"], check=True, capture_output=True)
        config = home / "squid.conf"
        config.write_text(f"""workers {threads}
http_port 127.0.0.1:{self.port} ssl-bump tls-cert={self.ca} tls-key={key} \\
    generate-host-certificates=on dynamic_cert_mem_cache_size=16MB
sslcrtd_program {CERTIFICATES} -s {home}/certificates -M 16MB
sslcrtd_children 4 startup=1 idle=1
{ssl_bump}
tls_outgoing_options cafile={origin_ca}
http_access allow all
server_pconn_for_nonretriable allow all
pconn_timeout 10 minutes
client_idle_pconn_timeout 10 minutes
hosts_file {home}/hosts
cache deny all
access_log none
cache_log {home}/cache.log
cache_store_log none
netdb_filename none
pinger_enable off
pid_filename {home}/squid.pid
coredump_dir {home}
max_filedescriptors {2 * MOST_CONNECTIONS + 2000}
shutdown_lifetime 1 second
""")
        subprocess.run(["chown", "-R", "proxy:proxy", home], check=True)
        self.service = f"nomiqonbench{os.getpid()}{name}"
        super().__init__([binary, "--foreground", "-f", config, "-n", self.service], directory / f"{name}.log")
        wait_until(self.is_up, 20, "Squid")

    def is_up(self):
        self.check()
        return accepts(self.port)

    def stop(self, seconds=40):
        super().stop(seconds)
        for socket in Path("/run/squid").glob(f"{self.service}-*.ipc"):  # Squid leaves some behind
            socket.unlink()

    def pids(self):
        return [self.pid, *descendants(self.pid)]

    def resident_kib(self):
        return sum(resident_kib(pid) for pid in self.pids())


class InterceptStand(Stand):
    LOAD = "bench_load_tls"

    def start(self):
        names = "subjectAltName=" + ",".join(f"DNS:{host}" for host in (FLAT, METERED))
        self.origin_ca, key = make_certificate(self.directory, "origin", P256, names)
        self.origin = self.keep(Origin(self.bin_dir, self.directory, "bench_origin_tls", self.origin_ca, key))
        self.squids = {name: self.keep(Squid(self.directory, name, *setup, self.threads, self.origin.port,
                                             self.origin_ca)) for name, setup in SQUIDS.items()}
        self.peer_version = f"Squid {self.squids['squid'].version}"
        routes = [{"host": FLAT, "mode": "intercept", "price": {"perRequest": PRICE}},
                  {"host": METERED, "mode": "intercept", "meter": "openai"}]
        self.gateway = self.keep(Gateway(self.bin_dir, self.directory, self.threads, self.origin.port, routes,
                                         upstream={"caFile": str(self.origin_ca)},
                                         prices={"models": str(ROOT / "config/prices/models.json")}))

    def process(self, way):
        return self.squids.get(way, self.gateway)

    def task(self, name):
        return ["churn", "--resume"] if name == "resume" else [name]

    def way(self, name):
        """The load's arguments for one way to the origin. `metered`: the gateway's, with a call of a model."""
        authority = f"{FLAT}:{self.origin.port}"
        if name == "direct":
            return ["--target", f"127.0.0.1:{self.origin.port}", "--authority", authority, "--ca", self.origin_ca]
        if squid := self.squids.get(name):
            pids = ",".join(str(pid) for pid in squid.pids())
            return ["--target", f"127.0.0.1:{squid.port}", "--authority", authority, "--connect", authority, "--ca",
                    squid.ca, "--watch", f"proxy:{pids}"]
        host = METERED if name == "metered" else FLAT
        asked = ["--post", ASKED] if name == "metered" else []
        return ["--target", f"127.0.0.1:{self.gateway.port}", "--authority", host, "--connect", f"{host}:443",
                "--ca", self.directory / "data/ca.crt", *asked, *self.watch_gateway()]
