"""The statements that the product's actions send, as the simulated servers understand them.

One that is not known here is a fault of the simulator, and said so at once: an action that has learned a new
statement must not seem to work.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from controller.simulate.postgres import CONNINFO, DELAY, NAMES, READ_ONLY, Backend, Postgres, Process
from controller.simulate.replication import parsed
from controller.simulate.wal import SEGMENT
from runbooks.actions.postgresql.locks import APPLICATION_PREFIX

Row = tuple[Any, ...]
Rows = list[Row]
# answer(rows, sqlstate): exactly once, or never if the statement never ends.
Answer = Callable[[Rows, str | None], None]
Handler = Callable[[Postgres, Backend, Sequence[Any]], Rows]

_ALTER: Final = re.compile(r"ALTER SYSTEM (SET (\w+) = E?'((?:[^']|'')*)'|RESET (\w+))$")


class UnknownStatementError(Exception):
    """See the module."""


class Refused(Exception):  # noqa: N818 - a server's answer, not an error of the simulator
    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


def execute(
    server: Postgres, backend: Backend, statement: str, params: Sequence[Any], answer: Answer
) -> None:
    """By a backend of a server that runs."""
    text = statement.strip()
    if text.startswith("UPDATE canary"):
        _verify_write(server, backend, params, answer)
        return
    try:
        rows = (
            _handler(text)(server, backend, params)
            if not text.startswith("ALTER")
            else _alter(server, backend, text)
        )
    except Refused as refusal:
        answer([], refusal.sqlstate)
    else:
        answer(rows, None)


_found: dict[str, Handler] = {}


def _handler(text: str) -> Handler:
    handler = _found.get(text)
    if handler is None:
        handler = next((h for mark, h in _HANDLERS if mark in text), None)
        if handler is None:
            raise UnknownStatementError(text)
        _found[text] = handler
    return handler


def _alter(server: Postgres, backend: Backend, text: str) -> Rows:
    match = _ALTER.match(text)
    if match is None:
        raise UnknownStatementError(text)
    name = match.group(2) or match.group(4)
    value = None if match.group(4) else match.group(3).replace("''", "'").replace("\\\\", "\\")
    server.world.audit.changed(server, backend, name, value)
    if value is None:
        server.conf.pop(name, None)
    else:
        server.conf[name] = value
    return []


# --- the locks of P7, fences of stale controllers


def _take(server: Postgres, backend: Backend, _params: Sequence[Any]) -> Rows:
    others = [b for b in server.backends.values() if b is not backend]
    free = not any(b.locked for b in others)
    if free:
        backend.locked = True
        server.world.audit.locked(server, backend)
    named = [f"{b.pid} {b.application}" for b in others if b.application.startswith(APPLICATION_PREFIX)]
    return [(free, backend.pid, ",".join(named) or None)]


def _held(_server: Postgres, backend: Backend, _params: Sequence[Any]) -> Rows:
    return [(backend.pid, backend.locked)]


def _terminate(server: Postgres, _backend: Backend, params: Sequence[Any]) -> Rows:
    return [(server.terminate(int(params[0])),)]


# --- what a member is


def _state(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    standby = server.standby
    recovery = server.in_recovery
    kind, event = standby.wait_event if recovery else ("", "")
    now_s = server.world.timeline.now_s
    return [
        (
            recovery,
            server.branch.system,
            server.branch.number,
            standby.reported_lsn if recovery else None,
            standby.replay_lsn if recovery else None,
            server.live.get(CONNINFO, ""),
            standby.paused if recovery else False,
            _delay_ms(server),
            standby.receiver,
            standby.status or None,
            kind,
            event,
            SEGMENT,
            True,
            int(now_s - server.started_s),
        )
    ]


def _delay_ms(server: Postgres) -> int:
    return int(server.live.get(DELAY, "0"))


def _before(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    delay = server.live.get(DELAY, "0")
    return [(server.in_recovery, server.live.get(CONNINFO, ""), delay if delay == "0" else f"{delay}ms")]


def _wal_timeline(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    return [(server.branch.number,)]


def _recovery(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    return [(server.in_recovery,)]


def _setting(server: Postgres, _backend: Backend, params: Sequence[Any]) -> Rows:
    return [(server.live.get(str(params[0]), ""),)]


def _receiver(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    status = server.standby.status
    return [(status,)] if status else []


def _position(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    _needs_primary(server)
    return [(server.flush_lsn, server.branch.number)]


def _needs_primary(server: Postgres) -> None:
    if server.in_recovery:
        raise Refused("55000")


def _flushed_or_null(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    return [(None if server.in_recovery else server.flush_lsn,)]


def _flushed(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    _needs_primary(server)
    return [(server.flush_lsn,)]


# --- changing it


def _reload(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    server.reload()
    return [(True,)]


def _resume(server: Postgres, backend: Backend, _params: Sequence[Any]) -> Rows:
    server.world.audit.changed(server, backend, "pg_wal_replay_resume", None)
    server.standby.paused = False
    server.later(0.005, server.standby.unstick)
    return [(None,)]


def _end_conflicting(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    ended = 1 if server.standby.conflict else 0
    server.standby.conflict = False
    server.later(0.005, server.standby.unstick)
    return [(ended,)]


def _end_clients(server: Postgres, backend: Backend, params: Sequence[Any]) -> Rows:
    own = {str(p) for p in params}
    theirs = [b for b in server.backends.values() if b is not backend and b.user not in own]
    for other in theirs:
        server.terminate(other.pid)
    return [(len(theirs), 0)]


def _promote(server: Postgres, backend: Backend, _params: Sequence[Any]) -> Rows:
    if not server.in_recovery:
        raise Refused("55000")
    server.world.audit.promotion_issued(server, backend)
    server.standby.promote()
    return [(True,)]


def _checkpoint(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    server.checkpointed = server.branch
    return []


def _checkpointer(_server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    return [(True,)]


# --- who streams from it


def _caught_up(server: Postgres, _backend: Backend, params: Sequence[Any]) -> Rows:
    return [(s.application_name.lower(),) for s in server.senders if s.acked_lsn >= int(params[0])]


def _guarded(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    names = server.live.get(NAMES, "")
    if not names:
        return [(True,)]
    wanted = {n.lower() for n in parsed(names).names}
    return [(any(s.application_name.lower() in wanted and s.acked_lsn > 0 for s in server.senders),)]


def _lags(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    return [(s.application_name.lower(), server.flush_lsn - s.acked_lsn) for s in server.senders]


def _one_streams(server: Postgres, _backend: Backend, params: Sequence[Any]) -> Rows:
    found = [s for s in server.senders if s.application_name.lower() == params[0]]
    return [("streaming", s.acked_lsn >= int(params[1])) for s in found[-1:]]


# --- a client's way


def _takes_writes(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    return [(not server.in_recovery and server.live.get(READ_ONLY) != "on",)]


def _endpoint_look(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    _needs_primary(server)
    return [(server.branch.number, canary_read(server))]


def _read_canary(server: Postgres, _backend: Backend, _params: Sequence[Any]) -> Rows:
    return [(canary_read(server),)]


def canary_read(server: Postgres) -> int:
    """The number in the canary row, as a session there reads it."""
    lsn = server.standby.replay_lsn if server.in_recovery else server.flush_lsn
    return server.branch.canary_at(lsn)


def _verify_write(server: Postgres, backend: Backend, params: Sequence[Any], answer: Answer) -> None:
    number = max(canary_read(server) + 1, int(params[0]))

    def done(sqlstate: str | None) -> None:
        answer([(number,)] if sqlstate is None else [], sqlstate)

    if server.process is Process.UP:
        server.commit("canary", number, done, backend, "verify")


# By a mark that no other statement has; looked for in this order.
_HANDLERS: Final[tuple[tuple[str, Handler], ...]] = (
    ("pg_try_advisory_lock", _take),
    ("FROM pg_lock_status()", _held),
    ("SELECT pg_terminate_backend($1)", _terminate),
    ("s.wait_event_type, s.wait_event", _state),
    ("pg_ls_waldir()", _wal_timeline),
    ("current_setting('recovery_min_apply_delay')", _before),
    ("SELECT CASE WHEN NOT r THEN", _flushed_or_null),
    ("lower(application_name) FROM pg_stat_replication", _caught_up),
    ("sync_state IN ('sync', 'quorum')", _guarded),
    ("coalesce(replay_lsn, '0/0')", _lags),
    ("WHERE lower(application_name) = $1", _one_streams),
    ("SELECT status FROM pg_stat_wal_receiver", _receiver),
    ("SELECT NOT pg_is_in_recovery()", _takes_writes),
    ("(SELECT n FROM canary WHERE id = 1)", _endpoint_look),
    ("SELECT n FROM canary", _read_canary),
    ("SELECT (pg_current_wal_lsn()", _position),
    ("SELECT (pg_current_wal_flush_lsn()", _flushed),
    ("SELECT pg_is_in_recovery()", _recovery),
    ("SELECT current_setting($1)", _setting),
    ("SELECT pg_reload_conf()", _reload),
    ("pg_wal_replay_resume()", _resume),
    ("s.backend_type = 'startup' AND", _end_conflicting),
    ("a.usename NOT IN", _end_clients),
    ("SELECT pg_promote(false)", _promote),
    ("CHECKPOINT", _checkpoint),
    ("WHERE backend_type = 'checkpointer'", _checkpointer),
)
