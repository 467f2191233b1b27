"""Every `sh` block of the documentation is run as a reader would, in a directory like the one a quickstart leaves."""

import os
import re
import subprocess

import pytest

from harness import BIN, ROOT

DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", *(f"docs/{path.name}" for path in
                                                             sorted((ROOT / "docs").glob("*.md")))]
BLOCK = re.compile(r"(?:<!-- (?P<mark>not run|fails): (?P<reason>[^>]+) -->\n)?^```(?:sh|bash|shell|console)\n(?P<text>.*?)^```",
                   re.MULTILINE | re.DOTALL)


def script_of(document):
    """One script, in which a block that must fail is run in a shell of its own."""
    parts = []
    for block in BLOCK.finditer((ROOT / document).read_text()):
        if block["mark"] == "fails":
            parts.append(f"if ( {block['text']} ); then echo 'should have failed: {block['reason']}' >&2; exit 1; fi\n")
        elif block["mark"] is None:
            parts.append(block["text"])
    return "".join(parts)


@pytest.fixture
def reader(gateway, provider, tmp_path):
    """The working directory, with a .quickstart/ that leads to the session's gateway."""
    state = tmp_path / ".quickstart"
    state.mkdir()
    (state / "ca.pem").write_bytes(provider.ca.read_bytes())
    database = f"host='{gateway.data_dir}/postgres' user=nomiqon_owner dbname=nomiqon"
    (state / "env").write_text(
        f'export PATH="{BIN}:$PATH"\n'
        f"export NOMIQON_BASE_URL={gateway.base_url}\n"
        f"export NOMIQON_PROXY=127.0.0.1:{gateway.proxy_port}\n"
        f"export NOMIQON_DATA_DIR={gateway.data_dir}\n"
        f'export NOMIQON_API_KEY="$(cat {gateway.data_dir}/admin.key)"\n'
        f"export NOMIQON_FINANCE_DB=\"{database} options='-c role=nomiqon_finance'\"\n"
        f'export NOMIQON_OWNER_DB="{database}"\n')
    return tmp_path


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if script_of(document)])
def test_every_command_of_the_documentation_works(reader, document):
    script = script_of(document)
    environment = {**os.environ, "HOME": str(reader), "XDG_CONFIG_HOME": str(reader / "config")}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=reader, env=environment, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 0, f"{script}\n--- said:\n{done.stdout}\n{done.stderr}"


def test_the_variables_of_a_quickstart_are_those_that_the_documentation_is_tested_with(reader):
    quickstart = (ROOT / "scripts/quickstart").read_text()
    made = set(re.findall(r"^export (\w+)", quickstart, re.MULTILINE))
    assert made == set(re.findall(r"^export (\w+)", (reader / ".quickstart/env").read_text(), re.MULTILINE))


def test_links_between_the_documents_lead_somewhere():
    for document in [*DOCUMENTS, "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / document).read_text()):
            if not target.startswith("http"):
                assert (ROOT / document).parent.joinpath(target).exists(), f"{document}: {target}"
