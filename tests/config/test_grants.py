"""The printed SQL runs on real servers, twice, and gives each role what it needs and not more (P15, P18)."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from pg_pair import BIN_DIRS, PASSWORD, PgPair, PgServer, running_pair, wait_for

from config.grants import CONTROLLED_PARAMETERS, GrantNames, grant_statements, grants_sql
from config.schema import PostgresqlSettings
from model.errors import UsageError

MONITOR, CONTROL, REPLICATION, CANARY = "bcm_monitor", 'o\'hara "control"', "user", "canary db=1"
SETTINGS = PostgresqlSettings.model_validate(
    {
        "canary_database": CANARY,
        "roles": {
            "monitor": {"user": MONITOR},
            "control": {"user": CONTROL},
            "replication": {"user": REPLICATION},
        },
    }
)


@pytest.fixture(scope="module", params=[18, 15])
def pair(request: pytest.FixtureRequest) -> Iterator[PgPair]:
    if not BIN_DIRS[request.param].exists():
        pytest.skip(f"PostgreSQL {request.param} is not installed")
    with running_pair(request.param) as found:
        yield found


def psql(pair: PgPair, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [pair.primary.bin_dir / "psql", "-X", "-q", "-h", "127.0.0.1", "-p", str(pair.primary.port),
         "-U", "postgres", "-d", "postgres", "-f", "-"],
        input=script, capture_output=True, text=True, timeout=30, check=False,
        env={**os.environ, "PGPASSWORD": PASSWORD},
    )  # fmt: skip


@contextmanager
def session(server: PgServer, role: str, database: str = "postgres") -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(
        host="127.0.0.1", port=server.port, user=role, password=PASSWORD, dbname=database, autocommit=True
    ) as connection:
        yield connection


@pytest.mark.postgres
def test_the_printed_sql_lets_each_role_do_its_work(pair: PgPair) -> None:
    script = grants_sql(version=pair.version, settings=SETTINGS)
    for _ in range(2):  # it may be run again
        done = psql(pair, script)
        assert done.returncode == 0, done.stderr
        assert "ERROR" not in done.stderr
    for role in (MONITOR, CONTROL, REPLICATION):
        quoted = '"' + role.replace('"', '""') + '"'
        pair.primary.sql(f"alter role {quoted} password '{PASSWORD}'")
    written = pair.primary.sql("select pg_current_wal_lsn()")
    wait_for(lambda: pair.standby.sql(f"select pg_last_wal_replay_lsn() >= '{written}'"), "replayed")

    with session(pair.primary, MONITOR, CANARY) as monitor:
        monitor.execute("update canary set n = 7, token = 'x', written = now() where id = 1")
        assert monitor.execute("select n from public.canary").fetchall() == [(7,)]
        assert monitor.execute("select sync_state from pg_stat_replication").fetchall() == [("async",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            monitor.execute("alter system set synchronous_standby_names = ''")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            monitor.execute("create table here (n int)")

    with session(pair.primary, CONTROL) as control:
        for parameter in CONTROLLED_PARAMETERS:
            value = "off" if parameter == "default_transaction_read_only" else ""
            control.execute(f"alter system set {parameter} = '{value}'")
            control.execute(f"alter system reset {parameter}")
        control.execute("select pg_reload_conf()")
        control.execute("checkpoint")
        control.execute("select pg_advisory_lock(1)")
        with session(pair.primary, MONITOR) as client:
            (pid,) = client.execute("select pg_backend_pid()").fetchone() or (0,)
            assert control.execute("select pg_terminate_backend(%s)", (pid,)).fetchone() == (True,)
            with pytest.raises(psycopg.OperationalError):
                client.execute("select 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            control.execute("alter system set archive_command = 'true'")

    with session(pair.primary, REPLICATION) as replication:  # what pg_rewind reads (P17)
        replication.execute("select pg_ls_dir('base', true, false), pg_stat_file('PG_VERSION', true)")
        replication.execute("select pg_read_binary_file('PG_VERSION', 0, 10, true)")

    with session(pair.standby, CONTROL) as control:
        control.execute("select status, slot_name from pg_stat_wal_receiver")
        control.execute("show primary_conninfo")
        control.execute("select pg_wal_replay_pause()")
        control.execute("select pg_wal_replay_resume()")
        assert control.execute("select pg_promote(true, 20)").fetchone() == (True,)


def test_no_password_stands_in_the_script_but_where_to_type_it() -> None:
    script = grants_sql(version=16)
    code = [line for line in script.splitlines() if not line.startswith("--")]
    assert not any("password" in line.lower() for line in code)
    assert "--   \\password bcm_control" in script


def test_version_14_needs_a_superuser_and_says_so() -> None:
    script = grants_sql(version=14)
    assert "PostgreSQL 14 can't grant ALTER SYSTEM, so bcm_control must be a superuser there" in script
    assert "CREATE ROLE bcm_control LOGIN SUPERUSER" in script
    assert "ON PARAMETER" not in script
    for version in (15, 16, 17, 18):
        assert "SUPERUSER" not in grants_sql(version=version)


def test_another_engine_or_version_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no grants are known for 'oracle'"):
        grants_sql("oracle")
    for version in (13, 19):
        with pytest.raises(UsageError, match="not supported"):
            grants_sql(version=version)


def test_what_may_be_set_is_what_the_actions_set() -> None:
    from runbooks.actions.postgresql.settings import OWNED

    assert set(CONTROLLED_PARAMETERS) == set(OWNED)


def test_the_demo_has_the_same_rights_as_the_printed_script() -> None:
    from controller.demo.roles import roles_sql

    assert [sql for _database, sql in roles_sql(15)] == [s.sql for s in grant_statements(15, GrantNames())]
