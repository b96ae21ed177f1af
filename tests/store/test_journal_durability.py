"""What is on disk before an append returns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controller.store import anchor as anchor_module
from controller.store.sqlite import StoreState
from controller.store.verify import verify
from model.errors import JournalError
from tests.store.conftest import OpenStore


async def test_each_commit_is_synced_through_a_write_ahead_log(open_store: OpenStore) -> None:
    store = open_store()
    assert store._session is not None
    assert store._session._connection is not None
    assert store._session._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._session._connection.execute("PRAGMA synchronous").fetchone() == (2,)


async def test_an_anchored_append_syncs_the_anchor_and_another_does_not(
    open_store: OpenStore, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    synced: list[str] = []
    fdatasync = os.fdatasync

    def recorded(descriptor: int) -> None:
        fdatasync(descriptor)
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    monkeypatch.setattr(anchor_module.os, "fdatasync", recorded)
    await store.append("step.result", {})
    assert synced == []
    await store.append("step.intent", {}, anchor=True)
    assert synced == [str(state_dir / "anchor")]


async def test_the_newest_record_is_anchored_even_if_nobody_asked(
    open_store: OpenStore, state_dir: Path
) -> None:
    """A line costs one write; it shows a cut tail after a kill, if not after a power cut."""
    store = open_store()
    event = await store.append("step.result", {})
    assert f"{event.seq} {event.hash}" in (state_dir / "anchor").read_text()


async def test_an_anchor_that_can_not_be_written_stops_all_further_acting(
    open_store: OpenStore, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed sync the kernel may call the next one a success: nothing is believed any more."""
    store = open_store()

    def fail(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(anchor_module.os, "fdatasync", fail)
        with pytest.raises(JournalError, match="anchor can't be written"):
            await store.append("step.intent", {}, anchor=True)
    assert not store.held()
    assert store.state is StoreState.BROKEN
    with pytest.raises(JournalError, match="anchor can't be written"):
        await store.append("step.intent", {})
    store.close()
    assert verify(state_dir).ok
    assert open_store().held()
