"""Runs actions one by one against the demo's real cluster, with the ports that they need and no engine."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, Self, cast

import yaml

from config.schema import Estate
from controller.adapters.clock import SystemClock
from controller.adapters.nodes import NodeAccesses
from controller.adapters.secrets import SecretStore
from controller.adapters.sql import MemberSession, SqlSessions
from controller.demo.cluster import Cluster
from controller.demo.estate import SERVICE, demo_estate
from controller.store.sqlite import SqliteStore
from model.errors import NodeAccessError
from model.execution import ExecutionResult, Reconciled, StepResult, StepState
from model.ports import Journal, NodeAccess, SqlError
from runbooks.actions.base import Action, ActionPorts, StepContext
from runbooks.actions.postgresql.lock import Lock, LockOptions
from runbooks.engine import Engine
from runbooks.library import load_runbook
from runbooks.planner import make_plan


class OwnLease:
    """Held until a test says otherwise."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.is_held = True

    def held(self) -> bool:
        return self.is_held


class CuttableSql(SqlSessions):
    """The product's own, except that `unreachable` members do not answer."""

    unreachable: set[str]

    async def connect(self, service: str, member: str, **kwargs: Any) -> MemberSession:  # type: ignore[override]
        if member in self.unreachable:
            raise SqlError("cut off by the test")
        return await super().connect(service, member, **kwargs)


class ActionBench:
    """One execution on one cluster. `run("id", action)` keeps the output under `steps.id`."""

    def __init__(self, cluster: Cluster, *, epoch: int = 1, actor: str = "daemon", **changes: Any) -> None:
        self.cluster = cluster
        self.estate = bench_estate(cluster, **changes)
        self.service = self.estate.service(SERVICE)
        secrets = SecretStore()
        self.sql = CuttableSql(self.estate, secrets)
        self.sql.unreachable = set()
        self.lease = OwnLease(epoch)
        self.nodes = NodeAccesses(self.estate, secrets)
        self.no_access: set[str] = set()
        ports = ActionPorts(
            clock=SystemClock(),
            journal=cast("Journal", None),
            lease=self.lease,
            sql=self.sql,
            secrets=secrets,
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
        self._store: SqliteStore | None = None

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

    async def lock(self, **options: Any) -> StepResult:
        return await self.ok("lock", Lock(LockOptions(**options)))

    def sql_of(self, member: str, statement: str, database: str = "postgres") -> Any:
        """First value of a statement as superuser."""
        rows = self.cluster.node(member).query(statement, database=database)
        return rows[0][0] if rows else None

    async def runbook(self, name: str, **variables: Any) -> ExecutionResult:
        """Through the engine, with a journal on disk."""
        if self._store is None:
            self._store = SqliteStore.open(self.cluster.base / "state", owner="test", clock=SystemClock())
        ports = replace(self.ctx.ports, journal=self._store, lease=self._store)
        known = {"primary": "pg1", "standbys": ["pg2", "pg3"], "settings": self.ctx.vars["settings"]}
        runbook = load_runbook(name)
        given = {n: v for n, v in {**known, **variables}.items() if n in runbook.vars}
        plan = make_plan(runbook, estate=self.estate, service=self.service, vars=given)
        return await Engine(ports, self.estate).run(
            plan, incident=None, actor=self.ctx.actor, trigger="automatic"
        )

    async def close(self) -> None:
        await self.ctx.stack.aclose()
        await self.nodes.aclose()
        if self._store is not None:
            self._store.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    def _node(self, name: str) -> NodeAccess:
        if name in self.no_access:
            raise NodeAccessError("no access is configured", where=name)
        return self.nodes.access(name)


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
