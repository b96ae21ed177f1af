"""The package works as a wheel, outside of the checkout: nothing is read that is not in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    [path] = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A virtual environment with the wheel; dependencies come from the tests' own environment, by a path
    that does not bring its editable installation of this package along."""
    base = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(base)], check=True, timeout=60)
    pip = [sys.executable, "-m", "pip", "--python", str(base / "bin" / "python")]
    install = [*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=60)
    [site] = base.glob("lib/python3*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n", encoding="utf-8")
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(base / "bin" / args[0]), *args[1:]],
            capture_output=True,
            text=True,
            cwd=elsewhere,
            timeout=60,
            check=False,
            env={"PATH": os.defpath, "PYTHONSAFEPATH": "1", "LC_ALL": "C.UTF-8"},
        )

    return run


def test_the_command_runs_from_the_wheel_and_not_from_the_checkout(installed: Run) -> None:
    where = installed("python", "-c", "import controller; print(controller.__file__)")
    assert str(ROOT) not in where.stdout
    assert installed("bcm-failover", "--version").stdout.strip().endswith("0.1.0")


def test_the_starter_file_of_the_wheel_passes_its_own_check(installed: Run, tmp_path: Path) -> None:
    estate = tmp_path / "estate.yaml"
    starter = installed("bcm-failover", "init", "-")
    assert starter.returncode == 0, starter.stderr
    estate.write_text(starter.stdout, encoding="utf-8")
    checked = installed("bcm-failover", "check", str(estate))
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_runbooks_probes_and_actions_are_found(installed: Run) -> None:
    listed = installed("bcm-failover", "runbook", "list", "-o", "json")
    assert "postgresql-failover" in json.dumps(json.loads(listed.stdout))
    probes = installed("bcm-failover", "probe", "list", "-o", "json")
    assert "postgresql-canary" in json.dumps(json.loads(probes.stdout))
    linted = installed("bcm-failover", "runbook", "lint", "postgresql-failover")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_wheel_holds_the_rooms_the_unit_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {n.split("/")[0] for n in names if not n.startswith("bcm_failover")} == {
        "config",
        "controller",
        "model",
        "probes",
        "runbooks",
    }
    assert any(n.endswith("share/bcm-failover/systemd/bcm-failover.service") for n in names)
