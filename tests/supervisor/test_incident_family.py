"""Incidents that people say are one, and are not: merged, split, closed together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from disaster_bench import Disaster, disaster

from controller.incidents import fold_incidents, list_incidents, show_incident
from controller.report import report_json
from model import events as ev
from model.errors import HeldError, UsageError

OBSERVED = {"mode": "observe"}


@asynccontextmanager
async def three_outages(tmp_path: Path) -> AsyncIterator[tuple[Disaster, str, str, str]]:
    """`a`, `b` and `c` are out, and nothing is done about it: mode observe."""
    async with disaster(tmp_path, {"a": OBSERVED, "b": OBSERVED, "c": OBSERVED}) as bench:
        for service in ("a", "b", "c"):
            await bench.crash(service)
        await bench.live()
        a, b, c = (bench.supervisors[s].ledger.incident_id or "" for s in ("a", "b", "c"))
        yield bench, a, b, c


async def comes_back(bench: Disaster, service: str) -> None:
    """Somebody has started the primary again; redundancy is missing, so that nothing closes by itself."""
    bench.servers[service].down.discard("pg1")
    bench.servers[service].detached.add("pg2")
    await bench.live(3.0)


async def test_two_incidents_are_one_with_one_timeline_and_each_with_its_own_clock(tmp_path: Path) -> None:
    async with three_outages(tmp_path) as (bench, a, b, _):
        done = await bench.incidents.merge(a, b, "both are the switch in row 4", "wang")
        assert (done["service"], done["merged"]) == ("b", "wang")
        events = bench.journal.events()
        found = fold_incidents(events)
        assert (found[a].parts, found[b].part_of) == ((b,), a)
        rows = {row["id"]: row for row in list_incidents(events)}
        assert rows[a]["parts"] == [b]
        assert b not in rows
        assert show_incident(events, b)["part_of"] == a
        report = report_json(events, a)
        assert {line["service"] for line in report["timeline"]} == {"a", "b"}
        seqs = [line["seq"] for line in report["timeline"]]
        assert seqs == sorted(seqs)
        assert [part["id"] for part in report["parts"]] == [b]
        assert "wang" in report["people"]
        assert found[a].timings.marks["T0"] != found[b].timings.marks["T0"]


async def test_a_split_makes_two_of_them_again(tmp_path: Path) -> None:
    async with three_outages(tmp_path) as (bench, a, b, _):
        await bench.incidents.merge(a, b, "one switch", "wang")
        assert (await bench.incidents.split(a, "b", "its disk was full", "wang"))["part"] == b
        found = fold_incidents(bench.journal.events())
        assert (found[a].parts, found[b].part_of) == ((), None)
        await bench.incidents.merge(b, a, "the other way round", "wang")
        assert fold_incidents(bench.journal.events())[a].part_of == b


async def test_what_makes_no_sense_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with three_outages(tmp_path) as (bench, a, b, c):
        merge, split = bench.incidents.merge, bench.incidents.split
        await merge(a, b, "one switch", "wang")
        for root, part, said in [
            (a, a, "into itself"),
            (b, a, "circle"),
            (a, b, "a part of .* already"),
            (c, b, "a part of .* already"),
            (b, c, "itself a part of"),
            (a, "INC-404", "no incident 'INC-404'"),
        ]:
            with pytest.raises(UsageError, match=said):
                await merge(root, part, "why not", "wang")
        with pytest.raises(UsageError, match="a's own incident"):
            await split(a, "a", "why not", "wang")
        with pytest.raises(UsageError, match="no part of 'c'") as refused:
            await split(a, "c", "why not", "wang")
        assert f"{b} (b)" in refused.value.hint
        assert fold_incidents(bench.journal.events())[a].parts == (b,)


async def test_a_restart_folds_the_same_from_the_journal(tmp_path: Path) -> None:
    async with three_outages(tmp_path) as (bench, a, b, c):
        await bench.incidents.merge(a, b, "one switch", "wang")
        await bench.incidents.merge(a, c, "and this", "wang")
        await bench.incidents.split(a, "b", "its disk was full", "wang")
        before = (dict(bench.desk.links.root_of), fold_incidents(bench.journal.events()))
        assert before[0] == {c: a}
    async with disaster(tmp_path, dict.fromkeys("abc", OBSERVED), store=bench.store) as again:
        assert dict(again.desk.links.root_of) == before[0]
        found = fold_incidents(again.journal.events())
        assert {i: (found[i].part_of, found[i].parts) for i in (a, b, c)} == {
            i: (before[1][i].part_of, before[1][i].parts) for i in (a, b, c)
        }


async def test_what_was_found_to_have_one_root_is_taken_apart_by_a_person_and_stays_apart(
    tmp_path: Path,
) -> None:
    async with three_outages(tmp_path) as (bench, a, b, _):
        for _round in range(2):  # the second is what another controller might find once more
            for service, part in (("b", b), ("web", None)):
                data = {"service": service, "part": part, "code": "", "root": "site/dc1"}
                await bench.journal.append(ev.INCIDENT_CONSEQUENCE, data, service="a", incident=a)
        assert bench.desk.links.root_of == {b: a}
        assert (await bench.incidents.split(a, "b", "its disk was full", "wang"))["part"] == b
        assert (await bench.incidents.split(a, "web", "it was stopped", "wang"))["part"] is None
        found = fold_incidents(bench.journal.events())
        assert (found[a].consequences, found[a].parts, found[b].part_of) == ((), (), None)
        with pytest.raises(UsageError, match="has no part of 'web'"):
            await bench.incidents.split(a, "web", "again", "wang")


async def test_what_people_merged_is_not_found_to_belong_elsewhere(tmp_path: Path) -> None:
    async with three_outages(tmp_path) as (bench, a, b, c):
        await bench.incidents.merge(a, b, "one switch", "wang")
        for lead, part in ((c, b), (b, a)):  # to another one, and round in a circle
            data = {"service": "x", "part": part, "code": "", "root": "site/dc1"}
            await bench.journal.append(ev.INCIDENT_CONSEQUENCE, data, service="c", incident=lead)
        assert bench.desk.links.root_of == {b: a}


async def test_what_is_closed_is_neither_merged_nor_split(tmp_path: Path) -> None:
    async with three_outages(tmp_path) as (bench, a, b, _):
        await comes_back(bench, "b")
        await bench.incidents.close(b, "enough", "wang")
        for root, part in [(a, b), (b, a)]:
            with pytest.raises(UsageError, match=f"{b} is closed"):
                await bench.incidents.merge(root, part, "late", "wang")
        with pytest.raises(UsageError, match=f"{b} is closed"):
            await bench.incidents.split(b, "a", "late", "wang")


async def test_closing_one_closes_its_parts_or_says_which_are_still_out(tmp_path: Path) -> None:
    async with three_outages(tmp_path) as (bench, a, b, _):
        await bench.incidents.merge(a, b, "one switch", "wang")
        await comes_back(bench, "a")
        with pytest.raises(HeldError, match=rf"{b} \(b\), a part of it, is still open"):
            await bench.incidents.close(a, "enough", "wang")
        assert bench.supervisors["a"].ledger.incident_id == a
        await comes_back(bench, "b")
        closed = await bench.incidents.close(a, "enough", "wang")
        assert closed["closed_with_it"] == [b]
        found = fold_incidents(bench.journal.events())
        assert (found[a].state, found[b].state) == ("closed", "closed")
        assert found[b].close_reason == f"closed with {a}: enough"


async def test_an_outage_joins_a_declared_disaster_and_no_disaster_an_outage(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"a": OBSERVED, "b": OBSERVED}) as bench:
        await bench.crash("b")
        declared = (await bench.declare(scope="service:a"))["incident"]
        b = bench.supervisors["b"].ledger.incident_id or ""
        with pytest.raises(UsageError, match="can't be a part of an outage"):
            await bench.incidents.merge(b, declared, "why not", "wang")
        await bench.incidents.merge(declared, b, "the same flood", "wang")
        closed = await bench.incidents.close(declared, "over", "wang")
        assert closed["still_open"] == [b]
