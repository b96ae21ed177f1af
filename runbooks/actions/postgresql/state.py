"""What a standby says of itself, in one round trip (POSTGRESQL P3, P5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from model.lsn import Position, may_be_invented
from model.ports import SqlError
from runbooks.actions.postgresql.locks import Locked

# In these the startup process waits for WAL and reads its configuration the moment it changes.
_IDLE: Final = frozenset({"RecoveryWalStream", "RecoveryRetrieveRetryInterval"})
_STUCK_TYPES: Final = frozenset({"Lock", "BufferPin"})
_STUCK_EVENTS: Final = ("RecoveryConflict", "RecoveryPause", "RecoveryApplyDelay")
_NOT_IN_RECOVERY: Final = "55000"

# The control file lags behind a switch of timelines until the next restart point; a receiver knows at once.
_READ: Final = """
SELECT r.in_recovery,
  (SELECT system_identifier::text FROM pg_control_system()),
  CASE WHEN r.in_recovery
    THEN greatest((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()),
                  (SELECT min_recovery_end_timeline FROM pg_control_recovery()))
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
  (CASE WHEN r.in_recovery THEN pg_last_wal_receive_lsn() END - '0/0'::pg_lsn)::bigint,
  (CASE WHEN r.in_recovery THEN pg_last_wal_replay_lsn() END - '0/0'::pg_lsn)::bigint,
  current_setting('primary_conninfo'),
  CASE WHEN r.in_recovery THEN pg_get_wal_replay_pause_state() <> 'not paused' ELSE false END,
  (extract(epoch FROM current_setting('recovery_min_apply_delay')::interval) * 1000)::bigint,
  EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walreceiver'),
  (SELECT status FROM pg_stat_wal_receiver),
  s.wait_event_type, s.wait_event,
  pg_size_bytes(current_setting('wal_segment_size')),
  current_setting('fsync')::boolean,
  extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::bigint
FROM (SELECT pg_is_in_recovery() AS in_recovery) r
LEFT JOIN pg_stat_activity s ON s.backend_type = 'startup'"""  # noqa: E501 - read as one statement

_WAL_TIMELINE: Final = """
SELECT max(('x' || substr(name, 1, 8))::bit(32)::int) FROM pg_ls_waldir()
WHERE name ~ '^[0-9A-F]{24}$' AND substr(name, 9) = $1"""


@dataclass(frozen=True, slots=True)
class StandbyState:
    """Positions in bytes. `wait`: what the startup process waits for, '' while it works."""

    in_recovery: bool
    system_identifier: str
    timeline: int
    receive_lsn: int | None
    replay_lsn: int | None
    conninfo: str
    paused: bool
    apply_delay_ms: int
    receiver: bool
    receiver_status: str
    wait_type: str
    wait: str
    segment_bytes: int
    fsync: bool
    uptime_s: int

    @property
    def idle(self) -> bool:
        """Has the startup process replayed all that is there, and does it listen?"""
        return self.wait in _IDLE

    @property
    def stuck(self) -> str | None:
        """Why the startup process does not get on with its work, or None."""
        if self.paused or self.wait == "RecoveryPause":
            return "replay is paused"
        if self.apply_delay_ms:
            return f"recovery_min_apply_delay is {self.apply_delay_ms} ms"
        if self.wait_type in _STUCK_TYPES or self.wait.startswith(_STUCK_EVENTS):
            return f"replay waits for {self.wait}, held up by sessions on the standby"
        return None

    @property
    def detached(self) -> bool:
        """No receiver, none to come, and a startup process that has heard of it (P5)."""
        return self.conninfo == "" and not self.receiver and self.stuck is None

    @property
    def ambiguous(self) -> bool:
        """Is the received position one that a restart may have invented (P3)?

        After a restart without an upstream it reads as the start of a segment, above the data. What is truly
        there is replayed before the startup process goes idle.
        """
        return may_be_invented(self.receive_lsn, self.replay_lsn, self.segment_bytes)

    @property
    def position(self) -> Position | None:
        """What it has on disk: greatest(received, replayed), but for an invented start of a segment."""
        known = [lsn for lsn in (self.receive_lsn, self.replay_lsn) if lsn is not None]
        if self.ambiguous:
            if not self.idle:
                return None
            known = [self.replay_lsn] if self.replay_lsn is not None else []
        return Position(self.system_identifier, self.timeline, max(known)) if known else None


async def read_state(locked: Locked) -> StandbyState:
    """Raises SqlError."""
    for attempt in (1, 2):
        try:
            [row] = await locked.query(_READ)
        except SqlError as error:
            # Promoted while the statement ran: the next one sees a primary.
            if error.sqlstate != _NOT_IN_RECOVERY or attempt == 2:
                raise
        else:
            return _of_row(row)
    raise AssertionError("unreachable")


async def timeline_of_wal(locked: Locked, state: StandbyState) -> int:
    """The newest timeline that has a file at the member's position: exact where the control file lags.

    Costs a listing of pg_wal, so it is asked only where members disagree. Raises SqlError.
    """
    position = state.position
    if position is None or position.lsn == 0:
        return state.timeline
    segment = (position.lsn - 1) // state.segment_bytes
    per_id = (1 << 32) // state.segment_bytes
    [(found,)] = await locked.query(_WAL_TIMELINE, f"{segment // per_id:08X}{segment % per_id:08X}")
    return max(state.timeline, int(found or 0))


def _of_row(row: tuple[object, ...]) -> StandbyState:
    (recovery, system, timeline, receive, replay, conninfo, paused, delay_ms, receiver, status, wait_type,
     wait, segment, fsync, uptime_s) = row  # fmt: skip
    return StandbyState(
        in_recovery=bool(recovery),
        system_identifier=str(system),
        timeline=_int(timeline) or 0,
        receive_lsn=_int(receive),
        replay_lsn=_int(replay),
        conninfo=str(conninfo or ""),
        paused=bool(paused),
        apply_delay_ms=_int(delay_ms) or 0,
        receiver=bool(receiver),
        receiver_status=str(status or ""),
        wait_type=str(wait_type or ""),
        wait=str(wait or ""),
        segment_bytes=_int(segment) or 1 << 24,
        fsync=bool(fsync),
        uptime_s=_int(uptime_s) or 0,
    )


def _int(value: object) -> int | None:
    return int(value) if isinstance(value, int) else None
