"""What is watched, and whether this host can be believed (S6)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from supervisor_bench import SERVICE, estate

from controller.observer import ObserverHealth
from controller.supervisor.probing import ProbeFactory
from controller.views import CANARY, PG
from controller.watching import Watching
from model.health import PROFILES, Profile
from model.observation import Failure, Observation, Outcome


class RecordingScheduler:
    """Keeps what is watched, as the scheduler does; probes nothing."""

    def __init__(self) -> None:
        self.watched: dict[tuple[str, str], tuple[Profile, float | None]] = {}
        self.suspected: list[str] = []

    def add(self, target: str, probe: Any, profile: Profile, interval_s: float | None = None) -> None:
        key = (target, probe.type)
        assert key not in self.watched
        self.watched[key] = (profile, interval_s)

    async def remove(self, target: str, type_: str) -> None:
        self.watched.pop((target, type_), None)

    def suspect(self, target: str, type_: str | None = None) -> None:
        self.suspected.append(target)

    def canaries(self) -> list[str]:
        return [target for target, type_ in self.watched if type_ == CANARY]


class Watched:
    def __init__(self, state_dir: Path) -> None:
        self.scheduler = RecordingScheduler()
        self.estate = estate(state_dir)
        self.service = self.estate.services[SERVICE]
        factory = ProbeFactory(self.estate, None, None)  # type: ignore[arg-type]
        self.watching = Watching(self.scheduler, factory, {})  # type: ignore[arg-type]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


async def test_every_member_is_watched_and_the_canary_is_on_the_primary_alone(watched: Watched) -> None:
    watched.watching.watch_service(watched.service)
    assert list(watched.scheduler.watched) == [(f"orders/{m}", PG) for m in ("pg1", "pg2", "pg3")]
    for primary in ("pg1", "pg1", "pg2"):
        await watched.watching.watch_primary(watched.service, primary)
        assert watched.scheduler.canaries() == [f"orders/{primary}"]
    # It is looked at when it becomes the primary, not half a second later.
    assert watched.scheduler.suspected == ["orders/pg1", "orders/pg2"]
    _profile, interval_s = watched.scheduler.watched["orders/pg2", CANARY]
    assert interval_s == watched.service.detection.canary_interval_s
    await watched.watching.watch_primary(watched.service, None)
    assert watched.scheduler.canaries() == []


async def test_a_primary_that_is_no_member_gets_no_canary(watched: Watched) -> None:
    await watched.watching.watch_primary(watched.service, "gone")
    assert watched.scheduler.canaries() == []


async def test_a_service_that_is_taken_away_leaves_no_probe_behind(watched: Watched) -> None:
    watched.watching.watch_service(watched.service)
    await watched.watching.watch_primary(watched.service, "pg1")
    await watched.watching.unwatch_service(watched.service)
    assert watched.scheduler.watched == {}
    watched.watching.watch_service(watched.service)
    await watched.watching.watch_primary(watched.service, "pg1")
    assert len(watched.scheduler.watched) == 4


# --- the observer

TARGETS = ("10.0.0.1:53", "10.0.0.2:53")


def seen(target: str, at_s: float, failure: Failure | None = None) -> Observation:
    outcome = Outcome.SUCCEEDED if failure is None else Outcome.FAILED
    return Observation(f"reference/{target}", "tcp", "test", outcome, at_s - 0.1, at_s, at_s, failure)


def test_without_reference_targets_nothing_is_known_of_the_own_network() -> None:
    assert ObserverHealth(()).judge(1.0)[0] is None


def test_before_anything_was_seen_the_observer_is_not_sane() -> None:
    assert ObserverHealth(TARGETS).judge(1.0)[0] is False


@pytest.mark.parametrize("failure", [None, Failure.REFUSED])
def test_one_target_that_answers_is_enough_and_a_refusal_is_an_answer(failure: Failure | None) -> None:
    observer = ObserverHealth(TARGETS)
    observer.observe(seen(TARGETS[0], 1.0, failure))
    observer.observe(seen(TARGETS[1], 1.0, Failure.SILENT))
    assert observer.judge(1.1)[0] is True


def test_when_no_target_answers_the_trouble_may_be_here(tmp_path: Path) -> None:
    observer = ObserverHealth(TARGETS)
    for target in TARGETS:
        observer.observe(seen(target, 1.0))
        observer.observe(seen(target, 3.0, Failure.SILENT))
    sane, why = observer.judge(3.1)
    assert sane is False
    assert "10.0.0.1:53" in why


@pytest.mark.parametrize("failure", [None, Failure.REFUSED])
def test_an_answer_that_is_too_old_says_nothing(failure: Failure | None) -> None:
    profile = PROFILES["fast"]
    observer = ObserverHealth(TARGETS, profile)
    observer.observe(seen(TARGETS[0], 1.0, failure))
    assert observer.judge(0.99 + profile.stale_s)[0] is True
    assert observer.judge(1.01 + profile.stale_s)[0] is False
