"""Ending clients' sessions. They are terminated, never cancelled (POSTGRESQL P8)."""

from __future__ import annotations

from typing import Final

from config.schema import PostgresqlService
from runbooks.actions.postgresql.locks import Locked

# A role with pg_signal_backend may not end a superuser's sessions; to try would fail for all of them.
_MAY: Final = "(NOT r.rolsuper OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))"
_CLIENTS: Final = f"""
SELECT count(*) FILTER (WHERE CASE WHEN {_MAY} THEN pg_terminate_backend(a.pid) ELSE false END),
  count(*) FILTER (WHERE NOT {_MAY})
FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
WHERE a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
AND a.usename NOT IN ($1, $2)"""
# Whoever holds up replay on a standby: holders of the lock that the startup process waits for, and owners of
# old snapshots. pg_blocking_pids() knows nothing of the startup process.
_CONFLICTING: Final = f"""
SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid))
FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid, pg_stat_activity s
WHERE s.backend_type = 'startup' AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid()
AND {_MAY} AND (a.backend_xmin IS NOT NULL OR a.pid IN (
  SELECT h.pid FROM pg_locks w JOIN pg_locks h ON h.locktype = w.locktype
    AND h.database IS NOT DISTINCT FROM w.database AND h.relation IS NOT DISTINCT FROM w.relation
  WHERE w.pid = s.pid AND NOT w.granted AND h.granted AND h.pid <> w.pid))"""


async def end_clients(locked: Locked, service: PostgresqlService) -> tuple[int, int]:
    """(ended, left because they are a superuser's) of all sessions but the product's own. Raises SqlError."""
    roles = service.postgresql.roles
    [(ended, left)] = await locked.query(_CLIENTS, roles.monitor.user, roles.control.user)
    return int(ended), int(left)


async def end_conflicting(locked: Locked) -> int:
    """How many of those that hold up replay on a standby were ended. Raises SqlError."""
    [(ended,)] = await locked.query(_CONFLICTING)
    return int(ended)
