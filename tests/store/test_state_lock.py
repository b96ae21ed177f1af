"""The lock file itself, at the instants that a test with processes can't hit."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from controller.store import lock as lock_module
from controller.store.lock import StateLock


def test_a_lock_won_on_a_file_that_was_just_replaced_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A opens the file, B takes over with a new one, the old holder dies, A locks the old file."""
    holder, taker, late = (StateLock(tmp_path / "lock") for _ in range(3))
    assert holder.acquire()
    flock = fcntl.flock
    calls = 0

    def flock_after_a_take_over(descriptor: int, operation: int) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            with monkeypatch.context() as patch:
                patch.setattr(lock_module.fcntl, "flock", flock)
                taker.replace()
            holder.release()
        flock(descriptor, operation)

    monkeypatch.setattr(lock_module.fcntl, "flock", flock_after_a_take_over)
    assert late.acquire() is False
    assert taker.held
    assert calls == 2
    taker.release()
    assert late.acquire()
    late.release()


def test_a_lock_is_exclusive_and_may_be_taken_again(tmp_path: Path) -> None:
    first, second = StateLock(tmp_path / "lock"), StateLock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()
    assert (tmp_path / "lock").exists(), "removing it would let two lock two files of one name"
