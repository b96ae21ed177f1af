"""fence.agent with real programs of fence-agents: fence_ipmilan against a simulated management board, and
fence_dummy."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from model.execution import Effect, StepState
from runbooks.actions.base import Action
from runbooks.actions.fence.agent import Agent
from tests.action_stand import ActionStand, pool_estate
from tests.ipmi_board import PASSWORD, Board, running_board

DUMMY = Path("/usr/sbin/fence_dummy")


@pytest.fixture
async def stand() -> AsyncIterator[ActionStand]:
    async with ActionStand(pool_estate()) as made:
        yield made


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with running_board(tmp_path) as running:
        yield running


def ipmilan(board: Board, **more: Any) -> Action:
    secret = board.root / "password"
    secret.write_text(PASSWORD + "\n")
    secret.chmod(0o600)
    secrets = {"password": {"file": str(secret)}}
    return ActionStand.action(
        "fence.agent", agent="fence_ipmilan", parameters=board.parameters, secrets=secrets, **more
    )


def dummy(tmp_path: Path, **more: Any) -> Action:
    if not DUMMY.exists():
        pytest.skip("fence-agents are not installed (Debian: apt-get install fence-agents)")
    status = tmp_path / "status"
    if not status.exists():
        status.write_text("on")
    return ActionStand.action(
        "fence.agent", agent="fence_dummy", parameters={"status_file": str(status)}, **more
    )


def script(tmp_path: Path, text: str) -> Action:
    """An agent that behaves as its author likes, behind the same interface."""
    program = tmp_path / "fence_scripted"
    program.write_text(f"#!/bin/sh\ncd {tmp_path}\ninput=$(cat)\n{text}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return ActionStand.action("fence.agent", agent=str(program), parameters={"ip": "192.0.2.1"})


async def test_a_board_takes_the_power_from_its_host(board: Board, stand: ActionStand) -> None:
    off = ipmilan(board)
    assert (await stand.check(off)).effect is Effect.NOT_DONE
    result = await stand.ok(off, 20)
    assert (result.output["changed"], board.power) == (True, "0")
    assert board.host.wait(5) == -9
    assert (await stand.check(off)).effect is Effect.DONE
    again = await stand.ok(off)
    assert again.output["changed"] is False


async def test_a_board_that_lost_its_power_with_its_host_proves_nothing(
    board: Board, stand: ActionStand
) -> None:
    off = ipmilan(board)
    board.stop()
    assert (await stand.run(off, 1.5)).outcome is StepState.UNKNOWN
    assert (await stand.check(off, 0.5)).effect is Effect.UNKNOWN


async def test_the_password_is_seen_nowhere(board: Board, stand: ActionStand) -> None:
    (board.root / "wrong").write_text("not-the-password")
    wrong = {"password": {"file": str(board.root / "wrong")}}
    off = stand.action(
        "fence.agent", agent="fence_ipmilan", parameters={**board.parameters, "verbose": 1}, secrets=wrong
    )
    result = await stand.run(off, 20)
    assert result.outcome is StepState.UNKNOWN
    told = [result.detail, str(result.output), *off.describe(stand.ctx)]
    assert not any("not-the-password" in text for text in told)
    assert off.describe(stand.ctx)[0].endswith("password=***")


async def test_on_is_the_way_back_and_fences_nothing(tmp_path: Path, stand: ActionStand) -> None:
    await stand.ok(dummy(tmp_path))
    assert (tmp_path / "status").read_text() == "off"
    await stand.ok(dummy(tmp_path, operation="on"))
    assert (tmp_path / "status").read_text() == "on"
    assert Agent.fencing({})
    assert not Agent.fencing({"operation": "on"})


async def test_an_agent_that_says_success_and_did_nothing_has_not_fenced(
    tmp_path: Path, stand: ActionStand
) -> None:
    result = await stand.run(script(tmp_path, 'echo "Status: ON"; exit 0'))
    assert (result.outcome, "still on" in result.detail) == (StepState.FAILED, True)


async def test_an_agent_that_fails_and_turned_it_off_has_fenced(tmp_path: Path, stand: ActionStand) -> None:
    text = 'case "$input" in *action=off*) touch off; exit 1;; *) [ -e off ] && exit 2; exit 0;; esac'
    assert (await stand.ok(script(tmp_path, text))).output["status"] == "off"


async def test_an_agent_that_can_not_tell_leaves_it_unknown(tmp_path: Path, stand: ActionStand) -> None:
    result = await stand.run(script(tmp_path, "echo 'Unable to connect' >&2; exit 1"))
    assert (result.outcome, "Unable to connect" in result.detail) == (StepState.UNKNOWN, True)


async def test_an_agent_that_hangs_leaves_it_unknown(tmp_path: Path, stand: ActionStand) -> None:
    assert (await stand.run(script(tmp_path, "exec sleep 60"), 0.3)).outcome is StepState.UNKNOWN


async def test_an_agent_that_is_not_there_is_unknown_and_said(stand: ActionStand) -> None:
    missing = stand.action("fence.agent", agent="fence_no_such_thing")
    result = await stand.run(missing)
    assert (result.outcome, "No such file" in result.detail) == (StepState.UNKNOWN, True)
    [row] = await missing.precheck(stand.ctx)
    assert row.ok is None


@pytest.mark.parametrize(
    "options",
    [
        {"agent": "/bin/sh"},
        {"agent": "fence_x; reboot"},
        {"agent": "fence_x", "parameters": {"ip": "a\naction=on"}},
        {"agent": "fence_x", "parameters": {"action": "reboot"}},
        {"agent": "fence_x", "parameters": {"password": "in plain"}},
        {"agent": "fence_x", "parameters": {"ip\nx": "1"}},
        {"agent": "fence_x", "operation": "reboot"},
    ],
)
def test_what_may_not_be_told_to_an_agent(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ActionStand.action("fence.agent", **options)
