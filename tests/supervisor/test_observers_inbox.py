"""What another observer hands in reaches the services that it concerns, and only if it is declared."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from test_elsewhere import observed_by

from controller.arrivals import Batch
from controller.observers_inbox import ObserversInbox
from controller.supervisor.supervisor import Supervisor
from model.errors import UsageError
from model.observation import Observation, Outcome


class Supervised:
    def __init__(self) -> None:
        self.seen: list[Observation] = []
        self.said: list[tuple[Any, ...]] = []
        self.missed: list[str] = []

    def observe(self, seen: Observation) -> None:
        self.seen.append(seen)

    def observer_elsewhere(self, *said: Any) -> None:
        self.said.append(said)

    def missed_elsewhere(self, name: str) -> None:
        self.missed.append(name)


class Box:
    def __init__(self, state_dir: Path) -> None:
        self.now_s = 50.0
        self.services = {"orders": Supervised(), "billing": Supervised()}
        clock = cast("Any", SimpleNamespace(monotonic_s=lambda: self.now_s))
        self.inbox = ObserversInbox(clock, cast("dict[str, Supervisor]", self.services), self._concerned)
        self.inbox.configure(observed_by(state_dir))

    def _concerned(self, kind: str, rest: str) -> Iterable[Supervisor]:
        found = self.services.values() if kind == "node" else [self.services[kind]]
        return cast("Iterable[Supervisor]", found)

    def take(self, number: int, *targets: str, sane: bool | None = True, observer: str = "ops2") -> None:
        seen = tuple(Observation(t, "x", observer, Outcome.SUCCEEDED, 1.0, 2.0, 0.0) for t in targets)
        self.inbox.take(Batch(observer, "b", number, 2.0, sane, "why", seen))


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_each_service_gets_what_concerns_it_on_our_clock(box: Box) -> None:
    box.take(1, "orders/pg1", "node/db1")
    assert [o.target for o in box.services["orders"].seen] == ["orders/pg1", "node/db1"]
    assert [o.target for o in box.services["billing"].seen] == ["node/db1"]
    assert {o.ended_s for o in box.services["orders"].seen} == {50.0}


def test_every_service_is_told_that_something_was_lost(box: Box) -> None:
    """Of what it was about nobody knows."""
    box.take(1, "orders/pg1")
    box.take(2, "orders/pg1")
    assert box.services["billing"].missed == []
    box.take(4, "orders/pg1")
    assert [s.missed for s in box.services.values()] == [["ops2"], ["ops2"]]


def test_every_service_is_told_when_an_observer_falls_ill_and_not_every_time(box: Box) -> None:
    """Of ten thousand services a batch concerns few."""
    box.take(1, "orders/pg1")
    box.services["billing"].said.clear()
    box.take(2, "orders/pg1")
    assert box.services["billing"].said == []
    box.take(3, sane=False)
    assert box.services["billing"].said == [("ops2", False, "why", 50.0)]


def test_a_batch_that_was_here_before_is_seen_once(box: Box) -> None:
    box.take(1, "orders/pg1")
    box.take(1, "orders/pg1")
    assert len(box.services["orders"].seen) == 1


@pytest.mark.parametrize("observer", ["stranger", "ops1"])
def test_nobody_is_heard_who_is_no_other_observer(box: Box, observer: str) -> None:
    with pytest.raises(UsageError, match="no other observer"):
        box.take(1, "orders/pg1", observer=observer)
    assert box.services["orders"].seen == []


def test_after_a_reload_everybody_is_told_anew(box: Box, tmp_path: Path) -> None:
    box.take(1)
    box.services["billing"].said.clear()
    box.inbox.configure(observed_by(tmp_path))
    box.take(2)
    assert len(box.services["billing"].said) == 1
