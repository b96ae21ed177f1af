"""What a member says of itself, read in one round trip (POSTGRESQL P2, P3, P5, P10).

Works on PostgreSQL 14 to 18, on primaries and standbys, for a role that has pg_monitor and no more. Positions
are bytes since the beginning of the log. Every value is an integer, a text, a boolean or null.

in_recovery: is it a standby · system_identifier: text · timeline · position: what it has on disk, flushed on
a primary, greatest(received, replayed) on a standby · current_lsn, flush_lsn: primary only · receive_lsn,
replay_lsn: standby only (receive_lsn is not monotonic: P3) · replay_paused, apply_delay_ms: P4 ·
replay_idle: the startup process has replayed all that is there and waits for more · walreceiver: a receiver
process runs, which an empty pg_stat_wal_receiver does not disprove (P5) · walreceiver_status, sender_host,
sender_port: what the receiver says · standbys: on a primary, who streams from it · sync_names:
synchronous_standby_names · default_read_only: default_transaction_read_only · canary_n: number in the canary
row, null if it can't be read · postmaster_start_us: wall clock of the member, to tell restarts apart ·
server_version_num, max_wal_senders, wal_log_hints, data_checksums · other_manager: P10.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from model.lsn import may_be_invented
from probes.pg_session import PgSession

_BYTES = "({} - '0/0'::pg_lsn)::bigint"


def _bytes(lsn: str) -> str:
    return _BYTES.format(lsn)


_STANDBYS = f"""
  (SELECT coalesce(json_agg(json_build_object(
      'application_name', application_name, 'state', state, 'sync_state', sync_state,
      'flush_lsn', {_bytes("flush_lsn")}, 'replay_lsn', {_bytes("replay_lsn")},
      'client_addr', host(client_addr), 'pid', pid) ORDER BY application_name, pid), '[]'::json)
   FROM pg_stat_replication)"""

# The control file lags behind a switch of timelines until the next restart point; the receiver knows at once.
_TIMELINE = """
  CASE WHEN r.in_recovery
    THEN greatest(w.received_tli, (SELECT timeline_id FROM pg_control_checkpoint()),
                  (SELECT min_recovery_end_timeline FROM pg_control_recovery()))
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int
  END"""

_LIGHT = f"""
SELECT json_build_object(
  'in_recovery', r.in_recovery,
  'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
  'timeline', {_TIMELINE},
  'current_lsn', {_bytes("CASE WHEN NOT r.in_recovery THEN pg_current_wal_lsn() END")},
  'flush_lsn', {_bytes("CASE WHEN NOT r.in_recovery THEN pg_current_wal_flush_lsn() END")},
  'receive_lsn', {_bytes("CASE WHEN r.in_recovery THEN pg_last_wal_receive_lsn() END")},
  'replay_lsn', {_bytes("CASE WHEN r.in_recovery THEN pg_last_wal_replay_lsn() END")},
  'replay_paused', CASE WHEN r.in_recovery THEN pg_get_wal_replay_pause_state() <> 'not paused' END,
  'apply_delay_ms',
    (extract(epoch FROM current_setting('recovery_min_apply_delay')::interval) * 1000)::bigint,
  'replay_idle', CASE WHEN r.in_recovery THEN a.idle END,
  'walreceiver', a.receiver,
  'walreceiver_status', w.status,
  'sender_host', w.sender_host,
  'sender_port', w.sender_port,
  'standbys', {_STANDBYS},
  'sync_names', current_setting('synchronous_standby_names'),
  'default_read_only', current_setting('default_transaction_read_only')::boolean,
  'postmaster_start_us', (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
  'canary_n', (SELECT %s)
)
FROM (SELECT pg_is_in_recovery() AS in_recovery) r
LEFT JOIN pg_stat_wal_receiver w ON true
CROSS JOIN (
  SELECT coalesce(bool_or(backend_type = 'walreceiver'), false) AS receiver,
    coalesce(bool_or(backend_type = 'startup'
      AND wait_event IN ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval')), false) AS idle
  FROM pg_stat_activity) a"""

_CANARY = "n FROM public.canary WHERE id = 1"
_NO_CANARY = "NULL::bigint"

# Signs of other managers (P10), cheap and on any member: the names under which their sessions log in or
# stream, the roles they create, the libraries they preload. A stopped manager that leaves none of these is
# not seen.
_HEAVY = """
SELECT json_build_object(
  'server_version_num', current_setting('server_version_num')::int,
  'max_wal_senders', current_setting('max_wal_senders')::int,
  'wal_log_hints', current_setting('wal_log_hints')::boolean,
  'data_checksums', current_setting('data_checksums') = 'on',
  'other_manager', CASE
    WHEN EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'Patroni%') THEN 'patroni'
    WHEN current_setting('shared_preload_libraries') LIKE '%repmgr%'
      OR EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'repmgr%') THEN 'repmgr'
    WHEN current_setting('shared_preload_libraries') LIKE '%pgautofailover%'
      OR EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgautofailover_replicator') THEN 'pg_auto_failover'
    WHEN EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'cnpg%') THEN 'cloudnative-pg'
  END
)"""


async def read_facts(session: PgSession, *, canary: bool) -> dict[str, Any]:
    """The facts that may change at any moment. `canary`: its table is there to be read. Raises PgError."""
    [(text,)] = await session.query(_LIGHT % (_CANARY if canary else _NO_CANARY))
    facts: dict[str, Any] = json.loads(text)
    facts["position"] = standby_position(facts) if facts["in_recovery"] else facts["flush_lsn"]
    return facts


def standby_position(facts: Mapping[str, Any]) -> int | None:
    """What a standby has on disk, in bytes, by its own word: greatest(received, replayed).

    Where the received one may be invented (P3) and nothing is left to be replayed, what it replayed is all.
    """
    received, replayed = facts["receive_lsn"], facts["replay_lsn"]
    if facts["replay_idle"] and may_be_invented(received, replayed):
        return None if replayed is None else int(replayed)
    return max((lsn for lsn in (received, replayed) if lsn is not None), default=None)


async def read_slow_facts(session: PgSession) -> dict[str, Any]:
    """The facts that change with restarts and installations only. Raises PgError."""
    [(text,)] = await session.query(_HEAVY)
    facts: dict[str, Any] = json.loads(text)
    return facts
