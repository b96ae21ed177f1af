"""Runs Redis' actions and runbooks against real servers: one primary and two replicas, with the ports that
they need."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from action_bench import OwnLease

from config.schema import Estate
from controller.adapters.clock import SystemClock
from controller.adapters.nodes import NodeAccesses
from controller.adapters.redis import RedisCommands
from controller.adapters.secrets import SecretStore
from controller.demo.redis.resp import RedisWireError, Session
from controller.store.sqlite import SqliteStore
from model import events as ev
from model.execution import ExecutionResult, ExecutionState, Reconciled, StepResult, StepState
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionPorts, StepContext
from runbooks.engine import Engine
from runbooks.library import load_runbook
from runbooks.planner import make_plan
from runbooks.recorded import recorded_from_events
from tests.memory_journal import MemoryJournal, MemoryStore, ProcessDiedError
from tests.pg_pair import wait_for
from tests.redis_servers import LOOPBACK, RedisServer

SERVICE = "cache"
MEMBERS = ("r1", "r2", "r3")


class Servers:
    """r1 is primary; r2 and r3 follow it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.by_name: dict[str, RedisServer] = {}
        for name in MEMBERS:
            more = () if name == "r1" else (f"replicaof {LOOPBACK} {self.by_name['r1'].port}",)
            pidfile = f"pidfile {root / name}.pid"
            self.by_name[name] = RedisServer(root, name, pidfile, *more)
        for server in self.by_name.values():
            server.start()
        self.wait_attached("r1", 2)

    def __getitem__(self, name: str) -> RedisServer:
        return self.by_name[name]

    def wait_attached(self, primary: str, count: int) -> None:
        wait_for(
            lambda: self[primary].cli("INFO", "replication").count("state=online") == count,
            f"{count} replicas of {primary}",
        )

    def ask(self, name: str, *words: str) -> Any:
        """None while it does not answer."""
        with suppress(RedisWireError):
            session = Session(self[name].port, 1.0)
            try:
                return session.ask(*words)
            finally:
                session.close()
        return None

    def refusal(self, name: str, *words: str) -> str:
        """The first word of what it answers instead of doing it; '' if it does it."""
        session = Session(self[name].port, 1.0)
        try:
            session.ask(*words)
        except RedisWireError as error:
            return error.kind
        finally:
            session.close()
        return ""

    def role(self, name: str) -> str:
        return str(self.ask(name, "ROLE")[0])

    def follows(self, name: str) -> str:
        """The name of the member that it follows; '' if none."""
        role = self.ask(name, "ROLE")
        ports = {s.port: n for n, s in self.by_name.items()}
        return ports.get(role[2], "") if role[0] == "slave" else ""

    def shape(self, *names: str) -> dict[str, tuple[str, str, str]]:
        """Of each member: its role, whom it follows, its min-replicas-to-write."""
        return {
            n: (self.role(n), self.follows(n), self.ask(n, "CONFIG", "GET", "min-replicas-to-write")[1])
            for n in names or MEMBERS
        }

    def reset(self) -> None:
        """As at first, whatever was done to them."""
        for name, server in self.by_name.items():
            if not server.running:
                server.start()
            self.ask(name, "CLIENT", "UNPAUSE")
            self.ask(name, "CONFIG", "SET", "min-replicas-to-write", "0")
        self.ask("r1", "REPLICAOF", "NO", "ONE")
        self.ask("r1", "SET", "kept", "1")
        for name in ("r2", "r3"):
            self.ask(name, "REPLICAOF", LOOPBACK, str(self["r1"].port))
        wait_for(lambda: all(self.ask(n, "ROLE")[3] == "connected" for n in ("r2", "r3")), "replicas in step")

    def kill(self) -> None:
        for server in self.by_name.values():
            server.kill()


class CuttableRedis(RedisCommands):
    """The product's own, except that `silent` members do not answer; what was sent to `deaf` ones has its
    effect, and the answer is lost."""

    silent: set[str]
    deaf: set[str]

    async def ask(self, service: str, target: str, commands: Any, **kwargs: Any) -> list[Any]:  # type: ignore[override]
        if target in self.silent:
            raise NoAnswerError("cut off by the test")
        replies = await super().ask(service, target, commands, **kwargs)
        if target in self.deaf:
            raise NoAnswerError("the answer was lost", outcome_unknown=True)
        return replies


def estate_text(servers: Servers, **changes: Any) -> dict[str, Any]:
    members = {
        name: {
            "node": f"node-{name}",
            "role": "primary" if name == "r1" else "standby",
            "port": server.port,
            "control": f"pidfile:{servers.root / name}.pid",
            **changes.pop(name, {}),
        }
        for name, server in servers.by_name.items()
    }
    redis = {"write_key": "bcm:probe", "restart_grace": "1s", **changes.pop("redis", {})}
    service = {
        "engine": "redis",
        "mode": "act",
        "profile": "fast",
        "objectives": {"rto": "5s", "rpo": "5s"},
        "redis": redis,
        "members": members,
        **changes,
    }
    return {
        "configVersion": 1,
        "daemon": {
            "name": "ops",
            "state_dir": str(servers.root / "state"),
            "socket": str(servers.root / "admin.sock"),
        },
        "sites": {"here": {"role": "primary"}},
        "nodes": {
            f"node-{name}": {"site": "here", "address": LOOPBACK, "access": "local", "ping": False}
            for name in MEMBERS
        },
        "services": {SERVICE: service},
    }


class RedisBench:
    """One execution on three servers. `run("id", action)` keeps the output under `steps.id`."""

    def __init__(self, servers: Servers, *, actor: str = "daemon", **changes: Any) -> None:
        self.servers = servers
        self.estate = Estate.model_validate(estate_text(servers, **changes))
        self.service = self.estate.service(SERVICE)
        secrets = SecretStore()
        self.redis = CuttableRedis(self.estate, secrets)
        self.redis.silent, self.redis.deaf = set(), set()
        self.nodes = NodeAccesses(self.estate, secrets)
        self.lease = OwnLease(1)
        ports = ActionPorts(
            clock=SystemClock(),
            journal=None,  # type: ignore[arg-type]
            lease=self.lease,
            sql=None,  # type: ignore[arg-type]
            secrets=secrets,
            node=self.nodes.access,
            redis=self.redis,
        )
        self.vars: dict[str, Any] = {
            "service": SERVICE,
            "primary": "r1",
            "standbys": ["r2", "r3"],
            "min_replicas": self.service.redis.min_replicas,  # type: ignore[attr-defined]
        }
        self.ctx = StepContext(
            estate=self.estate,
            service=self.service,
            ports=ports,
            execution="EXE-1",
            incident=None,
            actor=actor,
            vars={**self.vars, "steps": {}},
            stack=AsyncExitStack(),
        )
        self.store: SqliteStore | None = None

    async def run(self, step: str, action: Action, timeout_s: float = 5.0) -> StepResult:
        self.ctx.step = step
        result = await action.run(self.ctx, time.monotonic() + timeout_s)
        self.ctx.vars["steps"][step] = dict(result.output)
        return result

    async def ok(self, step: str, action: Action, timeout_s: float = 5.0) -> StepResult:
        result = await self.run(step, action, timeout_s)
        assert result.outcome is StepState.SUCCEEDED, f"{step}: {result}"
        return result

    async def check(self, action: Action, timeout_s: float = 2.0) -> Reconciled:
        return await action.check(self.ctx, time.monotonic() + timeout_s)

    async def undo(self, action: Action, timeout_s: float = 2.0) -> StepResult:
        return await action.undo(self.ctx, time.monotonic() + timeout_s)

    async def runbook(self, name: str, **variables: Any) -> ExecutionResult:
        """Through the engine, with a journal on disk."""
        if self.store is None:
            self.store = SqliteStore.open(self.servers.root / "state", owner="test", clock=SystemClock())
        ports = replace(self.ctx.ports, journal=self.store, lease=self.store)
        runbook = load_runbook(name)
        given = {n: v for n, v in {**self.vars, **variables}.items() if n in runbook.vars}
        plan = make_plan(runbook, estate=self.estate, service=self.service, vars=given)
        engine = Engine(ports, self.estate)
        return await engine.run(plan, incident=None, actor=self.ctx.actor, trigger="automatic")

    async def resumed(
        self, name: str, arrange: Callable[[MemoryJournal], None], **variables: Any
    ) -> tuple[ExecutionResult, MemoryStore] | None:
        """Runs it in a process that dies as arranged, and resumes it in the next; None: it did not die."""
        store, runbook = MemoryStore(), load_runbook(name)
        given = {n: v for n, v in {**self.vars, **variables}.items() if n in runbook.vars}
        plan = make_plan(runbook, estate=self.estate, service=self.service, vars=given)
        dying = store.open()
        arrange(dying)
        ports = replace(self.ctx.ports, journal=dying, lease=dying)
        engine = Engine(ports, self.estate)
        try:
            await engine.run(plan, incident=None, actor="daemon", trigger="automatic")
        except ProcessDiedError:
            opened = store.of(ev.EXECUTION_OPENED)
            if not opened:
                return ExecutionResult("", ExecutionState.UNDONE, "never opened"), store
        else:
            return None
        following = store.open()
        ports = replace(self.ctx.ports, journal=following, lease=following)
        recorded = recorded_from_events(store.events, opened[0].execution or "")
        if store.of(ev.EXECUTION_CLOSED):
            return ExecutionResult("", ExecutionState(store.events[-1].data["state"]), "closed"), store
        return await Engine(ports, self.estate).resume(recorded), store

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.ctx.stack.aclose()
        await self.nodes.aclose()
        if self.store is not None:
            self.store.close()


@contextmanager
def three(root: Path) -> Iterator[Servers]:
    servers = Servers(root)
    try:
        yield servers
    finally:
        servers.kill()
