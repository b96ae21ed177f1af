"""An inspection ends, whatever a check does; and the daemon makes one at set times."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from memory_journal import MemoryJournal, MemoryStore
from virtual_clock import VirtualClock

from config.schema import Estate
from controller.declared import DeclaredProbes
from controller.inspection import desk as desk_module
from controller.inspection.catalogue import CATALOGUE
from controller.inspection.desk import SETTLE_S, InspectionDesk
from controller.inspection.ground import AT_ONCE, Ground
from controller.inspection.runner import inspect
from controller.inspection.words import Check, Inspection, Line, Result, Row
from controller.store.hostclock import boot_id, wall_utc
from controller.supervisor.probing import ProbeFactory
from model import events as ev
from model.errors import SecretError
from tests.fake_daemon import ESTATE
from tests.virtual_clock import RealClock


class NoSecrets:
    def get(self, reference: Any) -> str:
        raise SecretError("the secret can't be read: none here", where=str(reference))


def estate(**more: Any) -> Estate:
    return Estate.model_validate({**yaml.safe_load(ESTATE), **more})


def ground(service: str | None = None, **more: Any) -> Ground:
    declared, clock = estate(**more), RealClock()
    return Ground(
        estate=declared,
        clock=clock,
        secrets=NoSecrets(),
        nodes={},
        sql=None,  # type: ignore[arg-type]
        probes=ProbeFactory(declared, clock, NoSecrets()),
        declared=DeclaredProbes(declared, clock, NoSecrets(), {}),
        read_events=lambda *, types=None, service=None: [],
        state_dir=Path("/nonexistent"),
        service=service,
    )


def check(name: str, run: Callable[[Ground], AsyncIterator[Line]], *, of_service: bool = True) -> Check:
    return Check(name, "what", "how", "why", "todo", run, of_service)


async def well(_ground: Ground) -> AsyncIterator[Line]:
    yield Line("estate", Result.OK, "well")


async def breaks(_ground: Ground) -> AsyncIterator[Line]:
    yield Line("estate", Result.OK, "before it broke")
    raise ZeroDivisionError


async def hangs(_ground: Ground) -> AsyncIterator[Line]:
    yield Line("estate", Result.OK, "before it hung")
    await asyncio.Event().wait()


async def test_a_check_that_breaks_or_hangs_is_unknown_and_the_others_are_made() -> None:
    seen: list[tuple[int, int]] = []
    found = await inspect(
        ground(),
        catalogue=[check("well", well), check("breaks", breaks), check("hangs", hangs)],
        deadline_s=0.1,
        progress=lambda done, total: seen.append((done, total)),
    )
    told = [(row.check.name, row.line.result.value, row.line.text) for row in found.rows]
    assert ("well", "ok", "well") in told
    assert ("breaks", "ok", "before it broke") in told
    assert ("breaks", "unknown", "the check failed by itself: ZeroDivisionError") in told
    assert ("hangs", "ok", "before it hung") in told
    assert ("hangs", "unknown", "it did not end within 0.1 s") in told
    assert found.worst is Result.UNKNOWN
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert len(asyncio.all_tasks()) == 1


async def test_one_service_leaves_the_checks_of_the_estate_out() -> None:
    both = [check("of", well), check("beside", well, of_service=False)]
    found = await inspect(ground("orders"), catalogue=both)
    assert [row.check.name for row in found.rows] == ["of"]


async def test_what_several_checks_need_is_looked_at_once_and_a_few_at_a_time() -> None:
    made = ground()
    calls, here, most = 0, 0, 0

    async def look() -> int:
        nonlocal calls, here, most
        calls, here = calls + 1, here + 1
        most = max(most, here)
        await asyncio.sleep(0)
        here -= 1
        return calls

    shared = [made.once("same", look) for _ in range(3)]
    assert await asyncio.gather(*shared) == [1, 1, 1]
    await asyncio.gather(*(made.bounded(look) for _ in range(5 * AT_ONCE)))
    assert most == AT_ONCE


async def test_every_check_has_words_for_an_operator_and_ends_where_nothing_can_be_reached() -> None:
    """The servers of this estate do not exist, its journal neither."""
    roles = {r: {"user": r, "password": {"env": "NOT_SET"}} for r in ("monitor", "control", "replication")}
    document = yaml.safe_load(ESTATE)
    service = document["services"]["orders"]
    service["postgresql"]["roles"] = roles
    for member in service["members"].values():
        member["host"], member["port"] = "127.0.0.1", 1
    found = await inspect(ground(services=document["services"]))
    assert {row.check.name for row in found.rows} == {c.name for c in CATALOGUE} - {"clocks"}
    by_check = {row.check.name: row.line for row in found.rows}
    assert by_check["secrets"].result is Result.FAILED
    assert by_check["access"].result in (Result.WARNING, Result.SKIPPED)
    assert by_check["rewind"].result is Result.UNKNOWN
    assert by_check["candidate"].result is Result.FAILED
    for row in found.rows:
        body = row.to_json()
        assert all(body[key] for key in ("what", "how", "why", "text")), body
        assert bool(body["todo"]) == (row.line.result in (Result.FAILED, Result.WARNING, Result.UNKNOWN))
    json.dumps(found.to_json())


# --- at set times


@dataclass
class Bench:
    every_s: float = 86400.0
    enabled: bool = True
    clock: VirtualClock = field(default_factory=VirtualClock)
    store: MemoryStore = field(default_factory=MemoryStore)
    made: list[float] = field(default_factory=list)
    paged: list[str] = field(default_factory=list)
    leads: bool = True
    lines: list[Line] = field(default_factory=lambda: [Line("estate", Result.FAILED, "no pager")])
    journal: MemoryJournal = field(init=False)
    declared: Estate = field(init=False)

    def __post_init__(self) -> None:
        self.journal = self.store.open(boot_id=boot_id())

    def desk(self) -> InspectionDesk:
        self.declared = estate(inspection={"every": f"{self.every_s:g}s", "enabled": self.enabled})
        return InspectionDesk(
            clock=self.clock,
            journal=self.journal,
            estate=lambda: self.declared,
            make=lambda _service: None,  # type: ignore[arg-type, return-value]
            page=lambda _severity, summary, **_more: self.paged.append(summary),
            leads=lambda: self.leads,
        )

    async def inspect(self, _ground: Any, *, progress: Any) -> Inspection:
        self.made.append(self.clock.monotonic_s())
        progress(1, 1)
        rows = tuple(Row(CATALOGUE[0], line) for line in self.lines)
        return Inspection(None, rows, 5)

    async def run(self, for_s: float) -> None:
        task = asyncio.create_task(self.desk().run())
        await self.clock.advance(for_s)
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setattr(desk_module, "inspect", made.inspect)
    return made


async def test_the_daemon_inspects_when_it_has_settled_and_then_at_set_times(bench: Bench) -> None:
    bench.every_s = 600.0
    began_s = bench.clock.monotonic_s()
    await bench.run(3 * 500.0)
    assert [round(at - began_s) for at in bench.made] == [SETTLE_S, SETTLE_S + 600, SETTLE_S + 1200]
    assert len(bench.store.of(ev.INSPECTION_DONE)) == 3


async def test_only_what_is_new_and_failed_is_paged(bench: Bench) -> None:
    bench.every_s = 600.0
    await bench.run(2 * 600.0)
    assert bench.paged == ["inspection: estate: no pager"]  # the second found nothing new
    bench.lines += [Line("node/db1", Result.FAILED, "no access"), Line("node/db2", Result.WARNING, "slow")]
    await bench.run(2 * 600.0)
    assert bench.paged[1:] == ["inspection: node/db1: no access"]


async def test_an_observer_inspects_nothing_by_itself_and_switched_off_is_off(bench: Bench) -> None:
    bench.leads = False
    await bench.run(500.0)
    bench.leads, bench.enabled = True, False
    await bench.run(500.0)
    assert bench.made == []


async def test_a_restarted_daemon_goes_on_with_the_interval(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.every_s = 600.0
    monkeypatch.setattr(desk_module, "_age_s", lambda _event, _clock: 300.0)
    await bench.desk().inspect(None, trigger="schedule", actor="daemon")
    began_s = bench.clock.monotonic_s()
    await bench.run(500.0)
    assert [round(at - began_s) for at in bench.made[1:]] == [300]


@pytest.mark.parametrize("wall_jump_s", [-1e6, 1e6])
async def test_a_jump_of_the_wall_clock_brings_no_inspection_and_loses_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, wall_jump_s: float
) -> None:
    bench.every_s = 600.0
    wall_s = bench.clock.wall_s
    monkeypatch.setattr(bench.clock, "wall_s", lambda: wall_s() + wall_jump_s)
    began_s = bench.clock.monotonic_s()
    await bench.run(900.0)
    assert [round(at - began_s) for at in bench.made] == [SETTLE_S, SETTLE_S + 600]


async def test_a_reload_in_the_middle_makes_it_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connections of the estate before were closed: what it found of them is nothing that is wrong."""
    made = bench.inspect

    async def reloaded(ground: Any, *, progress: Any) -> Inspection:
        found = await made(ground, progress=progress)
        if len(bench.made) == 1:
            bench.declared = estate()
            return replace(found, rows=(Row(CATALOGUE[0], Line("estate", Result.FAILED, "closed")),))
        return found

    monkeypatch.setattr(desk_module, "inspect", reloaded)
    body = await bench.desk().inspect(None, trigger="person", actor="wang")
    assert len(bench.made) == 2
    assert [row["text"] for row in body["rows"]] == ["no pager"]


async def test_the_last_one_is_whole_in_this_process_and_recorded_after_a_restart(bench: Bench) -> None:
    desk = bench.desk()
    assert desk.last() is None
    body = await desk.inspect(None, trigger="person", actor="wang")
    assert desk.last() == body
    assert desk.progress() == {"running": False, "done": 1, "total": 1}
    after = bench.desk().last()
    assert after is not None
    assert after["recorded"]["findings"][0]["text"] == "no pager"


async def test_the_age_of_the_last_one_is_monotonic_within_a_boot_and_by_the_wall_across_two(
    bench: Bench,
) -> None:
    await bench.desk().inspect(None, trigger="schedule", actor="daemon")
    (event,) = bench.store.of(ev.INSPECTION_DONE)
    ours = replace(
        event, mono_ns=int((bench.clock.monotonic_s() - 50) * 1e9), wall_utc="1999-01-01T00:00:00Z"
    )
    assert desk_module._age_s(ours, bench.clock) == pytest.approx(50)
    earlier = replace(event, boot_id="another", wall_utc=wall_utc(bench.clock.wall_s() - 7200))
    assert desk_module._age_s(earlier, bench.clock) == pytest.approx(7200)
