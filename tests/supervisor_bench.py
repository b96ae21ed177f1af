"""One supervisor on a bench: scripted observations, a journal in memory, virtual time, scripted executions.

Everything but the world is real: folding, judgement, gates, requests, the opening of executions by the engine
and their settling. What a runbook would do to the servers is told by a script.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memory_journal import MemoryJournal, MemoryStore
from virtual_clock import VirtualClock, settle

from config.schema import Estate, Service
from controller.alerts import Firing
from controller.supervisor.budget import Launching
from controller.supervisor.claims import Claims
from controller.supervisor.desk import facts_in
from controller.supervisor.executor import Executor
from controller.supervisor.judgement import Judged
from controller.supervisor.supervisor import Supervisor
from controller.supervisor.tap import TappedJournal
from controller.supervisor.trouble import Trouble
from controller.supervisor.world import Observing, World
from controller.views import CANARY, PG
from model import events as ev
from model.events import Event
from model.execution import ExecutionResult, ExecutionState
from model.observation import Failure, Observation, Outcome
from runbooks.actions.base import ActionPorts
from runbooks.engine import Opened

SERVICE = "orders"
SYSTEM = "7000000000000000001"
NAMES = "ANY 1 (pg1, pg2, pg3)"
AT = 16 << 20  # where everybody is
_FAILURES_UNKNOWN = {Failure.CREDENTIALS, Failure.LOCAL, Failure.LOCK_BLOCKED}


def estate(
    state_dir: Path,
    *,
    mode: str = "act",
    access: str = "local",
    levels: dict[str, Any] | None = None,
    people: tuple[str, ...] = ("wang", "ada"),
    **service: Any,
) -> Estate:
    """Three members: pg1 (primary), pg2 (standby), pg3 (at the DR site). service: keys that differ."""
    roles = {role: {"user": role} for role in ("monitor", "control", "replication")}
    postgresql = {"roles": roles, "synchronous_standby_names": NAMES, **service.pop("postgresql", {})}
    sites = {"dc1": "primary", "dc2": "standby", "far": "dr"}
    places = dict(zip(("pg1", "pg2", "pg3"), sites, strict=True))
    member_roles = {"pg1": "primary", "pg2": "standby", "pg3": "dr"}
    return Estate.model_validate(
        {
            "configVersion": 1,
            "daemon": {"state_dir": str(state_dir)},
            "sites": {site: {"role": role} for site, role in sites.items()},
            "nodes": {
                f"db-{m}": {"site": site, "address": "127.0.0.1", "access": access}
                for m, site in places.items()
            },
            "people": {p: {"name": p, "os_users": [p]} for p in people},
            "levels": levels or {},
            "services": {
                SERVICE: {
                    "engine": "postgresql",
                    "mode": mode,
                    "objectives": {"rpo": "0s"},
                    "postgresql": postgresql,
                    "members": {
                        m: {
                            "node": f"db-{m}",
                            "role": member_roles[m],
                            "port": 5432,
                            "data_dir": f"/data/{m}",
                            "bin_dir": "/usr/bin",
                            "control": "pg_ctl",
                        }
                        for m in places
                    },
                    **service,
                }
            },
        }
    )


@dataclass
class Servers:
    """What the members are, and so what the probes read. down: members that refuse. silent: canaries that are
    not acknowledged."""

    primary: str = "pg1"
    timeline: int = 1
    canary_n: int = 100
    down: set[str] = field(default_factory=set)
    detached: set[str] = field(default_factory=set)
    # Members that answer as primary beside it, on this timeline.
    rogue: dict[str, int] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    canary_failure: Failure | None = None

    def read(self, member: str) -> dict[str, Any]:
        accepts = member == self.primary or member in self.rogue
        facts: dict[str, Any] = {
            "in_recovery": not accepts,
            "system_identifier": SYSTEM,
            "timeline": self.rogue.get(member, self.timeline),
            "position": AT,
            "walreceiver": not accepts and member not in self.detached,
            "sync_names": NAMES,
            "canary_n": self.canary_n,
        }
        if accepts:
            facts["current_lsn"] = AT
        return {**facts, **self.facts.get(member, {})}

    def promoted(self, member: str) -> None:
        self.primary, self.timeline = member, self.timeline + 1


# What an execution comes to; may change the servers.
Script = Callable[["Bench", Opened], Awaitable[ExecutionState]]


class ScriptedExecutor(Executor):
    """Opens and settles as the real one; what runs in between is the bench's script."""

    def __init__(self, bench: Bench) -> None:
        ports = ActionPorts(bench.clock, bench.journal, bench.memory, None, None, None)  # type: ignore[arg-type]
        super().__init__(ports, bench.estate)
        self._bench = bench
        self.aborts: list[str] = []
        self.engine.request_abort = self._abort  # type: ignore[method-assign]

    async def execute(self, opened: Opened) -> ExecutionResult:
        bench = self._bench
        bench.executed.append(opened.id)
        await bench.gate.wait()
        state = await bench.script(bench, opened)
        return await self._end(opened.id, opened.incident, state)

    async def resume(self, execution: str, reason: str) -> ExecutionResult:
        bench = self._bench
        bench.resumed.append((execution, reason))
        await bench.gate.wait()
        if bench.resume_error is not None:
            raise bench.resume_error
        incident = bench.of(ev.EXECUTION_OPENED, execution=execution)[0].incident
        return await self._end(execution, incident, bench.resumed_state)

    async def _end(self, execution: str, incident: str | None, state: ExecutionState) -> ExecutionResult:
        if self._bench.end_is_lost:
            return ExecutionResult(execution, ExecutionState.UNKNOWN, "the journal failed", closed=False)
        await self._bench.journal.append(
            ev.EXECUTION_CLOSED,
            {"state": state.value, "reason": "scripted"},
            service=SERVICE,
            incident=incident,
            execution=execution,
        )
        return ExecutionResult(execution, state, "scripted")

    async def _abort(self, execution: str, *, reason: str, actor: str) -> None:
        self.aborts.append(execution)


async def succeeds(bench: Bench, opened: Opened) -> ExecutionState:
    """The preferred standby is promoted, or the member is brought back."""
    kind = opened.plan.runbook.kind.value
    if kind == "rejoin":
        member = str(opened.plan.vars["member"])
        bench.servers.down.discard(member)
        bench.servers.rogue.pop(member, None)
        bench.servers.detached.discard(member)
        return ExecutionState.SUCCEEDED
    target = str(opened.plan.vars.get("candidate") or ("pg2" if bench.servers.primary != "pg2" else "pg1"))
    old = bench.servers.primary
    bench.servers.promoted(target)
    if kind == "failover":
        bench.servers.down.add(old)
    await bench.step(opened, "promote", {"member": target, "timeline": bench.servers.timeline})
    if kind != "failover":
        await bench.step(opened, "attached", {"streaming": True})
    return ExecutionState.SUCCEEDED


def ends(state: ExecutionState) -> Script:
    async def script(_bench: Bench, _opened: Opened) -> ExecutionState:
        return state

    return script


class Bench:
    """`start` runs the supervisor's loop; `live` lets time pass with every probe reading the servers."""

    def __init__(self, estate_: Estate, state_dir: Path, store: MemoryStore | None = None) -> None:
        self.estate = estate_
        self.service: Service = estate_.services[SERVICE]
        self.store = store or MemoryStore()
        self.clock = VirtualClock()
        self.memory: MemoryJournal = self.store.open()
        self.memory.mono_ns = lambda: int(self.clock.monotonic_s() * 1e9)
        self.journal = TappedJournal(self.memory)
        self.servers = Servers()
        self.canary_names = NAMES
        self.script: Script = succeeds
        self.gate = asyncio.Event()
        self.gate.set()
        self.executed: list[str] = []
        self.resumed: list[tuple[str, str]] = []
        self.resume_error: Exception | None = None
        self.resumed_state = ExecutionState.UNDONE
        self.end_is_lost = False
        self.pages: list[tuple[str, str]] = []
        self.watched: list[str | None] = []
        self.budget = 3
        self.launching = Launching()
        self.claims = Claims()
        self.broken: tuple[str, ...] = ()
        self.firing: tuple[Firing, ...] = ()
        self.observing = Observing(another_leads=False, why="the disk is full")
        self.executor = ScriptedExecutor(self)
        self.trouble = Trouble(self._page)
        self.journal.listen(lambda _event: self.trouble.over())
        self.state_dir = state_dir
        self.supervisor = Supervisor(self._world(), estate_, self.service)
        self.supervisor.observer(True, "")
        self.supervisor.desk.freeze = self._freeze  # type: ignore[method-assign]
        self._loop: asyncio.Task[None] | None = None

    def _world(self) -> World:
        return World(
            clock=self.clock,
            journal=self.journal,
            lease=self.memory,
            executor=self.executor,
            page=self._page,
            sign=lambda seq, _hash: f"signed {seq}",
            boot_id="boot-1",
            version="1",
            digest="sha256:estate",
            keep_facts=facts_in(self.state_dir / "facts"),
            budget_left=lambda: self.budget,
            broken_dependencies=lambda _service: self.broken,
            watch_primary=self._watch,
            trouble=self.trouble,
            observing=lambda: self.observing,
            alerts=lambda _service: self.firing,
            launching=self.launching,
            claims=self.claims,
        )

    def start(self) -> None:
        self._loop = asyncio.create_task(self.supervisor.run(), name="supervisor")

    async def stop(self) -> None:
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait({self._loop})
        self.supervisor.close()
        await settle()

    # --- what happens

    async def live(self, seconds: float, step_s: float = 0.1) -> None:
        """Probes read every `step_s`, and the supervisor turns."""
        end_s = self.clock.monotonic_s() + seconds
        while self.clock.monotonic_s() < end_s - 1e-9:
            self.look()
            await self.clock.advance(step_s)

    def look(self) -> None:
        """Every member once, and the canary where it is watched."""
        for member in self.service.members:
            if member in self.servers.down:
                self.see(member, PG, failure=Failure.REFUSED)
            else:
                self.see(member, PG, self.servers.read(member))
        canary = self.watched[-1] if self.watched else None
        if canary is None:
            return
        if canary in self.servers.down:
            self.see(canary, CANARY, failure=Failure.REFUSED)
        elif self.servers.canary_failure is not None:
            self.see(canary, CANARY, failure=self.servers.canary_failure)
        else:
            self.servers.canary_n += 1
            facts = {
                "canary_n": self.servers.canary_n,
                "sync_names": self.canary_names,
                "synchronous_commit": "on",
            }
            self.see(canary, CANARY, facts)

    async def crash(self, member: str = "pg1") -> None:
        """Its connections end without a word, and then it refuses."""
        self.see(member, PG, failure=Failure.CLOSED)
        self.servers.down.add(member)
        for _ in range(4):
            self.look()
            await self.clock.advance(0.02)

    def see(
        self,
        member: str,
        probe: str,
        facts: dict[str, Any] | None = None,
        *,
        failure: Failure | None = None,
        began_s: float | None = None,
    ) -> None:
        now_s = self.clock.monotonic_s()
        outcome = Outcome.SUCCEEDED if failure is None else Outcome.FAILED
        if failure in _FAILURES_UNKNOWN:
            outcome = Outcome.UNKNOWN
        self.supervisor.observe(
            Observation(
                target=f"{SERVICE}/{member}",
                probe=probe,
                observer="bench",
                outcome=outcome,
                started_s=now_s if began_s is None else began_s,
                ended_s=now_s,
                wall_s=self.clock.wall_s(),
                failure=failure,
                facts=facts or {},
            )
        )

    async def step(self, opened: Opened, step: str, output: dict[str, Any]) -> None:
        about: dict[str, Any] = {
            "service": SERVICE,
            "incident": opened.incident,
            "execution": opened.id,
            "actor": opened.actor,
        }
        await self.journal.append(
            ev.STEP_INTENT, {"step": step, "action": step, "attempt": 1, "changing": True}, **about
        )
        result = {"step": step, "attempt": 1, "outcome": "succeeded", "output": output}
        await self.journal.append(ev.STEP_RESULT, result, **about)

    # --- what came of it

    def of(self, type_: str, **where: Any) -> list[Event]:
        return list(self.memory.events(types=(type_,), **where))

    def types(self) -> list[str]:
        return self.store.types()

    def opened(self) -> list[tuple[str, str]]:
        """Kind and trigger of every execution."""
        return [(e.data["kind"], e.data["trigger"]) for e in self.of(ev.EXECUTION_OPENED)]

    def paged(self, severity: str = "page") -> list[str]:
        return [summary for level, summary in self.pages if level == severity]

    @property
    def code(self) -> str:
        return self.judged.diagnosis.code

    @property
    def judged(self) -> Judged:
        return self.supervisor.judge_now()

    # --- ports

    def _page(self, severity: str, summary: str, **_more: Any) -> None:
        self.pages.append((severity, summary))

    async def _watch(self, _service: Service, primary: str | None) -> None:
        self.watched.append(primary)

    async def _freeze(self, incident: str, observations: Any) -> None:
        pass


@asynccontextmanager
async def running(
    tmp_path: Path, *, calm: bool = True, store: MemoryStore | None = None, **options: Any
) -> AsyncIterator[Bench]:
    """A supervisor whose loop runs; with `calm` the service has been healthy for two seconds."""
    bench = Bench(estate(tmp_path, **options), tmp_path, store)
    bench.start()
    try:
        if calm:
            await bench.live(2.0)
            bench.pages.clear()
        yield bench
    finally:
        await bench.stop()
