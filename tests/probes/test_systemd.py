"""Probe type `systemd` against a real service manager, and against recorded words of one."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.local import LocalAccess
from controller.adapters.secrets import SecretStore
from controller.adapters.ssh import SshAccess
from model.observation import Failure, Outcome
from model.ports import NodeAccess
from probes.base import Reading
from probes.systemd import SystemdOptions, SystemdProbe
from tests.bad_servers import LOOPBACK, nobody
from tests.scripted_probe import ports
from tests.ssh_server import running_sshd
from tests.user_manager import UserManager, running_user_manager
from tests.virtual_clock import RealClock

SOON_S = 10.0
UNITS = {
    "sleeper.service": "[Service]\nExecStart=/bin/sleep 1000\n",
    "crashes.service": "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'exit 7'\n",
    "again.service": "[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=1000\n",
    "slow.service": "[Service]\nType=oneshot\nExecStart=/bin/sleep 1000\n",
    "stopping.service": "[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 1000\n",
    "never.service": "[Service]\nExecStart=/bin/sleep 1000\n",
}


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserManager]:
    with running_user_manager(tmp_path_factory.mktemp("systemd"), LocalAccess("db1")) as running:
        for name, text in UNITS.items():
            running.add(name, text)
        running.systemctl("daemon-reload")
        for name in ("sleeper", "stopping", "again"):
            running.systemctl("start", name)
        running.systemctl("start", "crashes", check=False)
        running.systemctl("start", "--no-block", "slow")
        running.systemctl("stop", "--no-block", "stopping")
        yield running


async def read(node: NodeAccess | None, unit: str, **options: Any) -> Reading:
    given = SystemdOptions.model_validate({"unit": unit, **options})
    probe = SystemdProbe("probe/u", given, replace(ports(RealClock()), node=node))
    return await asyncio.wait_for(probe.check(), SOON_S)


async def settled(manager: UserManager, unit: str, sub_state: str, **options: Any) -> Reading:
    """The reading, once the manager has got there."""
    deadline_s = time.monotonic() + SOON_S
    while True:
        reading = await read(manager, unit, manager="user", **options)
        if reading.facts.get("sub_state") == sub_state:
            return reading
        assert time.monotonic() < deadline_s, reading
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("unit", "sub_state", "expect", "seen"),
    [
        ("sleeper.service", "running", "active", (Outcome.SUCCEEDED, None)),
        ("sleeper", "running", "active", (Outcome.SUCCEEDED, None)),
        ("sleeper.service", "running", "inactive", (Outcome.FAILED, Failure.BAD_ANSWER)),
        ("crashes.service", "failed", "active", (Outcome.FAILED, Failure.REFUSED)),
        ("crashes.service", "failed", "inactive", (Outcome.FAILED, Failure.REFUSED)),
        ("again.service", "auto-restart", "active", (Outcome.FAILED, Failure.STARTING)),
        ("slow.service", "start", "active", (Outcome.FAILED, Failure.STARTING)),
        ("stopping.service", "stop", "active", (Outcome.FAILED, Failure.STOPPING)),
        ("never.service", "dead", "active", (Outcome.FAILED, Failure.REFUSED)),
        ("never.service", "dead", "inactive", (Outcome.SUCCEEDED, None)),
        ("basic.target", "active", "active", (Outcome.SUCCEEDED, None)),
    ],
)
async def test_what_a_real_manager_says(
    manager: UserManager, unit: str, sub_state: str, expect: str, seen: tuple[Outcome, Failure | None]
) -> None:
    reading = await settled(manager, unit, sub_state, expect=expect)
    assert (reading.outcome, reading.failure) == seen
    assert unit in reading.detail


async def test_facts_and_texts_tell_how_a_unit_failed(manager: UserManager) -> None:
    reading = await settled(manager, "crashes.service", "failed")
    assert reading.facts == {
        "load_state": "loaded", "active_state": "failed", "sub_state": "failed", "result": "exit-code",
        "restarts": 0, "exit_status": 7,
    }  # fmt: skip
    assert "exit-code, exit status 7" in reading.detail


async def test_a_unit_that_is_not_there_does_not_run(manager: UserManager) -> None:
    reading = await read(manager, "no-such.service", manager="user")
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.REFUSED)
    assert "there is no unit no-such.service" in reading.detail


async def test_a_service_that_is_killed_is_seen_as_failed(manager: UserManager) -> None:
    manager.add("victim.service", UNITS["sleeper.service"])
    manager.systemctl("daemon-reload")
    manager.systemctl("start", "victim")
    assert (await settled(manager, "victim", "running")).outcome is Outcome.SUCCEEDED
    manager.systemctl("kill", "--signal=KILL", "victim")
    reading = await settled(manager, "victim", "failed")
    assert reading.facts["result"] == "signal"
    assert reading.failure is Failure.REFUSED


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[[str], NodeAccess]:
    """A node whose systemctl says what a real one was heard to say, for what can't be made to happen here."""

    class Node(LocalAccess):
        async def run(self, argv: Any, **kwargs: Any) -> Any:
            env = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
            return await super().run([str(tmp_path / argv[0]), *argv[1:]], **{**kwargs, "env": env})

    def says(script: str) -> NodeAccess:
        file = tmp_path / "systemctl"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return Node("db1")

    return says


@pytest.mark.parametrize(
    ("state", "outcome", "failure"),
    [
        ("reloading", Outcome.SUCCEEDED, None),
        ("maintenance", Outcome.FAILED, Failure.BAD_ANSWER),
    ],
)
async def test_rare_states(
    recorded: Callable[[str], NodeAccess], state: str, outcome: Outcome, failure: Failure | None
) -> None:
    reading = await read(
        recorded(f"printf 'LoadState=loaded\\nActiveState={state}\\nSubState=x\\n'"), "a.service"
    )
    assert (reading.outcome, reading.failure) == (outcome, failure)


async def test_the_system_manager_is_asked_for_one_unit_and_its_name_is_one_word(
    recorded: Callable[[str], NodeAccess],
) -> None:
    reading = await read(recorded('echo ActiveState=inactive; echo "SubState=$#: $*"'), "a@1.service")
    assert reading.facts["sub_state"].startswith("6: show --no-pager -p ")
    assert reading.facts["sub_state"].endswith(" -- a@1.service")


@pytest.mark.parametrize(
    "script",
    [
        "echo 'System has not been booted with systemd as init system (PID 1).' >&2; exit 1",
        "echo LoadState=loaded",
        "exec sleep 0; exit 0",
    ],
)
async def test_a_manager_that_does_not_answer_is_unknown(
    recorded: Callable[[str], NodeAccess], script: str
) -> None:
    reading = await read(recorded(script), "a.service")
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, None)


async def test_a_node_that_can_not_be_reached_is_unknown_and_never_down(tmp_path: Path) -> None:
    missing = await read(None, "a.service")
    assert (missing.outcome, missing.failure) == (Outcome.UNKNOWN, Failure.LOCAL)
    with running_sshd(tmp_path) as server:
        async with nobody() as port:
            node = SshAccess("db1", LOOPBACK, server.settings(port=port), SecretStore())
            reading = await read(node, "a.service")
            await node.aclose()
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, None)
    assert "db1" in reading.detail


async def test_a_cancelled_attempt_ends_the_command(
    recorded: Callable[[str], NodeAccess], tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    node = recorded(f"echo $$ > {pid}.new; mv {pid}.new {pid}; exec sleep 1000")
    attempt = asyncio.create_task(read(node, "a.service"))
    deadline_s = time.monotonic() + SOON_S
    while not pid.exists():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)
    attempt.cancel()
    await asyncio.wait([attempt], timeout=1.0)
    assert attempt.cancelled()
    while Path(f"/proc/{pid.read_text().strip()}").exists():
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("unit", ["", "-H evil", "a b", "a*", "a;b", "a/b"])
def test_what_is_no_unit_name_is_refused(unit: str) -> None:
    with pytest.raises(ValueError, match="not the name of a unit"):
        SystemdOptions(unit=unit)
