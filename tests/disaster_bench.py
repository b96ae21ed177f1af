"""Several services on a bench: scripted observations, a journal in memory or on disk, virtual time.

What is real: supervisors, judgement, gates, requests, approvals, the desk of declared disasters. What a
runbook would do to servers is scripted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from memory_journal import MemoryStore
from supervisor_bench import Servers
from virtual_clock import VirtualClock, settle

from config.schema import Estate
from controller.disaster.desk import DisasterDesk, DisasterPorts
from controller.disaster.requests import Declaring, DisasterRequests
from controller.incident_control import IncidentControl
from controller.order import FailoverOrder
from controller.supervisor.approval_records import Approval
from controller.supervisor.budget import AutomaticFailovers, Launching
from controller.supervisor.claims import Claims
from controller.supervisor.executor import Executor
from controller.supervisor.requests import Requests
from controller.supervisor.supervisor import Supervisor
from controller.supervisor.tap import TappedJournal
from controller.supervisor.trouble import Trouble
from controller.supervisor.world import Observing, World
from controller.views import CANARY, PG
from model import events as ev
from model.disaster import Scope, Tier
from model.events import Event
from model.execution import ExecutionResult, ExecutionState
from model.observation import Failure, Observation, Outcome
from runbooks.actions.base import ActionPorts
from runbooks.engine import Opened

MEMBERS = {"pg1": ("dc1", "primary"), "pg2": ("dc1", "standby"), "pg3": ("dc2", "standby")}
NAMES = "ANY 1 (pg1, pg2, pg3)"


def estate(state_dir: Path, services: dict[str, dict[str, Any]], **more: Any) -> Estate:
    """Each service has pg1 (primary) and pg2 at dc1, and pg3 at dc2. services: name → keys that differ."""
    roles = {role: {"user": role} for role in ("monitor", "control", "replication")}
    declared = {
        "configVersion": 1,
        "daemon": {"state_dir": str(state_dir), **more.pop("daemon", {})},
        "sites": {"dc1": {"role": "primary"}, "dc2": {"role": "standby"}, "office": {"role": "witness"}},
        "nodes": {
            f"{s}-{m}": {"site": site, "address": "127.0.0.1", "access": "local"}
            for s in services
            for m, (site, _) in MEMBERS.items()
        },
        "people": {p: {"name": p, "os_users": [p]} for p in ("wang", "ada")},
        "services": {
            name: {
                "engine": "postgresql",
                "mode": "act",
                "objectives": {"rpo": "0s"},
                "postgresql": {"roles": roles, "synchronous_standby_names": NAMES},
                "members": {
                    m: {
                        "node": f"{name}-{m}", "role": role, "port": 5432, "data_dir": f"/data/{m}",
                        "bin_dir": "/usr/bin", "control": "pg_ctl",
                    }
                    for m, (_, role) in MEMBERS.items()
                },
                **keys,
            }
            for name, keys in services.items()
        },
        **more,
    }  # fmt: skip
    return Estate.model_validate(declared)


class Disaster:
    """`live` lets time pass with every probe reading the servers. ends: service → how its executions end,
    where they don't succeed."""

    def __init__(self, estate_: Estate, store: MemoryStore | None = None) -> None:
        self.estate = estate_
        self.store = store or MemoryStore()
        self.memory = self.store.open()
        self.clock = VirtualClock()
        self.memory.mono_ns = lambda: int(self.clock.monotonic_s() * 1e9)
        self.journal = TappedJournal(self.memory)
        self.servers = {name: Servers() for name in estate_.services}
        self.ends: dict[str, ExecutionState] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.pages: list[str] = []
        self.watched: dict[str, str | None] = {}
        self.supervisors: dict[str, Supervisor] = {}
        self.executor = _Executor(self)
        self.desk = DisasterDesk(
            DisasterPorts(
                clock=self.clock,
                journal=self.journal,
                supervisors=self.supervisors,
                estate=lambda: self.estate,
                page=self._page,
                leads=self.memory.held,
                boot_id="boot-1",
            )
        )
        self.requests = DisasterRequests(
            self.desk, self.supervisors, self.journal, self.clock, self._sign, version="1", digest="sha256:e"
        )
        self.incidents = IncidentControl(
            self.supervisors,
            self.journal,
            self.desk,
            requests=lambda: self.requests,
            estate=lambda: self.estate,
            leads=self.memory.held,
        )
        self.launching = Launching()
        self.claims = Claims(FailoverOrder.of(estate_))
        self._failovers = AutomaticFailovers(self.journal)
        self._tasks: list[asyncio.Task[None]] = []
        for service in estate_.services.values():
            supervisor = Supervisor(self._world(), estate_, service)
            supervisor.observer(True, "")
            supervisor.desk.freeze = _no_freeze  # type: ignore[method-assign]
            self.supervisors[service.name] = supervisor

    def _world(self) -> World:
        return World(
            clock=self.clock,
            journal=self.journal,
            lease=self.memory,
            executor=self.executor,
            page=self._page,
            sign=self._sign,
            boot_id="boot-1",
            version="1",
            digest="sha256:e",
            keep_facts=lambda incident, _seen: (incident, ""),
            budget_left=self._budget_left,
            broken_dependencies=lambda _service: (),
            watch_primary=self._watch,
            trouble=Trouble(self._page),
            observing=lambda: Observing(another_leads=False, why=""),
            command=self.desk.command_of,
            launching=self.launching,
            claims=self.claims,
        )

    def start(self) -> None:
        for name, supervisor in self.supervisors.items():
            self._tasks.append(asyncio.create_task(supervisor.run(), name=name))
        self._tasks.append(asyncio.create_task(self.desk.run(), name="disasters"))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for supervisor in self.supervisors.values():
            supervisor.close()
        await settle()

    # --- what happens

    async def live(self, seconds: float = 1.5, step_s: float = 0.1) -> None:
        end_s = self.clock.monotonic_s() + seconds
        while self.clock.monotonic_s() < end_s - 1e-9:
            for service in self.servers:
                self._look(service)
            await self.clock.advance(step_s)

    async def crash(self, *services: str, member: str = "pg1") -> None:
        """All at once."""
        for service in services:
            self._see(service, member, PG, failure=Failure.CLOSED)
            self.servers[service].down.add(member)
        await self.live(0.5, 0.02)

    def _look(self, service: str) -> None:
        servers = self.servers[service]
        for member in MEMBERS:
            if member in servers.down:
                self._see(service, member, PG, failure=Failure.REFUSED)
            else:
                self._see(service, member, PG, {**servers.read(member), "sync_names": NAMES})
        canary = self.watched.get(service)
        if canary is not None and canary not in servers.down:
            servers.canary_n += 1
            facts = {"canary_n": servers.canary_n, "sync_names": NAMES, "synchronous_commit": "on"}
            self._see(service, canary, CANARY, facts)

    def _see(
        self,
        service: str,
        member: str,
        probe: str,
        facts: dict[str, Any] | None = None,
        *,
        failure: Failure | None = None,
    ) -> None:
        now_s = self.clock.monotonic_s()
        self.supervisors[service].observe(
            Observation(
                target=f"{service}/{member}",
                probe=probe,
                observer="bench",
                outcome=Outcome.SUCCEEDED if failure is None else Outcome.FAILED,
                started_s=now_s,
                ended_s=now_s,
                wall_s=self.clock.wall_s(),
                failure=failure,
                facts=facts or {},
            )
        )

    async def declare(
        self, tier: Tier = Tier.NATURAL, scope: str = "site:dc1", *, ago_s: float = 0.0
    ) -> dict[str, Any]:
        wish = Declaring(tier, Scope.parse(scope), "the river rises", "wang", ago_s)
        return await self.incidents.declare(wish, dry_run=False)

    async def approve(self, service: str, person: str = "ada") -> None:
        waiting = self.waiting(service)
        assert waiting is not None, f"nothing is asked of {service}"
        await Requests(self.supervisors[service]).approve(waiting.id, person)

    # --- what came of it

    def waiting(self, service: str) -> Approval | None:
        """The newest request that waits for an answer."""
        waiting = self.supervisors[service].approvals.waiting()
        return waiting[-1][0] if waiting else None

    def of(self, type_: str, **where: Any) -> list[Event]:
        return list(self.journal.events(types=(type_,), **where))

    def states(self, incident: str) -> dict[str, str]:
        """service → state of its step."""
        return {s["service"]: s["state"] for s in self.incidents.plan(incident)["steps"]}

    def primaries(self) -> dict[str, str | None]:
        return {name: s.ledger.primary for name, s in self.supervisors.items()}

    def gate_of(self, service: str) -> str | None:
        return self.supervisors[service].judge_now().decision.stopped_by

    # --- ports

    def _page(self, _severity: str, summary: str, **_more: Any) -> None:
        self.pages.append(summary)

    def _budget_left(self) -> int:
        return self._failovers.left(self.estate.daemon.failover_budget, self.clock, "boot-1")

    def _sign(self, seq: int, _hash: str) -> str:
        return f"signed {seq}"

    async def _watch(self, service: Any, primary: str | None) -> None:
        self.watched[service.name] = primary


async def _no_freeze(_incident: str, _observations: Any) -> None:
    pass


class _Executor(Executor):
    """Opens and settles as the real one; the candidate is promoted, or the member brought back."""

    def __init__(self, bench: Disaster) -> None:
        ports = ActionPorts(bench.clock, bench.journal, bench.memory, None, None, None)  # type: ignore[arg-type]
        super().__init__(ports, bench.estate)
        self._bench = bench

    async def execute(self, opened: Opened) -> ExecutionResult:
        bench = self._bench
        await bench.gate.wait()
        service = str(opened.plan.vars["service"])
        about: dict[str, Any] = {"service": service, "incident": opened.incident, "execution": opened.id}
        state = bench.ends.get(service, ExecutionState.SUCCEEDED)
        servers, vars_ = bench.servers[service], opened.plan.vars
        kind = opened.plan.runbook.kind.value
        if state is ExecutionState.SUCCEEDED and kind == "rejoin":
            servers.down.discard(str(vars_["member"]))
        elif state is ExecutionState.SUCCEEDED:
            old, target = servers.primary, str(vars_.get("candidate") or "pg2")
            servers.promoted(target)
            if kind == "failover":
                servers.down.add(old)
            steps = {"promote": {"member": target, "timeline": servers.timeline}}
            if kind != "failover":
                steps["attached"] = {"streaming": True}
            for step, output in steps.items():
                intent = {"step": step, "action": step, "attempt": 1, "changing": True}
                await bench.journal.append(ev.STEP_INTENT, intent, **about)
                result = {"step": step, "attempt": 1, "outcome": "succeeded", "output": output}
                await bench.journal.append(ev.STEP_RESULT, result, **about)
        data = {"state": state.value, "reason": "scripted"}
        await bench.journal.append(ev.EXECUTION_CLOSED, data, **about)
        return ExecutionResult(opened.id, state, "scripted")


@asynccontextmanager
async def disaster(
    tmp_path: Path,
    services: dict[str, dict[str, Any]],
    *,
    store: MemoryStore | None = None,
    setup: Any = None,
    **more: Any,
) -> AsyncIterator[Disaster]:
    """Everything has been healthy for two seconds. setup: called with the bench before it lives."""
    bench = Disaster(estate(tmp_path, services, **more), store)
    if setup is not None:
        setup(bench)
    bench.start()
    try:
        await bench.live(2.0)
        bench.pages.clear()
        yield bench
    finally:
        await bench.stop()
