"""A process in trouble is no observer, whatever its reference targets say; declared ones count as well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from config.probes import ProbeEntry
from controller.observer import ObserverHealth
from model.observation import Failure, Observation, Outcome
from probes.awareness import MOST, UNFIT_FROM, Awareness

TARGET = "10.0.0.1:53"


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with capture_logs():
        yield


def seen(target: str, at_s: float, failure: Failure | None = None) -> Observation:
    outcome = Outcome.SUCCEEDED if failure is None else Outcome.FAILED
    return Observation(target, "tcp", "test", outcome, at_s - 0.1, at_s, at_s, failure)


def late(awareness: Awareness, rounds: int) -> None:
    for _ in range(rounds):
        awareness.end_round(1.0, 0.9, awaited=False)


def test_a_process_in_trouble_is_not_sane_though_its_reference_targets_answer() -> None:
    awareness = Awareness()
    observer = ObserverHealth((TARGET,), awareness=awareness)
    observer.observe(seen(f"reference/{TARGET}", 1.0))
    late(awareness, UNFIT_FROM - 1)
    assert observer.judge(1.1) == (True, "own network works")
    late(awareness, 1)
    sane, why = observer.judge(1.1)
    assert sane is False
    assert why == f"this process is in trouble itself, 3 of {MOST}: this process was late by 0.9 s of 1.0 s"
    assert observer.score == UNFIT_FROM
    awareness.end_round(1.0, 0.0, awaited=False)
    assert observer.judge(1.1)[0] is True


def test_it_is_not_sane_without_reference_targets_either() -> None:
    awareness = Awareness()
    observer = ObserverHealth((), awareness=awareness)
    assert observer.judge(1.0)[0] is None
    late(awareness, UNFIT_FROM)
    assert observer.judge(1.0)[0] is False


def test_declared_references_count_like_reference_targets_and_others_do_not() -> None:
    def entry(name: str, *, reference: bool) -> ProbeEntry:
        return ProbeEntry(name=name, type="tcp", reference=reference, interval="1s", timeout="1s")

    awareness = Awareness()
    declared = [entry("gw", reference=True), entry("web", reference=False)]
    observer = ObserverHealth((), declared=declared, awareness=awareness)
    assert awareness.references == {"probe/gw"}
    observer.observe(seen("probe/web", 1.0))
    assert observer.judge(1.1)[0] is False
    observer.observe(seen("probe/gw", 1.0))
    assert observer.judge(1.1)[0] is True
    observer.observe(seen("probe/gw", 2.0, Failure.SILENT))
    assert observer.judge(2.1)[0] is False
    observer.observe(seen("probe/gw", 3.0, Failure.REFUSED))
    assert observer.judge(3.1)[0] is True
    assert observer.judge(60.0)[0] is False  # stale
