"""The product's own roles and canary on a fresh cluster: what an administrator does by hand (P15, P18)."""

from __future__ import annotations

from config.grants import GrantNames, grant_statements
from controller.demo.settings import CANARY_DATABASE, CONTROL_ROLE, MONITOR_ROLE, REPLICATION_ROLE

_NAMES = GrantNames(MONITOR_ROLE, CONTROL_ROLE, REPLICATION_ROLE, CANARY_DATABASE)


def roles_sql(version: int) -> list[tuple[str, str]]:
    """(database, statement) in order, for a superuser; passwords are set apart."""
    return [(s.database or "postgres", s.sql) for s in grant_statements(version, _NAMES)]
