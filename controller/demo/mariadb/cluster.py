"""A real MariaDB service of three servers on loopback: m1 primary, m2 and m3 its semi-synchronous replicas.

Everything lies below one temporary directory and is gone with it, whatever ends the program (see janitor).
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from controller.demo import processes
from controller.demo.cluster import free_ports
from controller.demo.janitor import Janitor
from controller.demo.mariadb.node import START_TIMEOUT_S, MariadbNode, install
from controller.demo.settings import LOOPBACK
from model.errors import BcmError

NAMES: Final = ("m1", "m2", "m3")
CANARY: Final = "bcm_failover.canary"
MONITOR, CONTROL, REPLICATION, APP = "bcm_monitor", "bcm_control", "bcm_replication", "app"
# What docs/mariadb.md says that each account needs.
CONTROL_RIGHTS: Final = (
    "READ_ONLY ADMIN, REPLICATION SLAVE ADMIN, REPLICATION MASTER ADMIN, CONNECTION ADMIN, PROCESS, "
    "RELOAD, SLAVE MONITOR"
)
SEMI_SYNC: Final = (
    "SET GLOBAL rpl_semi_sync_master_timeout = 86400000; SET GLOBAL rpl_semi_sync_master_wait_no_slave = 1; "
    "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC; SET GLOBAL rpl_semi_sync_master_enabled = 1;"
)


class MariadbCluster:
    """Use as a context manager: entering starts it, leaving stops everything and removes it."""

    def __init__(self, parent: Path | None = None) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="bcm-demo-mariadb-", dir=parent))
        self._janitor = Janitor(self.base, os.geteuid())
        self.nodes = tuple(
            MariadbNode(name, port, self.base / name)
            for name, port in zip(NAMES, free_ports(len(NAMES)), strict=True)
        )
        self.password = secrets.token_hex(8)
        self.password_file = self.base / "password"
        self.kept = False

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self.stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.kept:
            self.stop_all()

    def __getitem__(self, name: str) -> MariadbNode:
        return next(n for n in self.nodes if n.name == name)

    def primary(self) -> MariadbNode | None:
        """The only one that leads; None while there is none, or two."""
        found = [n for n in self.nodes if n.leads()]
        return found[0] if len(found) == 1 else None

    def follow(self, node: MariadbNode, upstream: MariadbNode) -> None:
        """As an operator makes a replica of it."""
        node.sql(
            f"CHANGE MASTER TO MASTER_HOST='{LOOPBACK}', MASTER_PORT={upstream.port}, "
            f"MASTER_USER='{REPLICATION}', MASTER_PASSWORD='{self.password}', MASTER_USE_GTID=slave_pos, "
            "MASTER_CONNECT_RETRY=1; START SLAVE;"
        )

    def wait_in_step(self, primary: str, timeout_s: float = START_TIMEOUT_S) -> None:
        """Until the others have all that the primary has, and acknowledge its commits. Raises BcmError."""
        others = [n for n in self.nodes if n.name != primary and n.running]

        def in_step() -> bool:
            has = self[primary].ask("SELECT @@gtid_binlog_pos")
            clients = self[primary].ask("SHOW STATUS LIKE 'rpl_semi_sync_master_clients'") or ""
            all_there = all(n.ask("SELECT @@gtid_slave_pos") == has for n in others)
            return all_there and clients.endswith(f"\t{len(others)}")

        if not processes.wait_until(in_step, timeout_s=timeout_s):
            told = "\n".join(f"{n.name}: {n.ask('SHOW SLAVE STATUS')}" for n in others)
            raise BcmError(f"the replicas of {primary} are not in step:\n{told}")

    def keep(self) -> None:
        """Leave everything as it is when this program ends."""
        self.kept = True
        self._janitor.keep()

    def stop_all(self) -> None:
        """Kill every server and remove everything. Raises BcmError."""
        for node in self.nodes:
            node.kill()
        if not self._janitor.clean():
            raise BcmError(f"could not remove {self.base}", hint=f"rm -rf {self.base}")

    def _build(self) -> None:
        self.password_file.write_text(self.password, encoding="ascii")
        self.password_file.chmod(0o600)
        first, *others = self.nodes
        for node in self.nodes:
            node.home.mkdir()
        install(first.data)
        for node in others:
            shutil.copytree(first.data, node.data)
        for node in self.nodes:
            node.start()
        first.sql(_accounts(self.password))
        for node in others:
            self.follow(node, first)
        first.sql(f"{SEMI_SYNC} SET GLOBAL read_only = 0;")
        self.wait_in_step(first.name)


def _accounts(password: str) -> str:
    table = "(id INT PRIMARY KEY, n BIGINT NOT NULL, written_us BIGINT NOT NULL)"
    made = "".join(
        f"CREATE USER {name}@'%' IDENTIFIED BY '{password}';" for name in (MONITOR, CONTROL, REPLICATION, APP)
    )
    return (
        f"{made} CREATE DATABASE bcm_failover; CREATE TABLE {CANARY} {table} ENGINE=InnoDB;"
        f"GRANT SLAVE MONITOR ON *.* TO {MONITOR}@'%';"
        f"GRANT SELECT, INSERT, UPDATE ON {CANARY} TO {MONITOR}@'%';"
        f"GRANT {CONTROL_RIGHTS} ON *.* TO {CONTROL}@'%';"
        f"GRANT REPLICATION SLAVE ON *.* TO {REPLICATION}@'%';"
        "CREATE DATABASE app;"
        "CREATE TABLE app.written (writer INT, n INT, PRIMARY KEY (writer, n)) ENGINE=InnoDB;"
        f"GRANT SELECT, INSERT ON app.* TO {APP}@'%';"
    )
