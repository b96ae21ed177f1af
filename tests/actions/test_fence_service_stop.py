"""fence.service_stop against a real systemd: the manager of an account, which answers the same systemctl."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from controller.adapters.local import LocalAccess
from model.errors import NodeAccessError
from model.execution import Effect, StepState
from runbooks.actions.base import Action
from tests.action_stand import ActionStand, pool_estate
from tests.user_manager import UserManager, running_user_manager


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UserManager]:
    with running_user_manager(tmp_path_factory.mktemp("um"), LocalAccess("n-a")) as running:
        yield running


@pytest.fixture
async def stand(manager: UserManager) -> AsyncIterator[ActionStand]:
    async with ActionStand(pool_estate()) as made:
        made.ctx.ports = replace(made.ctx.ports, node=lambda _name: manager)
        yield made


def unit(manager: UserManager, name: str, text: str) -> None:
    """Started."""
    manager.add(f"{name}.service", f"[Service]\n{text}\n")
    manager.systemctl("daemon-reload")
    manager.systemctl("start", f"{name}.service")


def stop(name: str, **more: Any) -> Action:
    return ActionStand.action(
        "fence.service_stop", member="a", unit=f"{name}.service", manager="user", **more
    )


def is_active(manager: UserManager, name: str) -> bool:
    try:
        manager.systemctl("is-active", f"{name}.service")
    except Exception:
        return False
    return True


async def test_a_unit_is_stopped_and_nobody_starts_it_again(manager: UserManager, stand: ActionStand) -> None:
    unit(manager, "db", "ExecStart=sleep 600\nRestart=always\nRestartSec=0")
    fence = stop("db")
    assert (await stand.check(fence)).effect is Effect.NOT_DONE
    result = await stand.ok(fence, 10)
    assert result.output["was"] == "active"
    assert (await stand.check(fence)).effect is Effect.DONE
    manager.systemctl("start", "db.service", check=False)
    assert not is_active(manager, "db")
    assert (await stand.undo(fence, result, 10)).outcome is StepState.SUCCEEDED
    assert is_active(manager, "db")


async def test_a_unit_that_does_not_want_to_stop_is_killed(manager: UserManager, stand: ActionStand) -> None:
    unit(
        manager, "deaf", "ExecStart=/bin/sh -c 'trap : TERM; while :; do sleep 600; done'\nTimeoutStopSec=60"
    )
    await stand.ok(stop("deaf", grace="1s"), 15)
    assert not is_active(manager, "deaf")


async def test_processes_that_a_stop_leaves_are_killed_too(manager: UserManager, stand: ActionStand) -> None:
    """systemd calls it stopped, and its workers could go on acknowledging."""
    unit(manager, "kept", "ExecStart=/bin/sh -c 'sleep 601 & exec sleep 602'\nKillMode=process")
    manager.systemctl("stop", "kept.service")
    manager.systemctl("mask", "--runtime", "kept.service")
    manager.systemctl("daemon-reload")
    left = await stand.check(stop("kept"))
    assert (left.effect, "1 of its processes" in left.detail) == (Effect.NOT_DONE, True)
    await stand.ok(stop("kept"), 10)


async def test_a_unit_that_did_not_run_is_not_started_when_it_is_taken_back(
    manager: UserManager, stand: ActionStand
) -> None:
    unit(manager, "idle", "ExecStart=sleep 600")
    manager.systemctl("stop", "idle.service")
    fence = stop("idle")
    result = await stand.ok(fence, 10)
    assert (await stand.undo(fence, result, 10)).outcome is StepState.SUCCEEDED
    assert not is_active(manager, "idle")


async def test_a_unit_that_is_not_there_fences_nothing(stand: ActionStand) -> None:
    result = await stand.run(stop("no-such-unit"))
    assert result.outcome is StepState.UNKNOWN


async def test_a_node_that_can_not_be_reached_leaves_it_unknown(stand: ActionStand) -> None:
    def gone(name: str) -> Any:
        raise NodeAccessError("no route to host", where=name)

    stand.ctx.ports = replace(stand.ctx.ports, node=gone)
    assert (await stand.run(stop("db"))).outcome is StepState.UNKNOWN
    assert (await stand.check(stop("db"))).effect is Effect.UNKNOWN
