"""What the journal keeps of an inspection, and what has changed since the one before."""

from __future__ import annotations

from typing import Any

from memory_journal import MemoryStore

from controller.inspection.record import MOST_FINDINGS, compared, data_of, findings_of, latest
from controller.inspection.words import Check, Inspection, Line, Result, Row, in_order
from model import events as ev
from model.canonical import canonical_json


def check(name: str) -> Check:
    return Check(name, f"what {name}", "how", "why", "todo", run=None)  # type: ignore[arg-type]


def inspection(*lines: tuple[str, str, Result, str], scope: str | None = None) -> Inspection:
    rows = [Row(check(name), Line(about, result, text)) for name, about, result, text in lines]
    order = {name: n for n, name in enumerate(dict.fromkeys(line[0] for line in lines))}
    return Inspection(scope, in_order(rows, order), 1234)


def test_the_worst_comes_first_and_decides() -> None:
    found = inspection(
        ("a", "estate", Result.OK, "fine"),
        ("b", "estate", Result.WARNING, "hm"),
        ("a", "node/db1", Result.FAILED, "broken"),
        ("c", "estate", Result.SKIPPED, "-"),
    )
    assert [r.line.result.value for r in found.rows] == ["failed", "warning", "ok", "skipped"]
    assert found.worst is Result.FAILED
    assert found.counts == {"failed": 1, "warning": 1, "unknown": 0, "ok": 1, "skipped": 1}
    assert [r.to_json()["todo"] for r in found.rows] == ["todo", "todo", "", ""]


def test_unknown_is_worse_than_well_and_nothing_to_look_at_is_no_finding() -> None:
    assert inspection(("a", "x", Result.OK, ""), ("b", "x", Result.UNKNOWN, "")).worst is Result.UNKNOWN
    assert inspection(("a", "x", Result.SKIPPED, "")).worst is Result.SKIPPED


async def recorded(*found: Inspection) -> list[Any]:
    store = MemoryStore()
    journal = store.open()
    for one in found:
        await journal.append(ev.INSPECTION_DONE, data_of(one, "schedule"))
    return list(journal.events(types=(ev.INSPECTION_DONE,)))


async def test_what_is_new_gone_and_changed_is_told_without_regard_to_figures() -> None:
    before = inspection(
        ("room", "service/orders/pg1", Result.WARNING, "9.1 GiB free"),
        ("access", "node/db1", Result.FAILED, "no route"),
        ("clocks", "node/db2", Result.WARNING, "2.1 s ahead"),
        ("rewind", "service/orders/pg1", Result.OK, "has checksums"),
    )
    now = inspection(
        ("room", "service/orders/pg1", Result.WARNING, "8.4 GiB free"),
        ("clocks", "node/db2", Result.FAILED, "9.7 s ahead"),
        ("secrets", "estate", Result.FAILED, "file:/x: no such file"),
    )
    found = compared(latest(await recorded(before), None), findings_of(now))
    assert found is not None
    assert [f["check"] for f in found["new"]] == ["secrets"]
    assert [f["check"] for f in found["gone"]] == ["access"]
    assert [(f["check"], f["was"], f["result"]) for f in found["changed"]] == [
        ("clocks", "warning", "failed")
    ]


async def test_one_service_is_compared_with_what_the_whole_inspection_said_of_it() -> None:
    whole = inspection(
        ("access", "node/db1", Result.FAILED, "no route"),
        ("access", "node/db9", Result.FAILED, "no route"),
        ("pager", "estate", Result.FAILED, "nobody is told"),
    )
    other = inspection(("access", "node/db7", Result.FAILED, "x"), scope="billing")
    before = latest(await recorded(whole, other), "orders", ["service/orders", "node/db1", "estate"])
    assert before is not None
    assert [f["about"] for f in before.findings] == ["node/db1"]
    assert latest(await recorded(other), None) is None  # of one service only: nothing is known of the rest
    assert compared(None, []) is None


def test_a_record_is_small_and_has_no_floats() -> None:
    many = inspection(*[("a", f"node/n{n}", Result.FAILED, "x" * 1000) for n in range(1000)])
    data = data_of(many, "person")
    assert (len(data["findings"]), data["left_out"]) == (MOST_FINDINGS, 1000 - MOST_FINDINGS)
    assert len(canonical_json(data)) < 100_000
    assert data["counts"]["failed"] == 1000
