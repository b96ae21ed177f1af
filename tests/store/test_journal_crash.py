"""kill -9 at any instant: what was acknowledged is there, and the chain and its anchor agree."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from controller.store.verify import verify
from tests.journal_child import journal_child
from tests.store.conftest import OpenStore


@pytest.mark.parametrize("records", [1, 40, 41, 200, 777])
async def test_every_append_that_had_returned_survives_a_kill(
    open_store: OpenStore, state_dir: Path, records: int
) -> None:
    with journal_child("loop", state_dir) as child:
        assert child.line() == "open"
        seen = [int(child.line()) for _ in range(records)]
        child.kill()
        seen += [int(line) for line in child.lines() if line]
    report = verify(state_dir)
    assert report.ok, report.problems
    assert seen == list(range(2, len(seen) + 2))
    assert report.last_seq >= seen[-1]
    store = open_store()
    assert store.held()
    assert {e.seq for e in store.events()} >= set(seen)
    assert (await store.append("step.result", {})).seq == report.last_seq + 2


async def test_kills_in_a_row_leave_one_sound_chain(open_store: OpenStore, state_dir: Path) -> None:
    acknowledged = 0
    for round_ in range(6):
        with journal_child("loop", state_dir) as child:
            assert child.line() == "open"
            deadline = time.monotonic() + 0.02 * round_
            while time.monotonic() < deadline:
                acknowledged = int(child.line())
    report = verify(state_dir)
    assert report.ok, report.problems
    assert report.last_seq >= acknowledged
    assert open_store().epoch == 7
