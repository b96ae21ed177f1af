"""With the daemon dead, what happened is still there: incidents, executions and the journal itself."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from controller.store.sqlite import SqliteStore
from model import events as ev
from tests.cli.conftest import Shell
from tests.fake_daemon import FakeDaemon, FakeJournal
from tests.virtual_clock import RealClock

DIAGNOSIS = {"code": "PrimaryProcessDown", "cause": "application", "level": "II", "sentence": "It is gone."}
OPENED = {"t0_ns": 1, "first_bad_ns": 2, "diagnosis": DIAGNOSIS, "level": "II", "manual": False, "frozen": {}}
VERDICT = {
    "verdict": "UNPROVEN", "lost": None, "reason": "1 of 2 readable", "method": "m", "inputs": {},
    "not_covered": ["sessions with synchronous_commit=local"],
}  # fmt: skip


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Of a daemon that is dead: one incident with one execution, which ended in its last step."""
    journal = FakeJournal()
    journal.append(ev.INCIDENT_OPENED, OPENED, incident="INC-2")
    journal.open_execution("EXE-3", ["lock", "promote"], incident="INC-2")
    journal.begin_step("EXE-3", "lock")
    journal.end_step("EXE-3", "lock", detail="2 locks held")
    journal.append(ev.RPO_VERDICT, VERDICT, incident="INC-2", execution="EXE-3")
    journal.begin_step("EXE-3", "promote")
    path = tmp_path / "state"

    async def write() -> None:
        store = SqliteStore.open(path, owner="ops1", clock=RealClock())
        for event in journal.records:
            await store.append(
                event.type,
                event.data,
                service=event.service,
                incident=event.incident,
                execution=event.execution,
            )
        store.close()

    asyncio.run(write())
    return path


def body_of(shell: Shell, *arguments: str) -> dict[str, Any]:
    return json.loads(shell(*arguments, "-o", "json").out)


def test_incidents_are_read_from_the_store(state_dir: Path, alone: Shell) -> None:
    said = alone("incident", "list")
    assert said.code == 0
    assert "INC-2" in said.out
    assert "PrimaryProcessDown" in said.out
    assert f"read from the store in {state_dir}" in said.err
    shown = alone("incident", "show", "INC-2")
    assert shown.code == 0
    for words in ("It is gone.", "UNPROVEN", "1 of 2 readable", "not observed", "synchronous_commit=local"):
        assert words in shown.out
    assert alone("incident", "show", "INC-9").code == 2


def test_executions_are_read_from_the_store(state_dir: Path, alone: Shell) -> None:
    assert [e["id"] for e in body_of(alone, "execution", "list")["items"]] == ["EXE-3"]
    shown = alone("execution", "show", "EXE-3")
    assert shown.code == 0
    assert "2 locks held" in shown.out
    assert alone("execution", "show", "EXE-9").code == 2


def test_daemon_and_store_tell_the_same(
    state_dir: Path, alone: Shell, bcm: Shell, daemon: FakeDaemon
) -> None:
    from controller.store.reader import read_events

    daemon.journal.records = read_events(state_dir)
    for arguments in (("incident", "list"), ("incident", "show", "INC-2"), ("execution", "list")):
        assert body_of(bcm, *arguments) == body_of(alone, *arguments)
    by_daemon, by_store = (body_of(shell, "execution", "show", "EXE-3") for shell in (bcm, alone))
    assert by_daemon.pop("last_seq")
    assert by_daemon == by_store


def test_a_report_is_the_same_from_daemon_and_store(
    state_dir: Path, alone: Shell, bcm: Shell, daemon: FakeDaemon
) -> None:
    from controller.store.reader import read_events

    daemon.journal.records = read_events(state_dir)
    for lang, title in (("en", "Incident report"), ("zh", "事件报告")):
        page = alone("incident", "report", "INC-2", "--lang", lang)
        assert title in page.out
        assert bcm("incident", "report", "INC-2", "--lang", lang).out == page.out
    data = json.loads(alone("incident", "report", "INC-2", "--format", "json").out)
    assert (data["apiVersion"], data["kind"]) == ("bcm-failover/v1", "IncidentReport")
    assert data == body_of(bcm, "incident", "report", "INC-2")
    assert alone("incident", "report", "INC-9").code == 2


def test_neither_daemon_nor_store_is_unreachable_and_names_both(alone: Shell, state_dir: Path) -> None:
    (state_dir / "journal.db").write_bytes(b"this is no database" * 100)
    said = alone("incident", "list")
    assert said.code == 5
    assert "--state-dir" in said.err or "journal verify" in said.err


def test_changes_need_a_daemon(state_dir: Path, alone: Shell) -> None:
    assert alone("switchover", "orders").code == 5
    assert alone("execution", "resume", "EXE-3").code == 5


# --- the journal itself


def test_a_sound_journal_is_said_to_be_sound(state_dir: Path, alone: Shell) -> None:
    said = alone("journal", "verify")
    assert (said.code, "ok: " in said.out) == (0, True)
    assert body_of(alone, "journal", "verify")["ok"] is True


def test_an_edited_journal_is_found_and_can_be_sealed(state_dir: Path, alone: Shell) -> None:
    edit(state_dir, lambda text: text.replace("2 locks held", "3 locks held"))
    said = alone("journal", "verify")
    assert said.code == 1
    assert "NOT what was written" in said.out
    assert "journal repair" in said.out
    repaired = alone("journal", "repair", "--reason", "edited by hand", "--yes")
    assert repaired.code == 0
    assert "sealed-" in repaired.out
    assert alone("journal", "verify").code == 0


def test_a_sound_journal_is_not_repaired(state_dir: Path, alone: Shell) -> None:
    said = alone("journal", "repair", "--reason", "why not", "--yes")
    assert said.code == 1
    assert "nothing to repair" in said.err


def test_a_repair_needs_a_person(state_dir: Path, alone: Shell) -> None:
    alone.options = alone.options[:4]
    said = alone("journal", "repair", "--reason", "x", "--yes")
    assert said.code == 2
    assert "--person" in said.err


def test_the_export_can_be_checked_without_this_product(
    state_dir: Path, alone: Shell, tmp_path: Path
) -> None:
    import hashlib

    lines = alone("journal", "export").out.splitlines()
    previous = "0" * 64
    for line in lines:
        record: Mapping[str, Any] = json.loads(line)
        body = {k: v for k, v in record.items() if k != "hash"}
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert record["prev"] == previous
        assert record["hash"] == hashlib.sha256(text.encode()).hexdigest()
        previous = record["hash"]
    assert len(lines) >= 6
    file = tmp_path / "out.jsonl"
    assert alone("journal", "export", "--to", str(file)).code == 0
    assert file.read_text().splitlines() == lines
    assert alone("journal", "export", "--to", str(file)).code == 2


def test_a_past_moment_is_explained_from_the_store(state_dir: Path, alone: Shell) -> None:
    said = alone("explain", "orders", "--incident", "INC-2")
    assert said.code == 0
    assert "as it stood at" in said.out
    assert "orders: PrimaryProcessDown" in said.out
    assert alone("explain", "orders", "--at", "yesterday").code == 2


@pytest.mark.parametrize("action", ["verify", "export"])
def test_a_wrong_path_does_not_look_like_an_empty_journal(alone: Shell, action: str) -> None:
    said = alone("journal", action)
    assert said.code == 2
    assert "no such state directory" in said.err


def edit(state_dir: Path, change: Callable[[str], str]) -> None:
    """As somebody with the sqlite3 shell would."""
    with closing(sqlite3.connect(state_dir / "journal.db")) as connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in tables:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for column in columns:
                for rowid, value in connection.execute(f"SELECT rowid, {column} FROM {table}").fetchall():
                    if isinstance(value, str) and change(value) != value:
                        connection.execute(
                            f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (change(value), rowid)
                        )
        connection.commit()
