"""Probe type `heartbeat`: silence is the failure, and a fresh start is no silence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.heartbeats import HeartbeatBox
from model.observation import Failure, Outcome
from probes.base import Reading
from probes.heartbeat import HeartbeatOptions, HeartbeatProbe, heartbeat_name
from probes.scheduler import Scheduler
from tests.scripted_probe import BALANCED, ports
from tests.virtual_clock import VirtualClock

OPTIONS = HeartbeatOptions.model_validate({"within": "10m"})


class Stage:
    def __init__(self, options: HeartbeatOptions = OPTIONS) -> None:
        self.clock = VirtualClock()
        self.box = HeartbeatBox(self.clock, ["nightly"])
        self.probe = HeartbeatProbe("probe/nightly", options, replace(ports(self.clock), heartbeats=self.box))

    async def read(self) -> Reading:
        return await self.probe.check()


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_never_pushed_is_unknown_until_the_time_has_passed_and_then_silent(stage: Stage) -> None:
    assert (await stage.read()).outcome is Outcome.UNKNOWN
    await stage.clock.advance(600.0)
    assert (await stage.read()).outcome is Outcome.UNKNOWN
    await stage.clock.advance(0.1)
    reading = await stage.read()
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.SILENT)


async def test_a_push_is_good_until_it_is_too_old(stage: Stage) -> None:
    stage.box.push("nightly", "ok")
    await stage.clock.advance(599.0)
    reading = await stage.read()
    assert reading.outcome is Outcome.SUCCEEDED
    assert reading.facts == {"age_ms": 599_000, "status": "ok"}
    await stage.clock.advance(2.0)
    reading = await stage.read()
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.SILENT)
    assert "601 s old; 10m" in reading.detail
    stage.box.push("nightly", "ok")
    assert (await stage.read()).outcome is Outcome.SUCCEEDED


@pytest.mark.parametrize(
    ("status", "outcome", "failure"),
    [
        ("fail", Outcome.FAILED, Failure.BAD_ANSWER),
        ("CRITICAL", Outcome.FAILED, Failure.BAD_ANSWER),
        ("unknown", Outcome.UNKNOWN, None),
        ("warning", Outcome.SUCCEEDED, None),
        ("42 rows copied", Outcome.SUCCEEDED, None),
    ],
)
async def test_what_a_push_says_counts(
    stage: Stage, status: str, outcome: Outcome, failure: Failure | None
) -> None:
    stage.box.push("nightly", status)
    reading = await stage.read()
    assert (reading.outcome, reading.failure) == (outcome, failure)
    assert reading.facts["status"] == status


async def test_a_failing_push_that_is_too_old_is_silence(stage: Stage) -> None:
    stage.box.push("nightly", "fail")
    await stage.clock.advance(601.0)
    assert (await stage.read()).failure is Failure.SILENT


async def test_a_name_of_its_own_is_looked_for() -> None:
    options = HeartbeatOptions.model_validate({"within": "10m", "name": "nightly"})
    assert heartbeat_name("probe/other", options) == "nightly"
    assert heartbeat_name("probe/other", OPTIONS) == "other"
    stage = Stage(options)
    stage.box.push("nightly", "ok")
    assert (await stage.read()).outcome is Outcome.SUCCEEDED


async def test_where_nothing_can_be_pushed_it_is_unknown() -> None:
    reading = await HeartbeatProbe("probe/nightly", OPTIONS, ports(VirtualClock())).check()
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL)


async def test_under_the_scheduler_silence_is_told_as_such(stage: Stage) -> None:
    seen: list[Outcome] = []
    scheduler = Scheduler(stage.clock, "ops1", lambda observation: seen.append(observation.outcome))
    scheduler.add("probe/nightly", stage.probe, BALANCED, 60.0)
    await stage.clock.advance(700.0)
    await stage.clock.finish(scheduler.aclose())
    assert seen[0] is Outcome.UNKNOWN
    assert seen[-1] is Outcome.FAILED


@pytest.mark.parametrize(
    "options",
    [{}, {"within": "0s"}, {"within": 30}, {"within": "1m", "name": "a/b"}, {"within": "1m", "x": 1}],
)
def test_options_that_can_not_be_right_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        HeartbeatOptions.model_validate(options)
