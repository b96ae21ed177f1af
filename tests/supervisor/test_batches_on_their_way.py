"""Whatever happens to batches on their way: an observer votes that the primary is lost only if it truly saw
that, and lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from supervisor_bench import SERVICE, Servers
from test_elsewhere import observed_by

from config.schema import Estate
from controller.arrivals import Batch
from controller.detect import fold
from controller.observers_inbox import ObserversInbox
from controller.supervisor.knowledge import Knowledge
from controller.supervisor.supervisor import Supervisor
from controller.tally import Vote, tally
from controller.views import PG
from model.health import PROFILES, Health, ProbeState
from model.observation import Failure, Observation, Outcome

PROFILE = PROFILES["balanced"]
TARGET = f"{SERVICE}/pg1"
UNTIL_S = 14.0
AHEAD_S = 500.0
RESULTS = (*[Failure.SILENT] * 8, None, Failure.REFUSED, Failure.CLOSED, Failure.STOPPING, Failure.STARTING)
SERVERS = Servers()


@dataclass(frozen=True)
class Sent:
    """at_s, arrives_s: on our clock."""

    at_s: float
    arrives_s: tuple[float, ...]
    batch: Batch


@st.composite
def looks(draw: st.DrawFn) -> list[Observation]:
    """Of one observer at the primary, on our clock."""
    at_s, found = 0.1, []
    while at_s < UNTIL_S:
        failure = draw(st.sampled_from(RESULTS))
        took_s = 0.4 if failure is Failure.SILENT else 0.01
        outcome, facts = (Outcome.SUCCEEDED, SERVERS.read("pg1")) if failure is None else (Outcome.FAILED, {})
        seen = Observation(
            TARGET, PG, "ops2", outcome, at_s, at_s + took_s, 0.0, failure, "", cast("Any", facts)
        )
        found.append(seen)
        at_s += draw(st.sampled_from((0.45, 0.5)))
    return found


@st.composite
def sent(draw: st.DrawFn, seen: Sequence[Observation]) -> list[Sent]:
    """Each look in a batch of its own: soon there, late, twice, or never."""
    found = []
    for number, look in enumerate(seen, start=1):
        at_s = look.ended_s + 0.001
        ways = draw(st.sampled_from(("soon", "soon", "soon", "late", "twice", "never")))
        waits = {"soon": (0.002,), "late": (0.9,), "twice": (0.002, 3.0), "never": ()}[ways]
        theirs = Observation(
            TARGET, PG, "ops2", look.outcome, look.started_s + AHEAD_S, look.ended_s + AHEAD_S, 0.0,
            look.failure, "", look.facts,
        )  # fmt: skip
        batch = Batch("ops2", "boot", number, at_s + AHEAD_S, True, seen=(theirs,))
        found.append(Sent(at_s, tuple(at_s + wait for wait in waits), batch))
    return found


class Receiver:
    def __init__(self, estate: Estate) -> None:
        self.now_s = 0.0
        self.knowledge = Knowledge(estate, estate.services[SERVICE])
        self._inbox = ObserversInbox(
            cast("Any", self), {SERVICE: cast("Supervisor", self)}, lambda _kind, _rest: [cast("Any", self)]
        )
        self._inbox.configure(estate)

    def monotonic_s(self) -> float:
        return self.now_s

    def observe(self, seen: Observation) -> None:
        self.knowledge.observe(seen, "pg1")

    def observer_elsewhere(self, name: str, sane: bool | None, why: str, at_s: float) -> None:
        self.knowledge.elsewhere.health(name, sane, why, at_s)

    def missed_elsewhere(self, name: str) -> None:
        self.knowledge.elsewhere.missed(name)

    def take(self, batch: Batch, now_s: float) -> None:
        self.now_s = now_s
        self._inbox.take(batch)

    def vote(self, now_s: float) -> Vote:
        [ballot] = [
            b for b in tally(self.knowledge.view("pg1", now_s), now_s).ballots if b.observer == "ops2"
        ]
        return ballot.vote


def saw_it_lost(seen: Sequence[Observation], now_s: float) -> bool:
    """The observer itself, at some moment that is not too old."""
    state = ProbeState(TARGET, PG)
    for look in seen:
        if look.ended_s > now_s:
            break
        state = fold(state, look, PROFILE)
        if state.health is Health.DOWN and now_s - look.ended_s <= PROFILE.stale_s + 0.01:
            return True
    return False


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    path: Path = tmp_path_factory.mktemp("three")
    return observed_by(path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_nobody_is_said_to_see_lost_what_it_has_not_seen_lost(three: Estate, data: st.DataObject) -> None:
    seen = data.draw(looks())
    receiver = Receiver(three)
    arriving = sorted((at_s, s.batch.number, s.batch) for s in data.draw(sent(seen)) for at_s in s.arrives_s)
    for at_s, _number, batch in arriving:
        receiver.take(batch, at_s)
        for later_s in (at_s, at_s + 2.0):
            if receiver.vote(later_s) is Vote.LOST:
                assert saw_it_lost(seen, later_s)


def test_what_answered_in_a_batch_that_was_lost_is_no_silence(three: Estate) -> None:
    """Silent, answered, silent: and the answer never comes."""
    receiver = Receiver(three)
    for number in range(1, 11):
        at_s = 0.5 * number
        look = Observation(TARGET, PG, "ops2", Outcome.FAILED, at_s - 0.4, at_s, 0.0, Failure.SILENT)
        if number != 4:
            receiver.take(Batch("ops2", "boot", number, at_s, True, seen=(look,)), at_s)
        if number == 7:
            assert receiver.vote(at_s) is Vote.UNDECIDED  # since the gap at 2.0 s
    assert receiver.vote(5.0) is Vote.LOST
