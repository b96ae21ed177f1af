"""The desk: journals, pages once, and goes on where an earlier process ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from memory_journal import MemoryJournal, MemoryStore
from virtual_clock import VirtualClock

from config.schema import WarningThresholds
from controller.early_warnings.desk import AT_ONCE, QUIET_S, DeskPorts, WarningDesk
from controller.early_warnings.scene import Scene, Watched
from model import events as ev
from model.errors import JournalError
from model.health import ProbeState
from model.observation import Observation, Outcome


@dataclass
class Bench:
    """One disk of one member; `free` percent of it are free."""

    store: MemoryStore = field(default_factory=MemoryStore)
    clock: VirtualClock = field(default_factory=VirtualClock)
    free: int | None = 50
    another: bool = False
    paged: list[tuple[str, str]] = field(default_factory=list)
    journal: MemoryJournal = field(init=False)
    desk: WarningDesk = field(init=False)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Another process takes over."""
        self.journal = self.store.open()
        self.desk = self.desk_on(self.journal)

    def desk_on(self, journal: MemoryJournal) -> WarningDesk:
        return WarningDesk(
            DeskPorts(
                clock=self.clock,
                journal=journal,
                page=lambda severity, summary, **_more: self.paged.append((severity, summary)),
                look=self.look,
                limits=WarningThresholds,
                leads=journal.held,
                another_leads=lambda: self.another,
            )
        )

    def look(self) -> Scene:
        now_s = self.clock.monotonic_s()
        if self.free is None:
            return Scene(now_s, 0.0)
        facts = {"data_free_bytes": self.free << 30, "data_size_bytes": 100 << 30}
        seen = Observation(
            "orders/pg1", "postgresql", "t", Outcome.SUCCEEDED, now_s, now_s, 0.0, None, "", facts
        )
        state = ProbeState("orders/pg1", "postgresql", last=seen, last_good=seen)
        return Scene(now_s, 0.0, [Watched("service/orders/pg1", "pg1", state, 1.0, 0.5)])

    async def turns(self, count: int, every_s: float = 1.0) -> None:
        for _ in range(count):
            await self.clock.advance(every_s)
            await self.desk.turn()

    def journaled(self) -> list[tuple[str, str | None, dict[str, Any]]]:
        types = (ev.WARNING_RAISED, ev.WARNING_CLEARED)
        return [(e.type, e.service, dict(e.data)) for e in self.store.events if e.type in types]


@pytest.fixture
def bench() -> Bench:
    return Bench()


SENTENCE = "pg1: data directory has 5 % free (5.0 GiB of 100 GiB)"


async def test_a_warning_is_journaled_paged_and_shown_once_and_its_end_too(bench: Bench) -> None:
    bench.free = 5
    await bench.turns(5)
    (shown,) = bench.desk.open()
    assert shown.sentence == SENTENCE
    body = shown.to_json()
    assert (body["code"], body["about"], body["severity"]) == ("DiskFilling", "service/orders/pg1", "warning")
    assert body["meaning_zh"]
    assert bench.paged == [("warning", f"DiskFilling: {SENTENCE}")]
    raised = {"code": "DiskFilling", "about": "service/orders/pg1", "part": "data", "sentence": SENTENCE}
    assert bench.journaled() == [(ev.WARNING_RAISED, "orders", {**raised, "severity": "warning"})]

    bench.free = 50
    await bench.turns(62)
    assert bench.desk.open() == []
    assert bench.paged[1:] == [("info", "over: DiskFilling: it is clear")]
    assert bench.journaled()[1:] == [(ev.WARNING_CLEARED, "orders", {**raised, "why": "it is clear"})]


async def test_what_comes_and_goes_is_journaled_and_pages_nobody_again(bench: Bench) -> None:
    for _ in range(3):
        bench.free = 5
        await bench.turns(3)
        bench.free = 50
        await bench.turns(70)
    assert len(bench.journaled()) == 6
    assert len(bench.paged) == 2
    await bench.clock.advance(QUIET_S)
    bench.free = 5
    await bench.turns(3)
    assert len(bench.paged) == 3


async def test_a_restarted_daemon_pages_nothing_twice_and_sees_the_end(bench: Bench) -> None:
    bench.free = 5
    await bench.turns(3)
    bench.begin()
    assert bench.desk.open() == []
    await bench.turns(1)
    assert [w.sentence for w in bench.desk.open()] == [SENTENCE]
    await bench.turns(5)
    assert len(bench.paged) == len(bench.journaled()) == 1
    bench.free = 50
    await bench.turns(70)
    assert [type_ for type_, *_ in bench.journaled()] == [ev.WARNING_RAISED, ev.WARNING_CLEARED]
    assert bench.paged[1:] == [("info", "over: DiskFilling: it is clear")]


async def test_one_that_is_watched_no_more_ends_when_nothing_was_heard_of_it(bench: Bench) -> None:
    bench.free = 5
    await bench.turns(3)
    bench.free = None
    await bench.turns(10)
    assert len(bench.desk.open()) == 1
    await bench.turns(2, every_s=3600.0)
    assert bench.desk.open() == []
    assert bench.journaled()[-1][2]["why"] == "nothing has been heard of it for 60 min"


async def test_an_observer_beside_a_leader_sees_it_and_tells_nobody(bench: Bench) -> None:
    observer = bench.desk_on(bench.journal)
    bench.begin()  # the journal is another's now
    bench.another = True
    bench.free = 5
    for _ in range(3):
        await bench.clock.advance(1.0)
        await observer.turn()
    assert len(observer.open()) == 1
    assert bench.paged == []
    assert bench.journaled() == []


async def test_where_nobody_can_write_people_are_told_all_the_same(bench: Bench) -> None:
    orphan = bench.desk_on(bench.journal)
    bench.store.epoch += 1
    bench.free = 5
    for _ in range(3):
        await bench.clock.advance(1.0)
        await orphan.turn()
    assert len(bench.paged) == 1
    assert bench.journaled() == []


async def test_what_began_while_the_journal_was_full_is_journaled_when_it_has_room(bench: Bench) -> None:
    bench.journal.full = True
    bench.free = 5
    await bench.turns(1)
    with pytest.raises(JournalError):
        await bench.turns(1)
    assert len(bench.paged) == 1
    bench.journal.full = False
    await bench.turns(2)
    assert len(bench.journaled()) == len(bench.paged) == 1


async def test_thousands_of_targets_let_others_have_the_loop(bench: Bench) -> None:
    (one,) = bench.look().watched
    many: Sequence[Watched] = [
        Watched(f"service/orders/m{n}", f"m{n}", one.state, 1.0, 0.5) for n in range(10 * AT_ONCE)
    ]
    bench.look = lambda: Scene(bench.clock.monotonic_s(), 0.0, many)  # type: ignore[method-assign]
    bench.desk = bench.desk_on(bench.journal)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await bench.desk.turn()
    task.cancel()
    assert turns >= 10
