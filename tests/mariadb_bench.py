"""Runs MariaDB's actions and runbooks against the demo's real servers: one primary and two semi-synchronous
replicas, with the ports that they need."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from controller.adapters.mysql import MysqlSessions, OpenSession
from controller.demo.mariadb.cluster import CANARY, SEMI_SYNC, MariadbCluster
from controller.demo.mariadb.estate import SERVICE, estate_of
from controller.demo.mariadb.node import PROGRAM, MariadbNode
from model.errors import DeclinedError
from model.ports import NoAnswerError
from probes.mariadb_facts import ASK_SOURCES, ASK_STATUS, ASK_VARIABLES, by_name, facts_of
from tests.step_bench import StepBench

MEMBERS = ("m1", "m2", "m3")
_EMPTY = (
    "STOP SLAVE; RESET SLAVE ALL; SET GLOBAL rpl_semi_sync_master_enabled = 0; SET GLOBAL read_only = 0; "
    f"SET GLOBAL rpl_semi_sync_slave_enabled = 1; DELETE FROM {CANARY}; DELETE FROM app.written; "
    "RESET MASTER; SET GLOBAL gtid_slave_pos = ''; SET GLOBAL read_only = 1;"
)


class Servers(MariadbCluster):
    """m1 is primary; m2 and m3 follow it."""

    def reset(self) -> None:
        """As at first, whatever was done to them, with one write that all have."""
        for node in self.nodes:
            if not node.running:
                # With it one that was killed drops what no replica had acknowledged, or refuses to start.
                node.start("--rpl-semi-sync-slave-enabled=0")
            node.sql(_EMPTY)
        first, *others = self.nodes
        for node in others:
            self.follow(node, first)
        first.sql(f"{SEMI_SYNC} SET GLOBAL read_only = 0; INSERT INTO {CANARY} VALUES (1, 1, 0);")
        self.wait_in_step("m1")

    def write(self, name: str, *numbers: int) -> None:
        rows = ", ".join(f"(1, {n})" for n in numbers)
        self[name].sql(f"INSERT INTO app.written VALUES {rows}")

    def begin(self, name: str, statement: str) -> subprocess.Popen[bytes]:
        """A client that waits for its answer."""
        program = ["mariadb", "--no-defaults", f"--socket={self[name].socket}", "-uroot", "-e", statement]
        return subprocess.Popen(program, stdin=subprocess.DEVNULL)

    def written(self, name: str) -> list[int]:
        return [int(n) for n in self[name].sql("SELECT n FROM app.written ORDER BY n").split()]

    def follows(self, name: str) -> str:
        """The name of the member that it is told to follow; '' if none."""
        row = self[name].sql("SHOW SLAVE STATUS").split("\t")
        return next((n.name for n in self.nodes if len(row) > 3 and str(n.port) == row[3]), "")

    def threads(self, name: str) -> tuple[str, str]:
        """Does it receive, does it apply?"""
        row = self[name].sql("SHOW SLAVE STATUS").split("\t")
        return row[10], row[11]

    def shape(self, *names: str) -> dict[str, tuple[str, str, str]]:
        """Of each member: whom it follows, its read_only, whether it waits for replicas."""
        return {
            n: (
                self.follows(n),
                self[n].sql("SELECT @@read_only"),
                self[n].sql("SELECT @@rpl_semi_sync_master_enabled"),
            )
            for n in names or MEMBERS
        }

    def facts(self, node: MariadbNode) -> dict[str, Any]:
        """As the probe has them after a write of its own."""

        def rows(statement: str) -> list[dict[str, str | None]]:
            lines = [line.split("\t") for line in node.sql(statement).splitlines()]
            return [{"Variable_name": line[0], "Value": line[1] if len(line) > 1 else ""} for line in lines]

        sources: list[dict[str, str | None]] = [] if not node.sql(ASK_SOURCES) else [{}]
        facts = facts_of(by_name(rows(ASK_VARIABLES)), by_name(rows(ASK_STATUS)), sources)
        return {**facts, "canary_n": 1}


class CuttableMysql(MysqlSessions):
    """The product's own, except that `silent` members do not answer; `deaf` ones do what a statement that
    begins with the text says, and the answer is lost. declines: one that begins with it is answered by an
    error that repeats it."""

    silent: set[str]
    deaf: dict[str, str]
    declines: str = ""

    async def connect(self, service: str, member: str, *, role: str, timeout_s: float) -> OpenSession:
        if member in self.silent:
            raise NoAnswerError("cut off by the test")
        session = await super().connect(service, member, role=role, timeout_s=timeout_s)
        return _Cut(session, self, member)


class _Cut(OpenSession):
    def __init__(self, session: OpenSession, whole: CuttableMysql, member: str) -> None:
        super().__init__(member, session._session)
        self._whole = whole

    async def query(self, statement: str, *, timeout_s: float) -> list[dict[str, str | None]]:
        if self._whole.declines and statement.startswith(self._whole.declines):
            raise DeclinedError(f"1064: near {statement}", code=1064)
        rows = await super().query(statement, timeout_s=timeout_s)
        if statement.startswith(self._whole.deaf.get(self._member, "-")):
            self.close()
            raise NoAnswerError("the answer was lost", outcome_unknown=True)
        return rows


class MariadbBench(StepBench):
    """One execution on three servers; the primary was last seen a moment ago."""

    def __init__(self, servers: Servers, *, actor: str = "daemon", epoch: int = 1, **changes: Any) -> None:
        self.servers = servers
        estate = estate_of(servers, servers.base / "state", servers.base / "admin.sock")
        settings = estate["services"][SERVICE]["mariadb"]
        settings.update(changes.pop("mariadb", {}))
        for name, more in changes.items():
            estate["services"][SERVICE]["members"][name].update(more)
        variables = {
            "primary": "m1",
            "standbys": ["m2", "m3"],
            "counted": ["m2", "m3"],
            "must_prove": True,
            "semi_sync": True,
            "when_single_copy": "block",
        }
        super().__init__(servers.base, estate, SERVICE, variables, actor=actor, epoch=epoch)
        self.mysql = CuttableMysql(self.estate, self.secrets)
        self.mysql.silent, self.mysql.deaf = set(), {}
        self.bind(mysql=self.mysql)

    def see(self, **facts: Any) -> None:
        """The primary, as the probe would have left it; `facts` are other ones."""
        shown = {**self.servers.facts(self.servers["m1"]), **facts}
        shown_ns = int(self.ctx.ports.clock.monotonic_s() * 1e9)
        for known in (self.vars, self.ctx.vars):
            known.update(shown=shown, shown_ns=shown_ns, last_acked_canary=1)


@contextmanager
def three(root: Path) -> Iterator[Servers]:
    if not Path(PROGRAM).exists():
        pytest.skip("MariaDB is not installed (Debian: apt-get install mariadb-server)")
    with Servers(root) as servers:
        yield servers
