"""The anchor file and the copies in the system log."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from controller.store import anchor as anchor_module
from controller.store.anchor import LINE_BYTES, AnchorFile, read_anchors
from controller.store.files import StateFiles
from controller.store.syslog import SystemLog
from controller.store.verify import verify
from model.events import GENESIS_HASH
from tests.store.conftest import OpenStore

WALL = "2026-11-25T13:30:00.000000Z"


def hash_of(number: int) -> str:
    return f"{number:064x}"


def filled(tmp_path: Path, count: int, lines: int = 8) -> tuple[StateFiles, AnchorFile]:
    files = StateFiles(tmp_path)
    anchor = AnchorFile(files, lines=lines)
    anchor.open(0, GENESIS_HASH, WALL)
    for number in range(1, count + 1):
        anchor.ensure_room()
        anchor.put(number, hash_of(number), WALL, sync=number % 3 == 0)
    return files, anchor


def test_lines_are_text_that_a_person_can_read(tmp_path: Path) -> None:
    filled(tmp_path, 2)[1].close()
    text = (tmp_path / "anchor").read_text()
    assert [line.rstrip() for line in text.splitlines() if line.strip()] == [
        f"0 {GENESIS_HASH} {WALL}",
        f"1 {hash_of(1)} {WALL}",
        f"2 {hash_of(2)} {WALL}",
    ]


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 9, 40])
def test_two_files_of_bounded_size_keep_the_newest_lines(tmp_path: Path, count: int) -> None:
    files, anchor = filled(tmp_path, count)
    anchor.close()
    found = read_anchors(files)
    assert found.problems == ()
    assert found.last is not None
    assert found.last.seq == count
    assert found.last.hash == hash_of(count)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 2 * 8 * LINE_BYTES
    seqs = sorted({a.seq for a in found.lines})
    assert seqs == list(range(seqs[0], count + 1))


def test_it_goes_on_after_the_last_line(tmp_path: Path) -> None:
    files, anchor = filled(tmp_path, 3)
    anchor.close()
    again = AnchorFile(files, lines=8)
    again.open(99, hash_of(99), WALL)
    again.put(4, hash_of(4), WALL, sync=True)
    again.close()
    assert [a.seq for a in read_anchors(files).lines] == [0, 1, 2, 3, 4]


def test_writing_a_line_does_not_change_the_files_size(tmp_path: Path) -> None:
    """So it needs no room on a full disk, and syncing it touches no metadata."""
    _files, anchor = filled(tmp_path, 0)
    before = (tmp_path / "anchor").stat()
    for number in range(1, 8):
        anchor.put(number, hash_of(number), WALL, sync=True)
    after = (tmp_path / "anchor").stat()
    assert (after.st_size, after.st_blocks) == (before.st_size, before.st_blocks)
    anchor.close()


def test_lines_that_were_allocated_but_not_written_are_blank(tmp_path: Path) -> None:
    files, anchor = filled(tmp_path, 3)
    anchor.close()
    with (tmp_path / "anchor").open("r+b") as file:
        file.seek(2 * LINE_BYTES)
        file.write(b"\0" * LINE_BYTES)
    found = read_anchors(files)
    assert found.problems == ()
    assert [a.seq for a in found.lines] == [0, 1, 3]


def test_lines_out_of_order_are_a_problem(tmp_path: Path) -> None:
    files, anchor = filled(tmp_path, 3)
    anchor.put(2, hash_of(2), WALL, sync=False)
    anchor.close()
    assert read_anchors(files).problems == ("anchor line 5: record 2 after record 3",)


@pytest.mark.parametrize("failing", ["link", "fsync"])
def test_a_rotation_that_fails_leaves_the_old_file_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    files, anchor = filled(tmp_path, 7)

    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(anchor_module.os, failing, fail)
        with pytest.raises(OSError, match="No space"):
            anchor.ensure_room()
    assert [a.seq for a in read_anchors(files).lines] == list(range(8))
    anchor.ensure_room()
    anchor.put(8, hash_of(8), WALL, sync=True)
    assert read_anchors(files).last is not None
    assert [a.seq for a in read_anchors(files).lines] == [*range(8), 7, 8]
    anchor.close()


async def test_the_journal_rotates_its_anchors_and_stays_sound(
    open_store: OpenStore, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    assert store._session is not None
    store._session._anchor._lines = 16
    for number in range(60):
        await store.append("step.result", {"n": number}, anchor=number % 7 == 0)
    store.close()
    report = verify(state_dir)
    assert report.ok, report.problems
    assert report.anchored_seq == 61
    assert (state_dir / "anchor.1").exists()


async def test_anchored_heads_go_to_the_system_log(open_store: OpenStore, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        log.settimeout(10)
        store = open_store(syslog=path)
        opened = log.recv(1000).decode()
        await store.append("step.result", {})
        event = await store.append("step.intent", {}, anchor=True)
        assert (
            log.recv(1000).decode()
            == f"<85>bcm-failover[{os.getpid()}]: journal anchor seq=3 hash={event.hash} epoch=1"
        )
        assert "seq=1 " in opened


async def test_a_log_that_takes_nothing_holds_nobody_up(open_store: OpenStore, tmp_path: Path) -> None:
    path = tmp_path / "log"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        store = open_store(syslog=path)
        for number in range(300):  # far more than its queue holds; nobody reads
            await store.append("step.intent", {"n": number}, anchor=True)
        assert store.problem == ""


def test_a_log_daemon_that_restarts_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    client = SystemLog(path)
    assert client.send("nobody there") is False
    for text in ("one", "two"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            log.bind(str(path))
            assert client.send(text)
            assert log.recv(1000).decode().endswith(text)
        path.unlink()
    client.close()
