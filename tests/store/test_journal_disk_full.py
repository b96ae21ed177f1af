"""A full disk under the journal: nothing is half written, and with room again it goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.store.sqlite import SqliteStore, StoreState
from controller.store.verify import verify
from model.errors import JournalFullError
from tests.virtual_clock import RealClock

Opener = Callable[[], SqliteStore]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    if os.geteuid() != 0:
        pytest.skip("a small file system can only be mounted by root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def opener(small_disk: Path) -> Iterator[Opener]:
    stores: list[SqliteStore] = []

    def opened() -> SqliteStore:
        stores.append(SqliteStore.open(small_disk / "state", owner="ops1", clock=RealClock()))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for block in (65536, 4096, 1):
            try:
                while True:
                    file.write(b"x" * block)
            except OSError:
                continue
    return ballast


async def test_appends_fail_clearly_when_the_disk_is_full_and_work_again_with_room(
    small_disk: Path, opener: Opener
) -> None:
    store = opener()
    await store.append("step.intent", {"n": 0}, anchor=True)
    ballast = fill(small_disk)
    written, failures = [], []
    for number in range(400):  # what room the log has left is used up first
        try:
            written.append((await store.append("step.result", {"n": number, "text": "x" * 3000})).seq)
        except JournalFullError as error:
            failures.append(error)
            if len(failures) == 3:
                break
    assert len(failures) == 3
    assert "full" in store.problem
    assert "nothing was written" in str(failures[0])
    assert str(small_disk) in failures[0].hint
    assert store.held(), "leadership is not a matter of room"
    assert store.state is StoreState.OWNER
    assert store.events()[-1].seq == max(written, default=2)
    ballast.unlink()
    event = await store.append("step.result", {"n": 999}, anchor=True)
    assert event.seq == max(written, default=2) + 1
    assert store.problem == ""
    store.close()
    report = verify(small_disk / "state")
    assert report.ok, report.problems
    assert report.last_seq == event.seq


async def test_an_anchor_needs_no_room(small_disk: Path, opener: Opener) -> None:
    store = opener()
    for number in range(20):
        await store.append("step.result", {"text": "x" * 3000, "n": number})
    assert store._session is not None
    store._session._unsaved = 10_000
    store._session.tidy(waiting=False)  # the log begins anew: it has room inside
    fill(small_disk)
    event = await store.append("step.intent", {}, anchor=True)
    assert str(event.seq) in (small_disk / "state" / "anchor").read_text()


async def test_a_daemon_that_starts_on_a_full_disk_observes_and_leads_when_there_is_room(
    small_disk: Path, opener: Opener
) -> None:
    first = opener()
    await first.append("step.result", {"n": 1})
    first.close()
    ballast = fill(small_disk)
    store = opener()
    assert store.state is StoreState.WAITING
    assert not store.held()
    assert "full" in store.problem
    assert [e.seq for e in store.events()] == [1, 2]
    with pytest.raises(JournalFullError):
        await store.append("step.intent", {})
    ballast.unlink()
    event = await store.append("step.intent", {})
    assert [e.type for e in store.events()] == ["epoch.taken", "step.result", "epoch.taken", "step.intent"]
    assert (event.seq, event.epoch) == (4, 2)
    assert store.held()
    assert store.state is StoreState.OWNER


async def test_a_first_start_on_a_full_disk(small_disk: Path, opener: Opener) -> None:
    (small_disk / "state").mkdir(mode=0o700)
    ballast = fill(small_disk)
    store = opener()
    assert not store.held()
    with pytest.raises(JournalFullError):
        await store.append("step.intent", {})
    ballast.unlink()
    assert (await store.append("step.intent", {})).seq == 2
    store.close()
    assert verify(small_disk / "state").ok
