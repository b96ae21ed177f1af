"""Services that are out at once take turns: each tells what it is about to do, and waits for its needs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from supervisor_bench import SERVICE, Bench, running

from controller.order import FailoverOrder, Stage
from model import events as ev

NEEDS_LDAP = FailoverOrder(needs={SERVICE: ("ldap",)}, needed_by={"ldap": (SERVICE,)})


async def test_it_waits_until_what_it_needs_has_moved_and_pages_nobody_for_that(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.claims.order = NEEDS_LDAP
        _others(bench, "ldap", Stage.MOVING)
        await bench.crash()
        for _ in range(10):
            _others(bench, "ldap", Stage.MOVING)
            await bench.live(0.2)
        assert bench.opened() == []
        assert bench.judged.decision.stopped_by == "order"
        assert bench.paged() == []
        _others(bench, "ldap", None)
        await bench.live(0.5)
        assert bench.opened()[0] == ("failover", "automatic")


async def test_it_waits_for_nobody_who_has_stopped_saying_so(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.claims.order = NEEDS_LDAP
        _others(bench, "ldap", Stage.DUE)
        await bench.crash()
        await bench.live(1.0)
        assert bench.opened() == []
        await bench.live(2.0)
        assert bench.opened()[0] == ("failover", "automatic")


async def test_it_does_not_wait_for_ever_for_one_that_is_never_done(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.claims.order = NEEDS_LDAP
        _others(bench, "ldap", Stage.CONFIRMING)
        await bench.crash()
        for _ in range(45):
            _others(bench, "ldap", Stage.CONFIRMING)
            await bench.live(0.2)
        assert bench.opened() == []
        for _ in range(10):
            _others(bench, "ldap", Stage.CONFIRMING)
            await bench.live(0.2)
        assert bench.opened()[0] == ("failover", "automatic")


async def test_others_know_while_it_is_confirmed_and_moved_and_no_longer(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        said = _listen(bench)
        bench.gate.clear()
        await bench.crash()
        await bench.live(1.0)
        assert [s for s in dict.fromkeys(said) if s] == [Stage.CONFIRMING, Stage.DUE, Stage.MOVING]
        assert said[-1] is Stage.MOVING
        bench.gate.set()
        await bench.live(1.0)
        assert said[-1] is None


async def test_one_that_a_person_has_to_decide_on_is_waited_for_by_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask") as bench:
        said = _listen(bench)
        await bench.crash()
        await bench.live(1.0)
        assert bench.of(ev.APPROVAL_REQUESTED) != []
        assert set(said) == {None}


async def test_one_that_is_closed_claims_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        bench.gate.clear()
        await bench.crash()
        await bench.live(0.3)
        said = _listen(bench)
        bench.supervisor.close()
        await asyncio.sleep(0)
        assert said == [None]


def _others(bench: Bench, service: str, stage: Stage | None) -> None:
    bench.claims.note(service, stage, bench.clock.monotonic_s())


def _listen(bench: Bench) -> list[Stage | None]:
    said: list[Stage | None] = []
    note = bench.claims.note

    def heard(service: str, stage: Stage | None, now_s: float) -> None:
        said.append(stage)
        note(service, stage, now_s)

    bench.claims.note = heard  # type: ignore[method-assign]
    return said
