"""A controller in the simulated world: real supervisors, judgement, engine and actions, simulated ports.

It is one process on one ops host. It can be killed, frozen and thawed; another may take its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from config.schema import Service
from controller.arrivals import Batch
from controller.observer import PREFIX
from controller.observers_inbox import ObserversInbox
from controller.order import FailoverOrder
from controller.simulate.audit_journal import SECRET
from controller.simulate.journal import SimulatedClock, SimulatedJournal
from controller.simulate.network import Host
from controller.simulate.nodes import SimulatedNode
from controller.simulate.probers import CanaryProber
from controller.simulate.sessions import SimulatedSql
from controller.simulate.watcher import Watcher
from controller.status import service_health
from controller.supervisor.budget import AutomaticFailovers, Launching
from controller.supervisor.claims import Claims
from controller.supervisor.executor import Executor
from controller.supervisor.member_probes import patience_s
from controller.supervisor.supervisor import Supervisor, answered_s
from controller.supervisor.tap import TappedJournal
from controller.supervisor.trouble import Trouble
from controller.supervisor.world import Observing
from controller.supervisor.world import World as SupervisorWorld
from controller.views import CANARY
from model.errors import NodeAccessError
from model.health import Health
from model.observation import Observation
from runbooks.actions.base import ActionPorts
from runbooks.schema import Runbook

if TYPE_CHECKING:
    from controller.simulate.world import World

# A monotonic clock is older than the world that it is in.
_UPTIME_S: Final = 100_000.0
# Raw observations go nowhere here: to keep the last of them is enough.
KEPT_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Page:
    at_s: float
    severity: str
    summary: str


class Controller(Watcher):
    """`start` it, then let the world run. quiet: it launches nothing by itself."""

    def __init__(
        self,
        world: World,
        host: Host,
        *,
        name: str = "bcm-failover",
        runbooks: dict[str, Runbook] | None = None,
    ) -> None:
        super().__init__(world, host, name, _UPTIME_S)
        self.clock = SimulatedClock(self.loop, world.timeline)
        boot = f"boot-{host.name}-{host.fate}"
        self.store = SimulatedJournal(world.store, self.loop, self.clock, name, boot)
        self.journal = TappedJournal(self.store)
        self.pages: list[Page] = []
        self.trouble = Trouble(self._page)
        self.journal.listen(lambda _event: self.trouble.over())
        self.supervisors: dict[str, Supervisor] = {}
        ports = ActionPorts(
            clock=self.clock,
            journal=self.journal,
            lease=self.store,
            sql=SimulatedSql(world, self.loop, host.name, self.estate),
            secrets=_Secrets(),
            node=self._node,
            answered_s=partial(answered_s, self.supervisors),
        )
        self.executor = Executor(ports, self.estate, runbooks)
        self._launching = Launching()
        self._failovers = AutomaticFailovers(self.journal)
        self._claims = Claims(FailoverOrder.of(self.estate))
        self._boot = boot
        self._elsewhere = ObserversInbox(self.clock, self.supervisors, self._concerned)

    # --- life

    def start(self) -> None:
        for service in self.estate.services.values():
            self.supervisors[service.name] = Supervisor(self._supervisor_world(), self.estate, service)
        self._elsewhere.configure(self.estate)
        self._watch()
        for name, supervisor in self.supervisors.items():
            self.loop.start(supervisor.run(), f"supervisor-{name}")

    @property
    def leads(self) -> bool:
        return self.alive and self.store.held()

    def kill(self, *, silent: bool = False) -> None:
        super().kill(silent=silent)
        for supervisor in self.supervisors.values():
            supervisor.close()

    # --- the station's part

    def _observed(self, seen: Observation) -> None:
        kind, _, rest = seen.target.partition("/")
        self.observer.observe(seen)
        if f"{kind}/" == PREFIX:
            return
        for supervisor in self._concerned(kind, rest):
            supervisor.observer(*self.observer.judge(seen.ended_s), self.observer.heard_s)
            supervisor.observe(seen)

    def _concerned(self, kind: str, rest: str) -> Iterable[Supervisor]:
        if kind == "node":
            return [
                s
                for s in self.supervisors.values()
                if any(m.node == rest for m in s.service.members.values())
            ]
        supervisor = self.supervisors.get(kind)
        return () if supervisor is None else (supervisor,)

    def observed_elsewhere(self, batch: Batch) -> None:
        """From an observer at another place."""
        self._elsewhere.take(batch)

    def _supervisor_world(self) -> SupervisorWorld:
        return SupervisorWorld(
            clock=self.clock,
            journal=self.journal,
            lease=self.store,
            executor=self.executor,
            page=self._page,
            sign=lambda seq, _hash: f"signed {seq}",
            boot_id=self._boot,
            version="simulated",
            digest="sha256:simulated",
            budget_left=self._budget_left,
            broken_dependencies=self._broken_dependencies,
            watch_primary=self._watch_primary,
            trouble=self.trouble,
            observing=self._observing,
            keep_facts=_kept_nowhere,
            kept_s=KEPT_S,
            marks_every_s=self._world.traits.marks_every_s,
            launching=self._launching,
            claims=self._claims,
        )

    def _budget_left(self) -> int:
        return self._failovers.left(self.estate.daemon.failover_budget, self.clock, self._boot)

    def _broken_dependencies(self, service: Service) -> tuple[str, ...]:
        judged = {n: self.supervisors[n].judged for n in service.depends_on if n in self.supervisors}
        return tuple(n for n, last in judged.items() if last and service_health(last) == Health.DOWN.value)

    def _observing(self) -> Observing:
        another = self._world.store.epoch != self.store.epoch
        return Observing(another, "a newer epoch" if another else "the journal's disk is full")

    async def _watch_primary(self, service: Service, primary: str | None) -> None:
        for member in service.members:
            if member != primary:
                self.probing.remove(f"{service.name}/{member}", CANARY)
        if primary is None or self.probing.watches(f"{service.name}/{primary}", CANARY):
            return
        server = self._world.server(service.name, primary)
        self.probing.add(
            CanaryProber(
                self.probing,
                f"{service.name}/{primary}",
                service.detection,
                server,
                patience_s(service),
            )
        )
        self.probing.suspect(f"{service.name}/{primary}")

    def _page(self, severity: str, summary: str, **more: Any) -> None:
        if SECRET in f"{summary}{more}":
            self._world.audit.broken("S12", "a secret is in a page")
        self.pages.append(Page(self._world.timeline.now_s, severity, summary))

    def _node(self, node: str) -> SimulatedNode:
        if self.estate.nodes[node].access == "none":
            raise NodeAccessError("no access to this node is configured", where=f"node {node}")
        return SimulatedNode(self._world, self.loop, self.host.name, node)


def _kept_nowhere(_incident: str, observations: Any) -> tuple[str, str]:
    return "simulated", f"{len(observations)} observations"


class _Secrets:
    def get(self, reference: Any) -> str:
        return SECRET
