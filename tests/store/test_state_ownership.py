"""One owner of a state directory, by lock and by epoch: second openers, dead, frozen and thawed owners."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from controller.store.sqlite import StoreState
from controller.store.verify import verify
from model import events as ev
from model.errors import JournalError, LeadershipLostError
from tests.journal_child import journal_child
from tests.store.conftest import OpenStore


def freeze(pid: int) -> None:
    """Until the kernel says that it is stopped."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline


def thaw(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)


async def test_a_second_opener_observes_and_refuses_to_act(open_store: OpenStore, state_dir: Path) -> None:
    with journal_child("serve", state_dir) as child:
        assert child.line() == "owner 1"
        store = open_store(owner="second")
        assert store.state is StoreState.OBSERVER
        assert not store.held()
        assert store.epoch == 1
        with pytest.raises(LeadershipLostError, match=rf"child \(pid {child.pid}, epoch 1") as refused:
            await store.append("step.intent", {}, anchor=True)
        assert f"kill {child.pid}" in refused.value.hint
        assert str(child.pid) in store.problem
        assert child.ask("held") == "True"
        assert child.ask("step.intent") == "2"


async def test_an_observer_sees_what_the_owner_writes(open_store: OpenStore, state_dir: Path) -> None:
    with journal_child("serve", state_dir) as child:
        child.line()
        store = open_store(owner="second")
        assert [e.seq for e in store.events()] == [1]
        child.ask("step.intent")
        child.ask("step.result")
        assert [e.type for e in store.events(since_seq=1)] == ["step.intent", "step.result"]
        assert store.head.seq == 3


async def test_two_stores_of_one_process_do_not_share_ownership(open_store: OpenStore) -> None:
    first, second = open_store(), open_store(owner="second")
    assert first.held()
    assert not second.held()


async def test_a_dead_owner_leaves_the_lock_and_the_epoch_grows(
    open_store: OpenStore, state_dir: Path
) -> None:
    with journal_child("serve", state_dir) as child:
        child.line()
        child.ask("step.intent")
        child.kill()
        store = open_store(owner="successor")
        assert store.held()
        assert store.epoch == 2
        taken = store.events()[-1]
        assert taken.type == ev.EPOCH_TAKEN
        assert taken.data["previous_owner"] == "child"


async def test_a_frozen_owner_is_taken_over_and_writes_nothing_when_it_thaws(
    open_store: OpenStore, state_dir: Path
) -> None:
    with journal_child("serve", state_dir) as child:
        child.line()
        assert child.ask("step.intent") == "2"
        freeze(child.pid)
        store = open_store(owner="li.wei", take_over=True, reason="ops1 hangs, TICKET-7")
        assert store.state is StoreState.OWNER
        assert store.epoch == 2
        taken = store.events()[-1]
        assert dict(taken.data) == {
            "owner": "li.wei",
            "previous_owner": "child",
            "reason": "ops1 hangs, TICKET-7",
        }
        mine = await store.append("step.intent", {"by": "li.wei"}, anchor=True)
        child.tell("step.result")
        thaw(child.pid)
        answer = child.line()
        assert answer.startswith("LeadershipLostError")
        assert "li.wei" in answer
        assert "nothing was written" in answer
        assert child.ask("held") == "False"
        assert child.ask("step.intent").startswith("LeadershipLostError")
        assert store.held()
        assert (await store.append("step.result", {})).seq == mine.seq + 1
        assert [e.writer for e in store.events()] == ["child", "child", "li.wei", "li.wei", "li.wei"]
        assert child.ask("close") == "closed"
        assert store.held(), "an old owner that goes takes nothing with it"
    store.close()
    assert verify(state_dir).problems == ()


async def test_a_frozen_owner_learns_of_the_new_epoch_from_held_alone(
    open_store: OpenStore, state_dir: Path
) -> None:
    with journal_child("serve", state_dir) as child:
        child.line()
        freeze(child.pid)
        open_store(owner="li.wei", take_over=True)
        child.tell("held")
        thaw(child.pid)
        assert child.line() == "False"


async def test_after_a_take_over_the_lock_is_the_takers(open_store: OpenStore, state_dir: Path) -> None:
    """The frozen owner's death frees a lock that counts for nothing any more."""
    with journal_child("serve", state_dir) as child:
        child.line()
        freeze(child.pid)
        taker = open_store(owner="li.wei", take_over=True)
        child.kill()
        third = open_store(owner="third")
        assert third.state is StoreState.OBSERVER
        assert "li.wei" in third.problem
        assert taker.held()
        taker.close()
        assert open_store(owner="fourth").held()


async def test_a_take_over_of_a_free_directory_is_an_ordinary_start(open_store: OpenStore) -> None:
    assert open_store(take_over=True, reason="no daemon").epoch == 1


async def test_an_owner_frozen_in_the_midst_of_a_write_is_named_as_what_must_be_killed(
    open_store: OpenStore, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.store.database.BUSY_S", 0.1)
    with journal_child("in-write", state_dir) as child:
        assert child.line() == "writing"
        freeze(child.pid)
        store = open_store(owner="li.wei", take_over=True)
        assert store.state is StoreState.BROKEN
        with pytest.raises(JournalError, match="write lock") as refused:
            await store.append("step.intent", {})
        assert "kill -9" in refused.value.hint
        child.kill()
        assert open_store(owner="li.wei").held()
    assert verify(state_dir).ok


async def test_the_epoch_is_checked_inside_the_inserting_transaction(
    open_store: OpenStore,
) -> None:
    """Taken over between the check before a step (`held`) and the append of its intent."""
    store = open_store()
    assert store.held()
    taker = open_store(owner="li.wei", take_over=True)
    with pytest.raises(LeadershipLostError):
        await store.append("step.intent", {}, anchor=True)
    assert store.state is StoreState.LOST
    assert [e.type for e in store.events()] == [ev.EPOCH_TAKEN, ev.EPOCH_TAKEN], "it goes on observing"
    await taker.append("step.intent", {"by": "taker"})
    assert store.events()[-1].data == {"by": "taker"}


async def test_an_owner_that_thaws_between_commit_and_anchor_does_not_disturb_the_takers_anchors(
    open_store: OpenStore, state_dir: Path
) -> None:
    frozen = open_store(owner="frozen")
    last = await frozen.append("step.intent", {}, anchor=True)
    taker = open_store(owner="li.wei", take_over=True)
    mine = await taker.append("step.intent", {"by": "taker"}, anchor=True)
    assert frozen._session is not None
    frozen._session._anchor_head(last, sync=True)  # what it was about to do when it was stopped
    lines = [line.split()[0] for line in (state_dir / "anchor").read_text().splitlines() if line.strip()]
    assert lines[-2:] == [str(mine.seq - 1), str(mine.seq)]
