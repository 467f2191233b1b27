"""One gateway with its private PostgreSQL and one provider serve all tests; a test that breaks something takes
gateways of its own from `new_gateway`."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from harness import BIN, Gateway, Provider, make_certificates, sample_config

# What the developer's shell says of proxies must not reach the clients under test.
for name in list(os.environ):
    if name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "requests_ca_bundle"):
        del os.environ[name]


def pytest_sessionstart(session):
    for program in ("nomiqon-gateway", "nomiqon"):
        if not os.access(BIN / program, os.X_OK):
            pytest.exit(f"{BIN / program} is missing: build first, or set NOMIQON_BIN_DIR", returncode=3)


def place_for_databases():
    """In memory where there is room: each gateway's initdb and its removal take seconds on a disk that syncs. What is
    killed here are processes, not machines."""
    try:
        if shutil.disk_usage("/dev/shm").free > 1 << 30:
            return "/dev/shm"
    except OSError:
        pass
    return None


@pytest.fixture(scope="session")
def workspace():
    # Not pytest's own tmp_path: PostgreSQL runs as another user when the tests run as root, and must get in.
    path = Path(tempfile.mkdtemp(prefix="nomiqon-e2e-", dir=place_for_databases()))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def provider(workspace):
    make_certificates(workspace)
    provider = Provider(workspace)
    yield provider
    provider.stop()


@pytest.fixture(scope="session")
def gateway(workspace, provider):
    gateway = Gateway(workspace / "session", sample_config(provider))
    yield gateway
    # Whatever the tests did to their agents, the ledger must be able to prove all of it.
    verified, said = gateway.verify_ledger()
    status = gateway.stop()
    assert verified == 0, f"nomiqon ledger verify: {said}"
    assert status == 0, gateway.log_tail()


@pytest.fixture
def api(gateway):
    return gateway.api()


@pytest.fixture
def new_gateway(workspace, provider):
    """new_gateway(member={...}, ...): a gateway of the test's own, with these members of the configuration."""
    made = []

    def make(prefix=(), **members):
        gateway = Gateway(Path(tempfile.mkdtemp(prefix="gateway-", dir=workspace)), sample_config(provider, **members),
                          prefix=prefix)
        made.append(gateway)
        return gateway

    yield make
    for gateway in made:
        gateway.stop()
        shutil.rmtree(gateway.directory, ignore_errors=True)
