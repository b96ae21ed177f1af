"""The product's own roles and canary on a fresh cluster: what an administrator does by hand (P15, P18)."""

from __future__ import annotations

from controller.demo.settings import CANARY_DATABASE, CONTROL_ROLE, MONITOR_ROLE, REPLICATION_ROLE

_CONTROLLED = (
    "primary_conninfo",
    "synchronous_standby_names",
    "default_transaction_read_only",
    "recovery_min_apply_delay",
)
_REWIND_FUNCTIONS = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
    "pg_read_binary_file(text, bigint, bigint, boolean)",
)


def roles_sql(version: int) -> list[tuple[str, str]]:
    """(database, statement) in order, for a superuser; passwords are set apart."""
    statements = [
        f"CREATE ROLE {MONITOR_ROLE} LOGIN IN ROLE pg_monitor",
        f"CREATE ROLE {REPLICATION_ROLE} LOGIN REPLICATION",
        *(f"GRANT EXECUTE ON FUNCTION pg_catalog.{f} TO {REPLICATION_ROLE}" for f in _REWIND_FUNCTIONS),
    ]
    if version < 15:  # ALTER SYSTEM can't be granted before 15
        statements.append(f"CREATE ROLE {CONTROL_ROLE} LOGIN SUPERUSER")
    else:
        statements += [
            f"CREATE ROLE {CONTROL_ROLE} LOGIN IN ROLE pg_monitor, pg_signal_backend, pg_checkpoint",
            *(f"GRANT ALTER SYSTEM ON PARAMETER {name} TO {CONTROL_ROLE}" for name in _CONTROLLED),
            *(
                f"GRANT EXECUTE ON FUNCTION pg_catalog.{f} TO {CONTROL_ROLE}"
                for f in ("pg_promote(boolean, integer)", "pg_reload_conf()", "pg_wal_replay_resume()")
            ),
        ]
    canary = (
        "CREATE TABLE canary (id int PRIMARY KEY, n bigint NOT NULL, token text, written timestamptz)"
        " WITH (fillfactor = 10);"
        "INSERT INTO canary VALUES (1, 0, '', now());"
        f"GRANT SELECT, UPDATE ON canary TO {MONITOR_ROLE}, {CONTROL_ROLE}"
    )
    return [
        *(("postgres", statement) for statement in statements),
        ("postgres", f"CREATE DATABASE {CANARY_DATABASE}"),
        (CANARY_DATABASE, canary),
    ]
