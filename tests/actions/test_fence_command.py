"""fence.command: what the command that looks says, counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from model.execution import Effect, StepState
from runbooks.actions.base import Action
from tests.action_stand import ActionStand, pool_estate


@pytest.fixture
async def stand() -> AsyncIterator[ActionStand]:
    async with ActionStand(pool_estate()) as made:
        yield made


def fence(command: list[str], effect: list[str]) -> Action:
    return ActionStand.action("fence.command", command=command, effect=effect)


async def test_a_fence_that_is_seen_to_hold_succeeds(tmp_path: Path, stand: ActionStand) -> None:
    mark = str(tmp_path / "off")
    action = fence(["/usr/bin/touch", mark], ["/usr/bin/test", "-e", mark])
    assert (await stand.check(action)).effect is Effect.NOT_DONE
    await stand.ok(action)
    assert (await stand.check(action)).effect is Effect.DONE


async def test_success_without_an_effect_is_no_fence(stand: ActionStand) -> None:
    assert (await stand.run(fence(["/bin/true"], ["/bin/false"]))).outcome is StepState.FAILED


async def test_a_failure_with_the_effect_there_is_a_fence(tmp_path: Path, stand: ActionStand) -> None:
    mark = str(tmp_path / "off")
    command = ["/bin/sh", "-c", f"touch {mark}; exit 9"]
    assert (await stand.run(fence(command, ["/usr/bin/test", "-e", mark]))).outcome is StepState.SUCCEEDED


async def test_an_effect_that_can_not_be_seen_is_unknown(stand: ActionStand) -> None:
    blind = ["/bin/sh", "-c", "exit 3"]
    assert (await stand.run(fence(["/bin/true"], blind))).outcome is StepState.UNKNOWN
    assert (await stand.run(fence(["/bin/false"], blind))).outcome is StepState.UNKNOWN


def test_without_a_look_at_the_effect_there_is_no_fence() -> None:
    with pytest.raises(ValidationError):
        ActionStand.action("fence.command", command=["/bin/true"])
