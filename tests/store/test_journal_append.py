"""Appending and asking: what comes back is what was written, in order, hashed and numbered."""

from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from pathlib import Path

import pytest

from controller.store.sqlite import StoreState
from controller.store.verify import verify
from model import events as ev
from model.canonical import record_hash
from model.errors import JournalError
from model.events import GENESIS_HASH
from tests.store.conftest import OpenStore


async def test_a_new_journal_begins_with_the_epoch(open_store: OpenStore) -> None:
    store = open_store(reason="first start")
    assert store.state is StoreState.OWNER
    assert store.held()
    assert store.epoch == 1
    assert store.problem == ""
    (first,) = store.events()
    assert (first.seq, first.type, first.prev) == (1, ev.EPOCH_TAKEN, GENESIS_HASH)
    assert dict(first.data) == {"owner": "ops1", "previous_owner": None, "reason": "first start"}


async def test_a_record_says_who_where_and_when(open_store: OpenStore) -> None:
    store = open_store()
    event = await store.append(ev.SERVICE_PAUSED, {"reason": "works"}, service="orders", actor="li.wei")
    assert event.writer == "ops1"
    assert event.epoch == 1
    assert event.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert event.actor == "li.wei"
    assert event.wall_utc.endswith("Z")
    assert len(event.wall_utc) == len("2026-11-25T13:30:00.000000Z")
    assert event.wall_offset_us is None or isinstance(event.wall_offset_us, int)
    assert event.mono_ns >= store.events()[0].mono_ns


async def test_each_hash_is_that_of_the_record_and_names_the_one_before(open_store: OpenStore) -> None:
    store = open_store()
    for number in range(5):
        await store.append("step.result", {"number": number, "text": "切换 ✓", "list": (1, 2)})
    events = store.events()
    for before, event in pairwise(events):
        assert event.prev == before.hash
    for event in events:
        assert record_hash(event.to_json()) == event.hash


async def test_new_incidents_and_executions_are_named_after_their_record(open_store: OpenStore) -> None:
    store = open_store()
    incident = await store.append(ev.INCIDENT_OPENED, {}, incident="new")
    execution = await store.append(
        ev.EXECUTION_OPENED, {}, incident=incident.incident, execution="new", anchor=True
    )
    assert incident.incident == "INC-2"
    assert (execution.incident, execution.execution) == ("INC-2", "EXE-3")


async def test_what_was_written_is_there_after_a_restart(open_store: OpenStore) -> None:
    store = open_store()
    event = await store.append("daemon.started", {"pid": 7})
    store.close()
    again = open_store()
    assert again.events()[1] == event
    assert again.epoch == 2
    assert [e.type for e in again.events()] == [ev.EPOCH_TAKEN, "daemon.started", ev.EPOCH_TAKEN]
    assert again.events()[-1].data["previous_owner"] == "ops1"


async def test_events_are_found_by_every_filter(open_store: OpenStore) -> None:
    store = open_store()
    for number in range(2, 42):
        await store.append(
            ("step.intent", "step.result", "clock.mark")[number % 3],
            {"n": number},
            service=("orders", "billing", None)[number % 4 % 3],
            incident=f"INC-{number % 5}" if number % 2 else None,
            execution=f"EXE-{number % 7}" if number % 3 else None,
        )
    everything = store.events()
    choices: dict[str, list[object]] = {
        "since_seq": [0, 1, 20, 40, 99],
        "types": [None, ["step.intent"], ("clock.mark", "step.result"), {"absent"}, []],
        "service": [None, "orders", "absent"],
        "incident": [None, "INC-1", "absent"],
        "execution": [None, "EXE-2", "absent"],
    }
    for since in choices["since_seq"]:
        for types in choices["types"]:
            for service in choices["service"]:
                for incident in choices["incident"]:
                    for execution in choices["execution"]:
                        found = store.events(
                            since_seq=since,  # type: ignore[arg-type]
                            types=types,  # type: ignore[arg-type]
                            service=service,  # type: ignore[arg-type]
                            incident=incident,  # type: ignore[arg-type]
                            execution=execution,  # type: ignore[arg-type]
                        )
                        assert found == [
                            e
                            for e in everything
                            if e.seq > since  # type: ignore[operator]
                            and (types is None or e.type in types)  # type: ignore[operator]
                            and (service is None or e.service == service)
                            and (incident is None or e.incident == incident)
                            and (execution is None or e.execution == execution)
                        ]


async def test_appends_at_once_keep_their_order_and_the_chain(open_store: OpenStore, state_dir: Path) -> None:
    store = open_store()
    assert store._session is not None
    assert store._session._connection is not None
    commits: list[str] = []
    store._session._connection.set_trace_callback(
        lambda sql: commits.append(sql) if sql == "COMMIT" else None
    )
    events = await asyncio.gather(
        *(store.append("step.result", {"n": n}, anchor=n % 50 == 0) for n in range(1000))
    )
    store._session._connection.set_trace_callback(None)
    assert [e.data["n"] for e in events] == list(range(1000))
    assert [e.seq for e in events] == list(range(2, 1002))
    assert len(commits) < 100, "appends that come together share a transaction"
    store.close()
    report = verify(state_dir)
    assert report.ok, report.problems
    assert (report.records, report.last_seq, report.head_hash) == (1001, 1001, events[-1].hash)


async def test_floats_are_refused_before_anything_is_written(open_store: OpenStore, state_dir: Path) -> None:
    store = open_store()
    with pytest.raises(TypeError, match=r"float at \$\.steps\[1\]\.took_s"):
        await store.append("step.result", {"steps": [{}, {"took_s": 0.5}]})
    event = await store.append("step.result", {"took_ns": 500_000_000})
    assert event.seq == 2
    store.close()
    assert verify(state_dir).ok


async def test_a_value_changed_after_the_append_does_not_change_the_record(open_store: OpenStore) -> None:
    store = open_store()
    data = {"steps": ["lock"]}
    pending = asyncio.ensure_future(store.append("execution.opened", data))
    await asyncio.sleep(0)
    data["steps"].append("promote")
    assert (await pending).data == {"steps": ["lock"]}


async def test_a_caller_that_goes_away_does_not_disturb_the_others(
    open_store: OpenStore, state_dir: Path
) -> None:
    store = open_store()
    tasks = [asyncio.create_task(store.append("step.result", {"n": n})) for n in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [e.data["n"] for e in done if not isinstance(e, BaseException)] == list(range(1, 20, 2))
    store.close()
    assert verify(state_dir).ok


async def test_a_closed_journal_takes_nothing(open_store: OpenStore) -> None:
    store = open_store()
    waiting = [asyncio.create_task(store.append("step.result", {"n": n})) for n in range(50)]
    await asyncio.sleep(0)
    store.close()
    assert [(await w).data["n"] for w in waiting] == list(range(50)), "what waited is written"
    assert not store.held()
    with pytest.raises(JournalError, match="closed"):
        await store.append("step.result", {})
    assert store.state is StoreState.CLOSED


async def test_the_log_does_not_grow_for_ever(open_store: OpenStore, state_dir: Path) -> None:
    store = open_store()
    for _ in range(40):
        await asyncio.gather(*(store.append("step.result", {"text": "x" * 2000}) for _ in range(50)))
        await store.append("step.result", {})
    size_of_half = os.stat(state_dir / "journal.db-wal").st_size
    for _ in range(400):
        await store.append("step.result", {"text": "x" * 2000})
    assert os.stat(state_dir / "journal.db").st_size > 4_000_000, "the log was moved into the database"
    assert os.stat(state_dir / "journal.db-wal").st_size < size_of_half + 4_000_000
