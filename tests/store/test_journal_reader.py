"""Reading without a daemon, and beside one: no lock, no new file, light imports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from controller.store.reader import read_events, read_owner
from controller.store.verify import verify
from model.errors import JournalError
from tests.journal_child import ROOT, journal_child
from tests.store.conftest import OpenStore


def listing(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in sorted(directory.iterdir())}


async def test_a_journal_that_was_closed_is_read_and_left_as_it_was(written: Path) -> None:
    before = listing(written)
    assert [e.seq for e in read_events(written)] == list(range(1, 11))
    assert [e.seq for e in read_events(written, since_seq=7, service="orders")] == [8, 9, 10]
    assert read_events(written, types=["absent"]) == []
    owner = read_owner(written)
    assert owner is not None
    assert (owner.owner, owner.pid, owner.epoch) == ("ops1", os.getpid(), 1)
    assert verify(written).ok
    assert listing(written) == before


async def test_a_journal_whose_owner_was_killed_is_read_with_its_log(state_dir: Path) -> None:
    with journal_child("serve", state_dir) as child:
        child.line()
        child.ask("step.intent")
        child.kill()
    before = listing(state_dir)
    assert [e.type for e in read_events(state_dir)] == ["epoch.taken", "step.intent"]
    assert verify(state_dir).ok
    assert {n: v for n, v in listing(state_dir).items() if n != "journal.db-shm"} == {
        n: v for n, v in before.items() if n != "journal.db-shm"
    }


async def test_a_copied_directory_without_the_logs_index_is_read_and_left_as_it_was(
    state_dir: Path, tmp_path: Path
) -> None:
    with journal_child("serve", state_dir) as child:
        child.line()
        child.ask("step.intent")
        child.kill()
    copy = tmp_path / "copy"
    shutil.copytree(state_dir, copy)
    (copy / "journal.db-shm").unlink()
    before = listing(copy)
    assert [e.type for e in read_events(copy)] == ["epoch.taken", "step.intent"]
    assert verify(copy).ok
    assert listing(copy) == before


async def test_reading_beside_a_living_owner_does_not_disturb_it(state_dir: Path) -> None:
    with journal_child("serve", state_dir) as child:
        child.line()
        for number in range(2, 12):
            assert child.ask("step.result") == str(number)
            assert read_events(state_dir)[-1].seq == number
            assert verify(state_dir).ok
        assert child.ask("held") == "True"


async def test_verifying_a_journal_that_grows_meanwhile_finds_no_fault(state_dir: Path) -> None:
    with journal_child("loop", state_dir) as child:
        assert child.line() == "open"
        last = 0
        for _ in range(15):
            report = verify(state_dir)
            assert report.ok, report.problems
            assert report.last_seq >= last
            last = report.last_seq
            for _ in range(20):
                child.line()


def test_no_journal_is_an_empty_one_and_makes_no_file(tmp_path: Path) -> None:
    assert read_events(tmp_path) == []
    assert read_owner(tmp_path) is None
    assert verify(tmp_path).ok
    assert verify(tmp_path).last_seq == 0
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"x" * 4096)
    with pytest.raises(JournalError, match=r"can't be read: .*not a database") as error:
        read_events(tmp_path)
    assert "verify" in error.value.hint


def test_readers_import_only_the_standard_library_and_the_model() -> None:
    """Client commands answer in under 0.3 s."""
    code = (
        "import sys; import controller.store.reader, controller.store.verify; "
        "print(sorted({m.partition('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)))"
    )
    out = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert out.strip() == "['__main__', 'controller', 'model']" or out.strip() == "['controller', 'model']"
    heavy = subprocess.run(
        [sys.executable, "-S", "-c", "import sys, controller.store.reader; print('asyncio' in sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert heavy.strip() == "False"


async def test_a_reader_with_the_owner_leaves_no_lock_behind(state_dir: Path, open_store: OpenStore) -> None:
    with journal_child("serve", state_dir) as child:
        child.line()
        read_events(state_dir)
        child.kill()
    read_events(state_dir)
    assert open_store().held()
