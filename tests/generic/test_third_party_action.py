"""An action of somebody else's, from its own wheel: built, installed, listed, run, and resumed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "third-party-action"

RUN = """
import asyncio, sys
from pathlib import Path
from tests.generic_bench import GenericBench, at_once, step, succeeded

FAILS = step("exec.run", "fails", with_={"command": ["/bin/false"], "changes": False}, on_failure="undo")

async def main():
    root = Path(sys.argv[1])
    file = root / "maintenance"
    options = {"member": "web1", "file": str(file)}
    bench = GenericBench(root)
    await bench.dies_before_the_result(at_once("maintenance.on", **options))
    assert file.exists()
    succeeded(await bench.resume())
    assert bench.intents("act") == 1
    result = await bench.run([step("maintenance.on", with_=options, undo=True, on_failure="undo"), FAILS])
    assert result.state == "undone", result
    assert not file.exists()
    await bench.close()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of a process that finds the example's distribution, installed beside ours."""
    built, target = tmp_path_factory.mktemp("wheel"), tmp_path_factory.mktemp("site")
    build = ["-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check", "--outdir", str(built)]
    _python(*build, str(EXAMPLE))
    (wheel,) = built.glob("*.whl")
    pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"]
    _python(*pip, "--target", str(target), str(wheel))
    return os.environ | {"PYTHONPATH": str(target)}


def _python(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, timeout=60, cwd=ROOT, env=env
    )
    return done.stdout


@pytest.mark.slow
def test_it_is_found_told_of_and_run(installed: Mapping[str, str], tmp_path: Path) -> None:
    listed = _python("-m", "controller.cli.main", "action", "list", env=installed)
    assert "(from bcm-failover-maintenance)" in listed
    shown = _python("-m", "controller.cli.main", "action", "show", "maintenance.on", env=installed)
    assert "While this file is there, the page is shown." in shown
    _python("-c", RUN, str(tmp_path), env=installed)
