"""In which order the batches of several observers come in makes no difference: each has a fold of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from supervisor_bench import SERVICE, Servers
from test_elsewhere import observed_by

from config.schema import Estate
from controller.diagnose import diagnose
from controller.supervisor.knowledge import Knowledge
from controller.tally import tally
from controller.views import PG
from model.observation import Failure, Observation, Outcome

OBSERVERS = ("ops1", "ops2", "ops3")
RESULTS = (None, None, Failure.SILENT, Failure.REFUSED, Failure.CLOSED, Failure.STARTING, Failure.UNREACHABLE)
SERVERS = Servers()
UNTIL_S = 6.0


@st.composite
def seen_by(draw: st.DrawFn, observer: str) -> list[Observation]:
    """What one observer saw of all members, in the order in which it saw it."""
    at_s, found = 1.0, []
    while at_s < UNTIL_S and len(found) < 25:
        member, failure = draw(st.sampled_from(("pg1", "pg1", "pg2", "pg3"))), draw(st.sampled_from(RESULTS))
        outcome = Outcome.SUCCEEDED if failure is None else Outcome.FAILED
        facts = SERVERS.read(member) if failure is None else {}
        took_s = 0.5 if failure is Failure.SILENT else 0.01
        found.append(
            Observation(
                f"{SERVICE}/{member}", PG, observer, outcome, at_s, at_s + took_s, 0.0, failure, "", facts
            )
        )
        at_s += draw(st.sampled_from((0.02, 0.1, 0.5)))
    return sorted(found, key=lambda o: o.ended_s)


@st.composite
def mixed(draw: st.DrawFn, sequences: Sequence[Sequence[Observation]]) -> list[Observation]:
    """Some order in which they may arrive: each observer's own is kept."""
    turns = [name for name, seen in enumerate(sequences) for _ in seen]
    left = [iter(seen) for seen in sequences]
    return [next(left[turn]) for turn in draw(st.permutations(turns))]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    path: Path = tmp_path_factory.mktemp("three")
    return observed_by(path)


def judged(estate: Estate, arriving: Sequence[Observation]) -> tuple[Any, ...]:
    knowledge = Knowledge(estate, estate.services[SERVICE])
    for seen in arriving:
        knowledge.observe(seen, "pg1")
    knowledge.elsewhere.health("ops2", True, "", UNTIL_S)
    view = knowledge.view("pg1", UNTIL_S + 0.6)
    return view, diagnose(view, UNTIL_S + 0.6), tally(view, UNTIL_S + 0.6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_the_order_in_which_observers_are_heard_makes_no_difference(
    three: Estate, data: st.DataObject
) -> None:
    sequences = [data.draw(seen_by(name)) for name in OBSERVERS]
    one_after_the_other = [seen for sequence in sequences for seen in sequence]
    assert judged(three, one_after_the_other) == judged(three, data.draw(mixed(sequences)))
