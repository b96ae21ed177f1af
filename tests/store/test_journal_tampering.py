"""A journal that is not what was written: found, named, and never appended to."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from controller.store.chain import EMPTY
from controller.store.records import text_hash
from controller.store.sqlite import StoreState
from controller.store.verify import verify
from model.canonical import canonical_json
from model.errors import JournalError
from tests.store.conftest import OpenStore

Tamper = Callable[..., None]


async def assert_found(state_dir: Path, open_store: OpenStore, *words: str) -> None:
    """`verify` names it; an opened store refuses to append, says why and what to do, and still reads."""
    report = verify(state_dir)
    assert not report.ok
    problems = "\n".join(report.problems)
    for word in words:
        assert word in problems
    before = sorted((p.name, p.read_bytes()) for p in state_dir.glob("journal.db*"))
    store = open_store()
    assert store.state is StoreState.BROKEN
    assert not store.held()
    assert words[0] in store.problem
    with pytest.raises(JournalError, match="can't be trusted") as refused:
        await store.append("step.intent", {}, anchor=True)
    assert "journal repair" in refused.value.hint
    store.close()
    assert verify(state_dir).problems == report.problems
    if before:
        assert (state_dir / "journal.db").stat().st_size == len(dict(before)["journal.db"])


async def test_an_untouched_journal_is_sound(written: Path, open_store: OpenStore) -> None:
    report = verify(written)
    assert report.ok
    assert report.problems == ()
    assert (report.records, report.last_seq, report.last_good_seq, report.anchored_seq) == (10, 10, 10, 10)
    assert open_store().held()


async def test_an_edited_record(written: Path, open_store: OpenStore, tamper: Tamper) -> None:
    tamper("UPDATE journal SET record = replace(record, '\"n\":5', '\"n\":6') WHERE seq = 5")
    await assert_found(written, open_store, "record 5: its content was changed")
    assert verify(written).last_good_seq == 4


async def test_an_edited_record_with_its_hash_made_to_fit(
    written: Path, open_store: OpenStore, tamper: Tamper
) -> None:
    with closing(sqlite3.connect(written / "journal.db")) as connection:
        (text,) = connection.execute("SELECT record FROM journal WHERE seq = 5").fetchone()
    edited = text.replace('"n":5', '"n":6')
    tamper(f"UPDATE journal SET record = '{edited}', hash = '{text_hash(edited.encode())}' WHERE seq = 5")
    await assert_found(written, open_store, "record 6: does not follow")


async def test_the_whole_chain_computed_anew(written: Path, open_store: OpenStore) -> None:
    with closing(sqlite3.connect(written / "journal.db")) as connection:
        head = EMPTY.hash
        for seq, text in connection.execute("SELECT seq, record FROM journal ORDER BY seq").fetchall():
            record = json.loads(text) | {"prev": head}
            if seq == 5:
                record["data"] = {"n": 6}
            new = canonical_json(record)
            head = text_hash(new)
            connection.execute(
                "UPDATE journal SET record = ?, hash = ? WHERE seq = ?", (new.decode(), head, seq)
            )
        connection.commit()
    await assert_found(written, open_store, "record 5: is not the one that anchor line", "record 6")


async def test_deleted_records(written: Path, open_store: OpenStore, tamper: Tamper) -> None:
    tamper("DELETE FROM journal WHERE seq IN (4, 5)")
    await assert_found(written, open_store, "records 4 to 5: missing")


async def test_the_beginning_cut_off(written: Path, open_store: OpenStore, tamper: Tamper) -> None:
    tamper("DELETE FROM journal WHERE seq < 4")
    await assert_found(written, open_store, "records 1 to 3: missing")


async def test_the_tail_cut_off(written: Path, open_store: OpenStore, tamper: Tamper) -> None:
    tamper("DELETE FROM journal WHERE seq > 8")
    await assert_found(written, open_store, "records 9 to 10: cut off")


async def test_everything_deleted(written: Path, open_store: OpenStore, tamper: Tamper) -> None:
    tamper("DELETE FROM journal", "DELETE FROM leadership")
    await assert_found(written, open_store, "records 1 to 10: cut off")


async def test_an_older_copy_of_the_log_put_back(open_store: OpenStore, state_dir: Path) -> None:
    """SQLite itself says that this database is sound."""
    store = open_store()
    await store.append("step.intent", {"step": "detach"}, anchor=True)
    wal = (state_dir / "journal.db-wal").read_bytes()
    await store.append("step.intent", {"step": "promote"}, anchor=True)
    copy = state_dir.with_name("copy")
    shutil.copytree(state_dir, copy)
    store.close()
    shutil.rmtree(state_dir)
    copy.rename(state_dir)
    (state_dir / "journal.db-wal").write_bytes(wal)
    with closing(sqlite3.connect(state_dir / "journal.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT max(seq) FROM journal").fetchone() == (2,)
    await assert_found(state_dir, open_store, "records 3 to 3: cut off")


async def test_records_in_another_order(written: Path, open_store: OpenStore, tamper: Tamper) -> None:
    tamper(
        "UPDATE journal SET seq = 999 WHERE seq = 4",
        "UPDATE journal SET seq = 4 WHERE seq = 5",
        "UPDATE journal SET seq = 5 WHERE seq = 999",
    )
    await assert_found(written, open_store, "row 4: holds record 5", "row 5: holds record 4")


async def test_records_of_another_journal(
    written: Path, open_store: OpenStore, tamper: Tamper, tmp_path: Path
) -> None:
    shutil.copytree(written, tmp_path / "mine")
    shutil.rmtree(written)
    other = open_store(owner="other")
    for number in range(2, 11):
        await other.append("step.result", {"n": number})
    other.close()
    tamper(
        f"ATTACH '{tmp_path}/mine/journal.db' AS mine",
        "UPDATE journal SET (record, hash) = (SELECT m.record, m.hash FROM mine.journal m WHERE m.seq = 7) "
        "WHERE seq = 7",
    )
    await assert_found(written, open_store, "record 7: does not follow", "record 8: does not follow")


async def test_a_record_that_is_no_record(written: Path, open_store: OpenStore, tamper: Tamper) -> None:
    text = "[1]"
    tamper(f"UPDATE journal SET record = '{text}', hash = '{text_hash(text.encode())}' WHERE seq = 3")
    await assert_found(written, open_store, "record 3: can't be read", "record 4: does not follow")


async def test_an_edited_anchor(written: Path, open_store: OpenStore) -> None:
    anchor = written / "anchor"
    content = anchor.read_text()
    line = content.splitlines()[4]
    seq, hash_, _wall = line.split()
    anchor.write_text(content.replace(hash_, hash_[::-1]))
    await assert_found(written, open_store, f"record {seq}: is not the one that anchor line 5 anchored")


@pytest.mark.parametrize("line", ["garbage", "7 0000", "-1 " + "0" * 64 + " 2026-11-25T13:30:00.000000Z"])
async def test_an_anchor_that_is_none(written: Path, open_store: OpenStore, line: str) -> None:
    anchor = written / "anchor"
    content = anchor.read_text().splitlines(keepends=True)
    content[5] = line.ljust(127) + "\n"
    anchor.write_text("".join(content))
    await assert_found(written, open_store, "anchor line 6: is no anchor")


async def test_an_anchor_file_taken_away(written: Path, open_store: OpenStore) -> None:
    (written / "anchor").unlink()
    await assert_found(written, open_store, "the anchor file is missing or empty")


async def test_an_anchor_file_emptied(written: Path, open_store: OpenStore) -> None:
    (written / "anchor").write_text("")
    await assert_found(written, open_store, "the anchor file is missing or empty")


async def test_the_database_taken_away(written: Path, open_store: OpenStore) -> None:
    (written / "journal.db").unlink()
    await assert_found(written, open_store, "journal.db is missing")
    assert not (written / "journal.db").exists()


async def test_the_database_emptied(written: Path, open_store: OpenStore) -> None:
    (written / "journal.db").write_bytes(b"")
    report = verify(written)
    assert "records 1 to 10: cut off" in report.problems[0]
    assert open_store().state is StoreState.BROKEN


async def test_a_file_that_is_no_database(written: Path, open_store: OpenStore) -> None:
    (written / "journal.db").write_bytes(b"no database at all " * 500)
    assert "not a database" in verify(written).problems[0]
    store = open_store()
    assert store.state is StoreState.BROKEN
    with pytest.raises(JournalError, match="not a database"):
        await store.append("step.intent", {})


async def test_a_damaged_page(written: Path, open_store: OpenStore) -> None:
    content = bytearray((written / "journal.db").read_bytes())
    content[4096:12288] = b"\xff" * 8192
    (written / "journal.db").write_bytes(content)
    assert not verify(written).ok
    assert open_store().state is StoreState.BROKEN


async def test_the_epoch_set_back(written: Path, open_store: OpenStore, tamper: Tamper) -> None:
    tamper("UPDATE leadership SET epoch = 0")
    await assert_found(written, open_store, "the leadership row was set back to epoch 0; it was 1")


async def test_what_can_be_read_of_a_bad_journal_is_read(
    written: Path, open_store: OpenStore, tamper: Tamper
) -> None:
    tamper("UPDATE journal SET record = 'x' WHERE seq = 5")
    assert [e.seq for e in open_store().events()] == [1, 2, 3, 4, 6, 7, 8, 9, 10]


async def test_a_change_under_the_running_owner_stops_it(
    open_store: OpenStore, state_dir: Path, tamper: Tamper
) -> None:
    store = open_store()
    await store.append("step.intent", {"step": "detach"})
    tamper("DELETE FROM journal WHERE seq = 2")
    with pytest.raises(JournalError, match="changed from outside"):
        await store.append("step.intent", {"step": "promote"})
    assert not store.held()
    assert store.state is StoreState.BROKEN
    with pytest.raises(JournalError, match="changed from outside"):
        await store.append("step.intent", {"step": "promote"})


async def test_a_database_replaced_under_the_running_owner_stops_it(
    open_store: OpenStore, state_dir: Path
) -> None:
    store = open_store()
    (state_dir / "journal.db").rename(state_dir / "away")
    with pytest.raises(JournalError, match="moved or replaced"):
        await store.append("step.intent", {})
    assert not store.held()


async def test_records_of_an_older_version_are_accepted(written: Path, open_store: OpenStore) -> None:
    """Version 0 had no actor and no clock offset, and its last record here is one of it."""
    with closing(sqlite3.connect(written / "journal.db")) as connection:
        seq, text = connection.execute("SELECT seq, record FROM journal WHERE seq = 10").fetchone()
        record = json.loads(text) | {"v": 0}
        del record["actor"], record["wall_offset_us"]
        new = canonical_json(record)
        connection.execute(
            "UPDATE journal SET record = ?, hash = ? WHERE seq = ?", (new.decode(), text_hash(new), seq)
        )
        connection.commit()
    anchor = written / "anchor"
    lines = anchor.read_text().splitlines(keepends=True)
    lines[10] = lines[10].replace(lines[10].split()[1], text_hash(new))
    anchor.write_text("".join(lines))
    assert verify(written).problems == ()
    store = open_store()
    assert store.held()
    old = store.events()[9]
    assert (old.v, old.actor, old.wall_offset_us) == (0, "daemon", None)
    assert (await store.append("step.result", {})).seq == 12
    store.close()
    assert verify(written).ok
