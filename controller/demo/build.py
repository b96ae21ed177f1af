"""Builds the data directories of the demo's cluster and fills the primary."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg

from controller.demo.node import Node
from controller.demo.roles import roles_sql
from controller.demo.settings import (
    APP_ROLE,
    HBA,
    SUPERUSER,
    Sizing,
    application_sql,
    auto_conf,
    conninfo,
    node_conf,
    passfile_line,
    password_sql,
    shared_conf,
)
from model.errors import BcmError


def prepare_home(node: Node, role: str, password: str, small_disk_mb: int | None) -> None:
    """node.conf, passfile, log and an empty data directory, if wanted on a small file system of its own."""
    node.home.mkdir(mode=0o700)
    node.data_dir.mkdir(mode=0o700)
    if small_disk_mb is not None:
        _mount_small_disk(node.data_dir, small_disk_mb)
    (node.home / "node.conf").write_text(node_conf(node.name, node.port, node.home), encoding="utf-8")
    write_private(node.passfile, passfile_line(role, password))
    node.log_file.touch(mode=0o600)
    for path in (node.home, *node.home.iterdir()):
        os.chown(path, node.account.uid, node.account.gid)


def initialise(
    primary: Node, standbys: Sequence[Node], sizing: Sizing, synchronous_standby_names: str
) -> None:
    """One initdb, copied to the standbys before anything runs: all three are one system. Raises BcmError."""
    primary.run(
        "initdb",
        *("--no-sync", "--no-instructions", "--data-checksums", "--auth=trust"),
        *("--encoding=UTF8", "--locale=C", f"--username={SUPERUSER}"),
        f"--wal-segsize={sizing.wal_segment_mb}",
        *("-D", primary.data_dir),
    )
    _write(primary, "postgresql.conf", shared_conf(sizing))
    _write(primary, "pg_hba.conf", HBA)
    copy = ("cp", "-a", "--sparse=always", f"{primary.data_dir}/.")  # most of a WAL segment is zeros
    copies = [subprocess.Popen([*copy, standby.data_dir]) for standby in standbys]
    exit_codes = [process.wait(timeout=60) for process in copies]
    if any(exit_codes):
        raise BcmError("could not copy the primary's files", hint=f"is there room in {primary.home.parent}?")
    _write(primary, "postgresql.auto.conf", auto_conf(synchronous_standby_names=synchronous_standby_names))
    for standby in standbys:
        upstream = conninfo(port=primary.port, passfile=standby.passfile, application_name=standby.name)
        _write(standby, "postgresql.auto.conf", auto_conf(primary_conninfo=upstream))
        _write(standby, "standby.signal", "")


def fill(primary: Node, version: int, passwords: Mapping[str, str]) -> None:
    """Roles, databases and tables, which reach the standbys by replication.

    The passwords go in as SCRAM verifiers made here: the server never sees one, so no log can show it (S12).
    """
    with _connect(primary, "postgres") as connection:
        verifiers = {
            role: connection.pgconn.encrypt_password(
                password.encode(), role.encode(), b"scram-sha-256"
            ).decode()
            for role, password in passwords.items()
        }
    others = {role: verifier for role, verifier in verifiers.items() if role != APP_ROLE}
    statements = [
        *roles_sql(version),
        *(("postgres", password_sql(role, verifier)) for role, verifier in others.items()),
        *application_sql(verifiers[APP_ROLE]),
    ]
    for database in dict.fromkeys(database for database, _ in statements):
        with _connect(primary, database) as connection:
            for of, statement in statements:
                if of == database:
                    connection.execute(statement.encode())


def write_private(path: Path, text: str) -> None:
    """Readable by its owner only, from the first moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _write(node: Node, name: str, text: str) -> None:
    path = node.data_dir / name
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    os.chown(path, node.account.uid, node.account.gid)


def _connect(node: Node, database: str) -> psycopg.Connection[tuple[object, ...]]:
    """Its commits wait for no standby: none can log in before the roles are there."""
    return psycopg.connect(node.dsn(database), options="-c synchronous_commit=local", autocommit=True)


def _mount_small_disk(directory: Path, size_mb: int) -> None:
    answer = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=0700", "bcm-demo", directory],
        check=False,
        capture_output=True,
        text=True,
        timeout=10,
    )
    if answer.returncode != 0:
        raise BcmError(
            f"could not mount a small file system for the full disk: {answer.stderr.strip()}",
            hint="run it as root, on a host (a container may not mount)",
        )
