"""The service unit, judged by systemd's own tools."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNIT = SYSTEMD / "bcm-failover.service"
DROP_IN = SYSTEMD / "local-access.conf"

analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (package systemd)"
)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The unit with a program that exists: `verify` wants to see one."""
    text = UNIT.read_text().replace("/opt/bcm-failover/bin/bcm-failover", sys.executable)
    unit = tmp_path / UNIT.name
    unit.write_text(text)
    return unit


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def exposure(unit: Path) -> float:
    done = run("security", "--offline=true", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    return float(found[1])


@analyze
def test_systemd_finds_nothing_wrong_with_the_unit(installed: Path) -> None:
    done = run("verify", "--man=no", str(installed))
    assert (done.returncode, done.stderr) == (0, "")


@analyze
def test_the_unit_is_hardened(installed: Path) -> None:
    assert exposure(installed) <= 2.5


@analyze
def test_the_unit_with_the_drop_in_for_local_access_is_valid(installed: Path) -> None:
    drop_ins = installed.parent / f"{installed.name}.d"
    drop_ins.mkdir()
    shutil.copy(DROP_IN, drop_ins)
    done = run("verify", "--man=no", str(installed))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("Service", "Type", "notify"),
        ("Service", "User", "bcm-failover"),
        ("Service", "ExecReload", "/bin/kill -HUP $MAINPID"),
        ("Service", "AmbientCapabilities", "CAP_NET_RAW"),
        ("Service", "CapabilityBoundingSet", "CAP_NET_RAW"),
        ("Service", "StateDirectory", "bcm-failover"),
        ("Service", "RuntimeDirectory", "bcm-failover"),
    ],
)
def test_what_the_daemon_relies_on_is_in_the_unit(section: str, key: str, value: str) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT)
    assert unit[section][key] == value


def test_the_watchdog_is_slower_than_the_daemons_own_limit_and_python_is_kept_safe() -> None:
    text = UNIT.read_text()
    assert int(re.findall(r"^WatchdogSec=(\d+)$", text, re.MULTILINE)[0]) > 10
    assert "PYTHONSAFEPATH=1" in text


def test_the_clock_can_be_read_in_the_sandbox() -> None:
    """The journal records what NTP says of it; ProtectClock=yes would forbid the reading too."""
    text = UNIT.read_text()
    assert not re.search(r"^ProtectClock=yes", text, re.MULTILINE)
    assert "CAP_SYS_TIME" not in "".join(re.findall(r"^(?:Ambient|Capability)\S+=.*$", text, re.MULTILINE))
    assert re.search(r"^SystemCallFilter=@chown adjtimex clock_adjtime$", text, re.MULTILINE)
