"""Runs actions one by one against the demo's real cluster, with the ports that they need and no engine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

import yaml

from config.schema import Credential, Estate
from controller.demo.cluster import Cluster
from controller.demo.estate import SERVICE, demo_estate
from model.errors import NodeAccessError
from model.execution import Reconciled, StepResult, StepState
from model.ports import CommandResult, Journal, NodeAccess, Secrets, SqlError
from probes.pg_connect import PgTarget
from probes.pg_errors import PgError
from probes.pg_session import PgSession
from runbooks.actions.base import Action, ActionPorts, StepContext


class LoopClock:
    def monotonic_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class OwnLease:
    """Held until a test says otherwise."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.is_held = True

    def held(self) -> bool:
        return self.is_held


class TestSession:
    """model.ports.SqlSession over the product's own PostgreSQL session."""

    __test__ = False

    def __init__(self, session: PgSession) -> None:
        self._session = session

    @property
    def closed(self) -> bool:
        return self._session.closed

    @property
    def backend_pid(self) -> int:
        return self._session.backend_pid

    async def query(
        self, statement: str, params: Sequence[Any] = (), *, timeout_s: float
    ) -> list[tuple[Any, ...]]:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._session.query(statement, params)
        except TimeoutError:
            raise SqlError("no answer in time", outcome_unknown=True) from None
        except PgError as error:
            raise SqlError(
                str(error), sqlstate=error.sqlstate, refused=error.refused, outcome_unknown=error.sent
            ) from None

    async def close(self) -> None:
        self._session.abort()


class TestSql:
    """model.ports.Sql for the demo's cluster; `unreachable` members refuse."""

    __test__ = False

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self.unreachable: set[str] = set()
        self.statements: list[str] = []

    async def connect(
        self, service: str, member: str, *, role: str, database: str, timeout_s: float, application_name: str
    ) -> TestSession:
        if member in self.unreachable:
            raise SqlError("cut off by the test")
        declared = self._estate.service(service)
        credential: Credential = getattr(declared.postgresql.roles, role)
        assert credential.password is not None
        assert credential.password.file is not None
        password = credential.password.file.read_text().strip()
        address = declared.members[member]
        session = PgSession(
            PgTarget(address.host, address.port, credential.user, database, application_name)
        )
        try:
            async with asyncio.timeout(timeout_s):
                await session.open(password)
        except TimeoutError:
            raise SqlError("no answer in time") from None
        except PgError as error:
            raise SqlError(str(error), sqlstate=error.sqlstate, refused=error.refused) from None
        return TestSession(session)

    async def connect_endpoint(
        self, service: str, *, role: str, database: str, timeout_s: float
    ) -> TestSession:
        deadline_s = time.monotonic() + timeout_s
        last = SqlError("no member takes writes")
        while time.monotonic() < deadline_s:
            for member in self._estate.service(service).members:
                try:
                    session = await self.connect(
                        service, member, role=role, database=database,
                        timeout_s=max(deadline_s - time.monotonic(), 0.001), application_name="client",
                    )  # fmt: skip
                    rows = await session.query("SHOW transaction_read_only", timeout_s=1.0)
                except SqlError as error:
                    last = error
                    continue
                if rows == [("off",)]:
                    return session
                await session.close()
            await asyncio.sleep(0.01)
        raise last


class LocalAccess:
    """Commands on this host, as the demo's servers run on it."""

    def __init__(self) -> None:
        self.ran: list[list[str]] = []

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        self.ran.append(list(argv))
        began_s = time.monotonic()
        switch = {"user": user, "group": user, "extra_groups": []} if user and os.geteuid() == 0 else {}

        def work() -> CommandResult:
            try:
                done = subprocess.run(
                    list(argv), input=stdin or b"", capture_output=True, timeout=timeout_s, check=False,
                    cwd="/", env={"PATH": os.defpath, "LC_ALL": "C", **(env or {})}, **cast("Any", switch),
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return CommandResult(None, "", "timed out", time.monotonic() - began_s)
            return CommandResult(
                done.returncode, done.stdout.decode(), done.stderr.decode(), time.monotonic() - began_s
            )

        return await asyncio.to_thread(work)

    def describe(self, argv: Sequence[str], *, user: str | None = None) -> str:
        return " ".join(argv)


class ActionBench:
    """One execution on one cluster. `run("id", action)` keeps the output under `steps.id`."""

    def __init__(self, cluster: Cluster, *, epoch: int = 1, actor: str = "daemon", **changes: Any) -> None:
        self.cluster = cluster
        self.estate = bench_estate(cluster, **changes)
        self.service = self.estate.service(SERVICE)
        self.sql = TestSql(self.estate)
        self.lease = OwnLease(epoch)
        self.access = LocalAccess()
        self.no_access: set[str] = set()
        ports = ActionPorts(
            clock=LoopClock(),
            journal=cast("Journal", None),
            lease=self.lease,
            sql=cast("Any", self.sql),
            secrets=cast("Secrets", None),
            node=self._node,
        )
        self.ctx = StepContext(
            estate=self.estate,
            service=self.service,
            ports=ports,
            execution="EXE-1",
            incident=None,
            actor=actor,
            vars={
                "service": SERVICE,
                "primary": "pg1",
                "standbys": ["pg2", "pg3"],
                "settings": [cluster.options.synchronous_standby_names],
                "setting_read_ns": time.monotonic_ns(),
                "epoch": epoch,
                "steps": {},
            },
            stack=AsyncExitStack(),
        )
        self.took_ms: dict[str, float] = {}

    async def run(self, step: str, action: Action, timeout_s: float = 5.0) -> StepResult:
        began_s = time.monotonic()
        result = await action.run(self.ctx, began_s + timeout_s)
        self.took_ms[step] = (time.monotonic() - began_s) * 1000
        self.ctx.vars["steps"][step] = dict(result.output)
        return result

    async def ok(self, step: str, action: Action, timeout_s: float = 5.0) -> StepResult:
        result = await self.run(step, action, timeout_s)
        assert result.outcome is StepState.SUCCEEDED, f"{step}: {result}"
        return result

    async def undo(self, action: Action, timeout_s: float = 5.0) -> StepResult:
        return await action.undo(self.ctx, time.monotonic() + timeout_s)

    async def check(self, action: Action, timeout_s: float = 5.0) -> Reconciled:
        return await action.check(self.ctx, time.monotonic() + timeout_s)

    async def close(self) -> None:
        await self.ctx.stack.aclose()

    async def __aenter__(self) -> ActionBench:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    def _node(self, name: str) -> NodeAccess:
        if name in self.no_access:
            raise NodeAccessError("no access is configured", where=name)
        return self.access


def bench_estate(cluster: Cluster, **changes: Any) -> Estate:
    """`changes`: members' fields by member, e.g. pg2={"excluded": True}."""
    text = demo_estate(cluster, state_dir=cluster.base / "state", socket=cluster.base / "admin.sock")
    document = yaml.safe_load(text)
    members = document["services"][SERVICE]["members"]
    for node in cluster.nodes:
        members[node.name] |= changes.pop(node.name, {})
    document["services"][SERVICE]["postgresql"] |= changes.pop("postgresql", {})
    document["services"][SERVICE] |= changes
    return Estate.model_validate(document)
