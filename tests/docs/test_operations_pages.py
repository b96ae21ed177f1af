"""The operator's pages say what the program does, and name no option that it does not have."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from controller.adapters.commands import as_user
from controller.advice import CODE_ADVICE, GATE_ADVICE
from controller.cli.main import cli
from controller.codes import CODES
from controller.report.holding_page import holding_page
from runbooks.actions.postgresql import server

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "operations").glob("*.md"))
LINKED = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *PAGES]
# In backticks or in a code block, up to a pipe, a comment or the end of the line.
_COMMAND = re.compile(r"(?:^|[`/(\s])bcm-failover ([a-z][^`|#>\n]*)", re.MULTILINE)


def commands_of(page: Path) -> list[list[str]]:
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL)
    inline = re.findall(r"`(bcm-failover [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = [m[1] for line in [*lines, *inline] for m in _COMMAND.finditer(line)]
    return [shlex.split(command) for command in found]


def test_the_page_of_holds_is_current() -> None:
    page = ROOT / "docs" / "operations" / "when-it-holds.md"
    assert page.read_text(encoding="utf-8") == holding_page(), (
        "write it anew: python -m controller.report.holding_page > docs/operations/when-it-holds.md"
    )


def test_every_code_and_every_gate_has_advice() -> None:
    assert set(CODE_ADVICE) == set(CODES)
    source = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "controller").glob("*gates.py"))
    source += (ROOT / "controller" / "supervisor" / "switch_gates.py").read_text(encoding="utf-8")
    gates = set(re.findall(r'GateResult\(\s*"([a-z]+)"', source))
    assert gates
    assert gates == set(GATE_ADVICE)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_command_on_a_page_exists_with_its_options(page: Path) -> None:
    for words in commands_of(page):
        command: click.Command = cli
        context = click.Context(cli, info_name="bcm-failover")
        for word in words:
            if isinstance(command, click.Group):
                found = command.get_command(context, word)
                assert found is not None, f"{page.name}: no command {word!r} in {' '.join(words)}"
                command, context = found, click.Context(found, info_name=word, parent=context)
        options = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        given = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
        assert given <= options, f"{page.name}: {' '.join(words)}: {given - options}"


@pytest.mark.parametrize(
    "systemctl",
    [
        "start",
        "stop",
        "stop --no-block",
        "kill --signal=SIGQUIT",
        "mask --runtime",
        "unmask --runtime",
    ],
)
def test_the_sudoers_lines_allow_what_is_run(systemctl: str) -> None:
    """Equal signs are escaped in sudoers."""
    argv = ["systemctl", *systemctl.split(), "postgresql@15-main.service"]
    sudo, _n, _u, root, _dashes, env, *rest = as_user(argv, "root", server._ENV)
    assert (sudo, root, env) == ("sudo", "root", "env")
    page = (ROOT / "docs" / "operations" / "install.md").read_text(encoding="utf-8")
    allowed = {line.strip().rstrip("\\").rstrip(", ") for line in page.splitlines()}
    assert f"/usr/bin/env {' '.join(rest)}".replace("=", "\\=") in allowed


@pytest.mark.skipif(shutil.which("visudo") is None, reason="sudo is not installed")
def test_the_sudoers_lines_are_accepted(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operations" / "install.md").read_text(encoding="utf-8")
    (block,) = [b for b in re.findall(r"```\w*\n(.*?)```", page, re.DOTALL) if "NOPASSWD" in b]
    file = tmp_path / "sudoers"
    file.write_text(block)
    done = subprocess.run(["visudo", "-cf", file], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_of_the_service_manager_is_in_the_table_above() -> None:
    source = Path(server.__file__).read_text(encoding="utf-8")
    used = {" ".join(m.split('", "')) for m in re.findall(r'\["systemctl", "([^\]]*?)", \w', source)}
    marks = test_the_sudoers_lines_allow_what_is_run.pytestmark
    assert used == set(marks[0].args[1])


def test_the_newcomers_page_leads_to_every_page_for_operators() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [p.name for p in PAGES if f"](docs/operations/{p.name})" not in readme] == []


@pytest.mark.parametrize("page", LINKED, ids=lambda p: p.stem)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        assert other.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, f"{page.name}: {target}"
