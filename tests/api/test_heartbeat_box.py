"""The mailbox for heartbeats: bounded, and only for what is declared."""

from __future__ import annotations

from controller.heartbeats import MOST_STATUS, HeartbeatBox
from model.ports import Heartbeats
from tests.virtual_clock import VirtualClock


async def test_the_last_push_counts_with_the_time_at_which_it_came() -> None:
    clock = VirtualClock(start_s=50.0)
    box: Heartbeats = HeartbeatBox(clock, ["nightly"])
    assert isinstance(box, HeartbeatBox)
    assert box.last("nightly") is None
    assert box.push("nightly", "ok")
    await clock.advance(3.0)
    assert box.last("nightly") == (50.0, "ok")
    assert box.push("nightly", "fail")
    assert box.last("nightly") == (53.0, "fail")


def test_only_declared_names_are_taken() -> None:
    box = HeartbeatBox(VirtualClock(), ["nightly"])
    assert not any(box.push(f"other{number}", "ok") for number in range(1000))
    assert box.last("other1") is None
    assert box.names == {"nightly"}
    assert len(box._last) == 0


def test_a_reload_keeps_what_was_pushed_of_names_that_stay() -> None:
    box = HeartbeatBox(VirtualClock(), ["nightly", "weekly"])
    box.push("nightly")
    box.push("weekly")
    box.declare(["nightly", "hourly"])
    assert box.last("nightly") is not None
    assert box.last("weekly") is None
    assert not box.push("weekly")
    assert box.push("hourly")


def test_a_status_is_short_and_printable() -> None:
    box = HeartbeatBox(VirtualClock(), ["nightly"])
    box.push("nightly", "back\x1b[31mup\n done" + "x" * 1000)
    last = box.last("nightly")
    assert last is not None
    assert last[1].isprintable()
    assert len(last[1]) <= MOST_STATUS
    box.push("nightly", " \n")
    assert box.last("nightly") == (last[0], "ok")
