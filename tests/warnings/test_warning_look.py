"""What the desk is shown of a supervised service: lag, missing copies, and what is none of its business."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from supervisor_bench import Bench, running

from controller.adapters.secrets import SecretStore
from controller.declared import DeclaredProbes
from controller.early_warnings.desk import DeskPorts, WarningDesk
from controller.early_warnings.look import look
from controller.early_warnings.scene import ServiceScene
from model import events as ev


class Watching:
    """A supervised service, and a desk that looks at it once a second."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.declared = DeclaredProbes(bench.estate, bench.clock, SecretStore(), {})
        self.desk = WarningDesk(
            DeskPorts(
                clock=bench.clock,
                journal=bench.journal,
                page=lambda severity, summary, **_more: bench.pages.append((severity, summary)),
                look=lambda: look(bench.clock, {"orders": bench.supervisor}, self.declared),
                limits=lambda: bench.estate.warnings,
                leads=bench.memory.held,
                another_leads=lambda: False,
            )
        )

    async def live(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            await self.bench.live(1.0)
            await self.desk.turn()

    def scene(self) -> ServiceScene:
        (service,) = look(self.bench.clock, {"orders": self.bench.supervisor}, self.declared).services
        return service

    def codes(self) -> list[tuple[str, str]]:
        return [(w.key.code, w.key.about) for w in self.desk.open()]


@asynccontextmanager
async def watching(tmp_path: Path, **options: Any) -> AsyncIterator[Watching]:
    async with running(tmp_path, **options) as bench:
        yield Watching(bench)


async def test_a_service_that_is_well_warns_of_nothing(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        await watch.live(40)
        assert watch.codes() == []
        assert watch.scene().missing == ()
        assert {copy.member for copy in watch.scene().copies} == {"pg2", "pg3"}
        assert watch.bench.of(ev.WARNING_RAISED) == []


async def test_a_copy_that_stays_away_is_told_when_it_has_been_away_for_a_while(tmp_path: Path) -> None:
    async with watching(tmp_path, access="none") as watch:
        watch.bench.servers.down.add("pg3")
        await watch.live(10)
        assert watch.codes() == []  # a restart takes as long
        await watch.live(30)
        assert watch.codes() == [("RedundancyLost", "service/orders")]
        assert "pg3" in watch.desk.open()[0].sentence
        watch.bench.servers.down.clear()
        await watch.live(65)
        assert watch.codes() == []


async def test_a_primary_that_is_out_is_an_incident_and_no_early_warning(tmp_path: Path) -> None:
    async with watching(tmp_path, mode="observe") as watch:
        await watch.bench.crash()
        await watch.live(40)
        assert watch.scene().missing is None
        assert watch.codes() == []


async def test_a_copy_that_can_not_be_judged_is_not_called_lost(tmp_path: Path) -> None:
    async with watching(tmp_path, access="none") as watch:
        for _ in range(45):
            for member in ("pg1", "pg2"):
                watch.bench.see(member, "postgresql", watch.bench.servers.read(member))
            await watch.bench.clock.advance(1.0)
            await watch.desk.turn()
        assert watch.scene().missing is None  # of pg3 nothing was heard, which is not the same as down
        assert watch.codes() == []


async def test_a_standby_whose_canary_stands_still_lags(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        await watch.live(3)
        watch.bench.servers.facts["pg3"] = {"canary_n": watch.bench.servers.canary_n}
        await watch.live(8)
        assert watch.codes() == []
        await watch.live(8)
        assert watch.codes() == [("StandbyLagging", "service/orders/pg3")]
        assert "older than the primary's" in watch.desk.open()[0].sentence
        assert watch.bench.judged.diagnosis.code == "Healthy"  # it decides nothing


async def test_where_the_primary_writes_no_canary_nobody_begins_to_lag(tmp_path: Path) -> None:
    async with watching(tmp_path) as watch:
        await watch.live(3)
        watch.bench.watched.clear()  # nothing is written any more
        await watch.live(30)
        assert watch.codes() == []
