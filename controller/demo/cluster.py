"""A real PostgreSQL cluster of three nodes on loopback: pg1 primary, pg2 standby, pg3 at the DR site.

Everything lies below one temporary directory and is gone with it, whatever ends the program (see janitor).
"""

from __future__ import annotations

import os
import random
import secrets
import socket
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from controller.demo import processes
from controller.demo.build import fill, initialise, prepare_home, write_private
from controller.demo.janitor import Janitor
from controller.demo.node import Node
from controller.demo.reaper import Reaper
from controller.demo.servers import Account, Server, server_account, usable_bin_dir
from controller.demo.settings import (
    APP_DATABASE,
    APP_ROLE,
    CONTROL_ROLE,
    LOOPBACK,
    MONITOR_ROLE,
    REPLICATION_ROLE,
    Sizing,
    passfile_line,
)
from model.errors import BcmError

# Below the ephemeral range: while a server is down no outgoing connection may be given its port, not even
# the client's own (a connection to a free ephemeral port can connect to itself).
PORTS = range(20000, 32000)
# `N/M`: only the Nth of M parts of them. Whoever starts several demos at once gives each its own, or a server
# that is down for a moment may find its port taken.
PART = "BCM_DEMO_PORTS"
STREAMING_TIMEOUT_S = 15.0
SYNCHRONOUS = "ANY 1 (pg2, pg3)"


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """sites: of pg1, pg2 and pg3. small_disk_mb: member → size of a tmpfs of its own for its data
    (needs root). parent: of the temporary directory, None for the system's."""

    synchronous_standby_names: str = SYNCHRONOUS
    sizing: Sizing = field(default_factory=Sizing)
    sites: tuple[str, str, str] = ("dc1", "dc2", "dr")
    small_disk_mb: Mapping[str, int] = field(default_factory=dict)
    parent: Path | None = None


class Cluster:
    """Use as a context manager: entering starts it, leaving stops everything and removes it.

    `base` is the directory that holds all of it; a program may put its own files below `base` too. Secrets
    are in `secret_file(role)`, readable by the account of this process only.
    """

    def __init__(self, server: Server, options: ClusterOptions | None = None) -> None:
        self.server = server
        self.options = options or ClusterOptions()
        self.account: Account = server_account()
        self.base = Path(tempfile.mkdtemp(prefix="bcm-demo-", dir=self.options.parent))
        self._janitor = Janitor(self.base, self.account.uid)
        self._reaper = Reaper()
        self._nodes: dict[str, Node] = {}
        self.kept = False

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop_all()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.kept:
            self.stop_all()

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(self._nodes.values())

    def node(self, name: str) -> Node:
        """Raises BcmError for a name that is none of pg1, pg2, pg3."""
        try:
            return self._nodes[name]
        except KeyError:
            raise BcmError(f"the demo's cluster has no node {name!r}: {', '.join(self._nodes)}") from None

    def secret_file(self, role: str) -> Path:
        """The password of a role: bcm_monitor, bcm_control, bcm_replication or app."""
        return self.base / "secrets" / role

    @property
    def app_passfile(self) -> Path:
        return self.base / "secrets" / "app.pass"

    def app_dsn(self, *names: str) -> str:
        """Multi-host, read-write, for the application's role; without the password's text."""
        nodes = [self.node(n) for n in names] if names else list(self.nodes)
        return (
            f"host={','.join(LOOPBACK for _ in nodes)} port={','.join(str(n.port) for n in nodes)} "
            f"dbname={APP_DATABASE} user={APP_ROLE} passfile={self.app_passfile} "
            f"target_session_attrs=read-write"
        )

    def start(self) -> None:
        """Build and start all three, until both standbys stream. Raises BcmError."""
        self._reaper.start()
        bin_dir = self._prepare_base()
        passwords = self._write_secrets()
        for (name, role), site, port in zip(
            (("pg1", "primary"), ("pg2", "standby"), ("pg3", "dr")),
            self.options.sites,
            free_ports(3),
            strict=True,
        ):
            self._nodes[name] = Node(
                name=name,
                site=site,
                role=role,
                port=port,
                home=self.base / name,
                bin_dir=bin_dir,
                account=self.account,
                note_segment=self._janitor.note_segment,
            )
            prepare_home(
                self._nodes[name],
                REPLICATION_ROLE,
                passwords[REPLICATION_ROLE],
                self.options.small_disk_mb.get(name),
            )
        primary, *standbys = self.nodes
        initialise(primary, standbys, self.options.sizing, self.options.synchronous_standby_names)
        for node in self.nodes:
            node.spawn()
        for node in self.nodes:
            node.wait_ready()
        fill(primary, self.server.version, passwords)
        self.wait_streaming(primary.name, {standby.name for standby in standbys})

    def stop_all(self) -> None:
        """Kill every server, also those that others started here, and remove everything. Idempotent."""
        gone = self._janitor.clean()
        self._reaper.stop()
        if not gone:
            raise BcmError(f"could not remove {self.base}", hint=f"rm -rf {self.base}")

    def keep(self) -> None:
        """Leave the servers and files as they are when this program ends; `stop_all` still removes them."""
        self.kept = True
        self._reaper.stop()
        self._janitor.keep()

    def current_primary(self) -> Node | None:
        """The node that takes writes; with two of them the one on the newest timeline."""
        found = [
            (timeline, node) for node in self.nodes if (timeline := _timeline_as_primary(node)) is not None
        ]
        return max(found, key=lambda pair: pair[0])[1] if found else None

    def wait_streaming(self, upstream: str, names: set[str], timeout_s: float = STREAMING_TIMEOUT_S) -> None:
        """Until the named standbys stream from `upstream`, synchronously where it says so, and have
        replayed what it has written by now. Raises BcmError with their logs."""
        written = self.node(upstream).query("SELECT pg_current_wal_lsn()")[0][0]
        statement = (
            "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming' AND "
            "(sync_state IN ('sync', 'quorum') OR current_setting('synchronous_standby_names') = '') "
            "AND replay_lsn >= %s"
        )

        def streaming() -> bool:
            with suppress(psycopg.Error):
                return names <= {row[0] for row in self.node(upstream).query(statement, (written,))}
            return False

        if not processes.wait_until(streaming, timeout_s=timeout_s, poll_s=0.02):
            logs = "\n".join(f"{n}: {self.node(n).log_tail()}" for n in sorted(names))
            raise BcmError(f"{', '.join(sorted(names))} do not stream from {upstream}:\n{logs}")

    def _prepare_base(self) -> Path:
        """Make the directory the account's own, nobody else's. Returns the programs' directory."""
        os.chown(self.base, self.account.uid, self.account.gid)
        return usable_bin_dir(self.server, self.account, self.base)

    def _write_secrets(self) -> dict[str, str]:
        (self.base / "secrets").mkdir(mode=0o700)
        passwords = {
            role: secrets.token_urlsafe(18)
            for role in (MONITOR_ROLE, CONTROL_ROLE, REPLICATION_ROLE, APP_ROLE)
        }
        for role, password in passwords.items():
            write_private(self.secret_file(role), password + "\n")
        write_private(self.app_passfile, passfile_line(APP_ROLE, passwords[APP_ROLE]))
        return passwords


def free_ports(count: int) -> list[int]:
    """Distinct ports on loopback that nobody listens on now, from PORTS."""
    found: list[int] = []
    ports = _own_part()
    for port in random.sample(ports, len(ports)):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((LOOPBACK, port))
            found.append(port)
        if len(found) == count:
            return found
    raise BcmError(f"fewer than {count} free ports between {PORTS.start} and {PORTS.stop}")


def _own_part() -> range:
    number, _, of = os.environ.get(PART, "1/1").partition("/")
    return PORTS[int(number) - 1 :: int(of)]


def _timeline_as_primary(node: Node) -> int | None:
    if node.in_recovery() is not False:
        return None
    with suppress(psycopg.Error):
        wal_file = str(node.query("SELECT pg_walfile_name(pg_current_wal_lsn())")[0][0])
        return int(wal_file[:8], 16)
    return None
