"""The quickstart itself, with the programs that are built already: twice, since the second run must show the same."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from harness import BIN, ROOT, free_port


def quickstart(state, *options, **environment):
    return subprocess.run([ROOT / "scripts/quickstart", "--data-dir", state, "--ports", f"{free_port()},{free_port()}",
                           *options], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "NOMIQON_BIN_DIR": str(BIN), **environment})


def processes_of(state):
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(state).encode() in entry.read_bytes():
                found.append(entry.read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.fixture
def state(workspace):
    return workspace / "quickstart"


def test_the_tour_passes_twice_and_leaves_nothing_running(state):
    for _ in range(2):
        done = quickstart(state, "--once")
        assert done.returncode == 0, done.stdout + done.stderr
        for line in ("allowed", "blocked", "replayed", "race", "freeze", "revoke", "sums"):
            assert re.search(rf"^  ok  {line} ", done.stdout, re.MULTILINE), (line, done.stdout)
        assert "exactly 7 accepted" in done.stdout
        assert "\x1b" not in done.stdout
        assert processes_of(state) == []


def test_a_failing_step_says_so_and_is_not_zero(state, tmp_path):
    for program in ("nomiqon-gateway", "nomiqon"):
        (tmp_path / program).write_text("#!/bin/sh\necho 'this one is broken' >&2\nexit 1\n")
        (tmp_path / program).chmod(0o755)
    done = quickstart(state, NOMIQON_BIN_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "the gateway did not start" in done.stderr and "this one is broken" in done.stderr
    assert processes_of(state) == []


def test_options_are_checked():
    for options in (["--port", "1"], ["--ports", "x,y"], ["--data-dir"]):
        done = subprocess.run([ROOT / "scripts/quickstart", *options], capture_output=True, text=True, timeout=20)
        assert done.returncode == 2 and "usage:" in done.stderr
