"""POSTGRESQL P3, P5: what a standby's own words mean. No servers needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runbooks.actions.postgresql.state import StandbyState

SEGMENT = 1 << 24
IDLE = StandbyState(
    in_recovery=True, system_identifier="7", timeline=3, receive_lsn=None, replay_lsn=None, conninfo="",
    paused=False, apply_delay_ms=0, receiver=False, receiver_status="", wait_type="Activity",
    wait="RecoveryWalStream", segment_bytes=SEGMENT, fsync=True, uptime_s=1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("receive", "replay", "wait", "position"),
    [
        (500, 400, "RecoveryWalStream", 500),  # on disk counts, replayed or not
        (None, 400, "RecoveryRetrieveRetryInterval", 400),  # restarted while detached
        (300, 400, "RecoveryWalStream", 400),
        (2 * SEGMENT, 400, "RecoveryWalStream", 400),  # invented by a restart without an upstream
        (2 * SEGMENT, 400, "", None),  # it may be true, and the replay is not there yet
        (2 * SEGMENT, 2 * SEGMENT, "", 2 * SEGMENT),
        (None, None, "", None),
    ],
)
def test_a_position_is_what_is_on_disk_and_not_what_a_restart_invents(
    receive: int | None, replay: int | None, wait: str, position: int | None
) -> None:
    found = replace(IDLE, receive_lsn=receive, replay_lsn=replay, wait=wait).position
    assert (None if found is None else found.lsn) == position


@pytest.mark.parametrize(
    ("changes", "detached"),
    [
        ({}, True),
        ({"receiver": True}, False),
        ({"conninfo": "host=a"}, False),
        ({"paused": True}, False),
        ({"apply_delay_ms": 5}, False),
        ({"wait_type": "Lock", "wait": "relation"}, False),
        ({"wait_type": "IPC", "wait": "RecoveryConflictSnapshot"}, False),
        ({"wait_type": "IPC", "wait": "RecoveryPause"}, False),
        ({"wait_type": "", "wait": ""}, True),  # it replays
    ],
)
def test_detached_is_more_than_an_empty_setting(changes: dict[str, object], detached: bool) -> None:
    assert replace(IDLE, **changes).detached is detached  # type: ignore[arg-type]
