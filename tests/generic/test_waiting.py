"""wait.until believes only what was looked at after it began."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from model.execution import ExecutionState, StepState
from model.health import Health
from model.ports import Sighting
from tests.generic_bench import GenericBench, step


class Watched:
    """What is seen of one target, as a test says it."""

    def __init__(self, bench: GenericBench, target: str = "probe/web") -> None:
        self._target, self._clock = target, bench.clock
        self.now: Sighting | None = Sighting(Health.UP, bench.clock.monotonic_s(), "answers")
        bench.ports = replace(bench.ports, sighting=lambda wanted: self.now if wanted == target else None)

    def see(self, health: Health) -> None:
        self.now = Sighting(health, self._clock.monotonic_s(), f"seen {health.value}")


def wait(timeout: str = "10s", **options: Any) -> list[dict[str, Any]]:
    return [step("wait.until", timeout=timeout, with_={"probe": "web", **options})]


async def test_what_was_seen_before_it_began_does_not_count(bench: GenericBench) -> None:
    watched = Watched(bench)
    running = asyncio.ensure_future(bench.run(wait()))
    while not bench.intents("act"):
        await asyncio.sleep(0.001)
    assert not running.done()
    await asyncio.sleep(0)
    watched.see(Health.UP)
    result = await running
    assert result.state is ExecutionState.SUCCEEDED
    assert result.outputs["act"]["health"] == "up"


async def test_it_waits_for_what_it_is_to_become(bench: GenericBench) -> None:
    watched = Watched(bench)
    running = asyncio.ensure_future(bench.run(wait(becomes="down")))
    for health in (Health.UP, Health.SUSPECT, Health.UNKNOWN, Health.DOWN):
        assert not running.done()
        watched.see(health)
        await asyncio.sleep(0.06)
    assert (await running).outputs["act"]["health"] == "down"


@pytest.mark.parametrize(
    ("health", "outcome"),
    [
        (Health.DOWN, StepState.FAILED),
        (Health.SUSPECT, StepState.FAILED),
        (Health.UNKNOWN, StepState.UNKNOWN),
        (None, StepState.UNKNOWN),
    ],
)
async def test_at_the_end_of_the_time_unknown_is_not_down(
    bench: GenericBench, health: Health | None, outcome: StepState
) -> None:
    watched = Watched(bench)
    running = asyncio.ensure_future(bench.run(wait("200ms")))
    while not bench.intents("act"):
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01)
    if health is not None:
        watched.see(health)
    await running
    assert bench.outcome("act") is outcome


async def test_it_must_stay_so_as_long_as_is_asked(bench: GenericBench) -> None:
    watched = Watched(bench)
    running = asyncio.ensure_future(bench.run(wait(stays="300ms")))
    while not bench.intents("act"):
        await asyncio.sleep(0.001)
    for health in (Health.UP, Health.DOWN, Health.UP):
        await asyncio.sleep(0.1)
        assert not running.done()
        watched.see(health)
    result = await running
    assert result.outputs["act"]["waited_ms"] >= 500


async def test_what_nobody_watches_fails_at_once(bench: GenericBench) -> None:
    Watched(bench)
    await bench.run([step("wait.until", with_={"probe": "other"})])
    assert "nobody watches probe/other" in bench.last_result("act")["detail"]
    await bench.run([step("wait.until", with_={"member": "nobody"})])
    assert "has no member 'nobody'" in bench.last_result("act")["detail"]


async def test_the_plan_says_how_it_is_now(bench: GenericBench) -> None:
    Watched(bench)
    [row] = (await bench.plan(wait())).rows
    assert row.commands == ("until probe/web is up",)
    assert row.prechecks[0].result == "up: answers"
