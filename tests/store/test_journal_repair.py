"""A new journal in place of a broken one: the old one is kept, named and never continued in silence."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from controller.store import repair
from controller.store.reader import export_jsonl
from controller.store.repair import seal_and_restart
from controller.store.sqlite import StoreState
from controller.store.verify import verify
from model import events as ev
from model.canonical import record_hash
from model.errors import JournalError, UsageError
from model.events import GENESIS_HASH
from tests.journal_child import journal_child
from tests.store.conftest import OpenStore

Tamper = Callable[..., None]


async def test_the_new_journal_begins_with_what_became_of_the_old_one(
    written: Path, open_store: OpenStore, tamper: Tamper
) -> None:
    store = open_store()
    good = store.events()[3]
    store.close()
    tamper("UPDATE journal SET record = replace(record, '\"n\":5', '\"n\":6') WHERE seq = 5")
    old = {p.name: p.read_bytes() for p in written.iterdir()}
    first = seal_and_restart(written, "li.wei", "disk replaced, TICKET-7")
    assert (first.type, first.seq, first.prev) == (ev.JOURNAL_RESTARTED, 12, GENESIS_HASH)
    assert first.epoch == 3
    assert first.actor == "li.wei"
    assert first.data["person"] == "li.wei"
    assert first.data["reason"] == "disk replaced, TICKET-7"
    assert (first.data["last_good_seq"], first.data["last_good_hash"]) == (4, good.hash)
    assert "record 5: its content was changed" in first.data["problems"][0]
    sealed = written / first.data["sealed"]
    for name, digest in first.data["digests"].items():
        assert digest == "sha256:" + hashlib.sha256((sealed / name).read_bytes()).hexdigest()
        assert (sealed / name).read_bytes() == old[name], "nothing is changed in what is moved aside"
    assert {"journal.db", "anchor"} <= set(first.data["digests"])
    assert verify(sealed).problems, "the old one can still be looked at"


async def test_the_new_journal_is_sound_and_goes_on_counting(
    written: Path, open_store: OpenStore, tamper: Tamper
) -> None:
    tamper("DELETE FROM journal WHERE seq > 4")
    seal_and_restart(written, "li.wei", "cut off")
    assert verify(written).problems == ()
    store = open_store()
    assert store.held()
    assert store.epoch == 3
    event = await store.append(ev.INCIDENT_OPENED, {}, incident="new", anchor=True)
    assert event.incident == "INC-13", "the anchor knew of record 10: no number is used twice"
    assert [e.seq for e in store.events()] == [11, 12, 13]
    assert [e.seq for e in store.events(since_seq=11)] == [12, 13]
    store.close()
    report = verify(written)
    assert report.ok
    assert (report.records, report.last_seq) == (3, 13)


async def test_a_sound_journal_is_not_sealed(written: Path) -> None:
    with pytest.raises(JournalError, match="sound"):
        seal_and_restart(written, "li.wei", "just in case")
    assert verify(written).ok


async def test_a_repair_without_person_or_reason_is_refused(written: Path, tamper: Tamper) -> None:
    tamper("DELETE FROM journal WHERE seq > 4")
    for person, reason in (("", "why"), ("li.wei", " ")):
        with pytest.raises(UsageError, match="person and a reason"):
            seal_and_restart(written, person, reason)
    assert not verify(written).ok


async def test_a_living_owner_is_not_repaired_under_its_hands(state_dir: Path) -> None:
    with journal_child("serve", state_dir) as child:
        child.line()
        with pytest.raises(JournalError, match=f"child .pid {child.pid}") as refused:
            seal_and_restart(state_dir, "li.wei", "why")
        assert "stop the daemon" in refused.value.hint


async def test_a_daemon_that_found_its_journal_broken_leaves_the_lock_to_the_repair(
    written: Path, open_store: OpenStore, tamper: Tamper
) -> None:
    tamper("DELETE FROM journal WHERE seq = 4")
    daemon = open_store()
    assert daemon.state is StoreState.BROKEN
    seal_and_restart(written, "li.wei", "row lost")
    assert not daemon.held()
    with pytest.raises(JournalError):
        await daemon.append("step.intent", {})
    daemon.close()
    assert open_store().held()


async def test_the_beginning_of_a_new_journal_can_not_be_forged_into_the_middle(
    written: Path, open_store: OpenStore, tamper: Tamper
) -> None:
    tamper("DELETE FROM journal WHERE seq = 4")
    seal_and_restart(written, "li.wei", "row lost")
    store = open_store()
    await store.append("step.result", {})
    await store.append(ev.JOURNAL_RESTARTED, {})
    store.close()
    assert "begins a new journal in the middle" in verify(written).problems[0]


class KilledError(Exception):
    pass


@pytest.mark.parametrize("step", range(1, 8))
async def test_a_repair_that_was_interrupted_is_finished_by_the_next(
    written: Path, open_store: OpenStore, tamper: Tamper, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Killed before its n-th renaming or removal: the store refuses until the repair has run again."""
    tamper("DELETE FROM journal WHERE seq = 4")
    count = 0
    rename, rmtree = Path.rename, shutil.rmtree

    def counted() -> None:
        nonlocal count
        count += 1
        if count == step:
            raise KilledError

    def renaming(path: Path, target: Path) -> Path:
        if "anchor.new" not in path.name:
            counted()
        return rename(path, target)

    def removing(path: Path, ignore_errors: bool = False) -> None:
        counted()
        rmtree(path, ignore_errors=ignore_errors)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", renaming)
        patch.setattr(repair.shutil, "rmtree", removing)
        try:
            seal_and_restart(written, "li.wei", "row lost")
        except KilledError:
            store = open_store()
            assert store.state is StoreState.BROKEN
            assert not verify(written).ok
            store.close()
            first = seal_and_restart(written, "zhang.min", "again")
        else:
            pytest.fail(f"a repair has only {count} such steps")
    assert verify(written).problems == ()
    (sealed,) = written.glob("sealed-*")
    assert (sealed / "journal.db").exists()
    assert (sealed / "anchor").exists()
    assert not (written / "restarting").exists()
    assert first.type == ev.JOURNAL_RESTARTED
    store = open_store()
    assert store.held()
    assert store.events()[0] == first
    assert store.events()[-1].seq == 12


async def test_an_export_can_be_checked_by_whoever_has_it(written: Path) -> None:
    out = io.StringIO()
    assert export_jsonl(written, out) == 10
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [r["seq"] for r in records] == list(range(1, 11))
    head = GENESIS_HASH
    for record in records:
        assert record["prev"] == head
        assert record_hash(record) == record["hash"]
        head = record["hash"]
    assert head == verify(written).head_hash
