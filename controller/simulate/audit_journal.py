"""What the product writes down, as it writes it, against its own rules and against what truly is.

Here are the rules that an execution as a whole can break: S1, S7, S8, S9, S11, S12, S13, and of POSTGRESQL.md
P6, P8, P9 and P12. What single statements may break is in `audit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from controller.simulate.audit import answers, can_confirm
from controller.simulate.postgres import CONNINFO, READ_ONLY, Postgres, Process
from model import events as ev
from model.events import Event

if TYPE_CHECKING:
    from controller.simulate.world import World

# What every secret of the simulated estates is: wherever it shows, something leaked.
SECRET: Final = "Kp7-secret-of-the-simulation"  # noqa: S105 - made to be looked for
# A verification that began so long ago had all the time that it needs, if everything worked.
_VERIFY_S: Final = 10.0
# A fence's last look is so old at most when its result is written down.
_SEEN_S: Final = 1.0
_MOVES: Final = frozenset({"failover", "switchover", "failback"})


@dataclass(slots=True)
class _Execution:
    """One that is open. steps: their actions, and the members that they are told to act on. promoted: the
    member that its own record says it made primary."""

    id: str
    kind: str
    automatic: bool
    opened_s: float
    primary: str | None
    steps: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    promoted: str | None = None


class JournalAudit:
    """`written` hears every record when it is on the disk."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._open: dict[str, _Execution] = {}
        self._blocked: set[str] = set()
        # (service, member) that lost the role to a failover: when, in seconds of the world.
        self._lost_s: dict[tuple[str, str], float] = {}
        self._failovers_s: list[float] = []

    def written(self, event: Event) -> None:
        if SECRET in str(event.data):
            self._broken("S12", f"a secret is in the journal, in {event.type}")
        service = event.service
        if service is None:
            return
        data, running = event.data, self._open.get(service)
        match event.type:
            case ev.EXECUTION_OPENED:
                self._opened(service, event)
            case ev.STEP_INTENT if running is not None:
                running.steps[data["step"]] = (data["action"], data["inputs"].get("member"))
                if data["action"] == "postgresql.promote" and data["attempt"] == 1:
                    self._world.audit.intended_s[service] = self._world.timeline.now_s
            case ev.STEP_RESULT if running is not None:
                self._step_ended(service, running, data)
            case ev.EXECUTION_CLOSED:
                if running is not None and running.id == event.execution:
                    self._closed(service, running, data["state"])
                    self._world.audit.closed_s[service] = self._world.timeline.now_s
                    del self._open[service]
            case ev.SERVICE_BLOCKED:
                self._blocked.add(service)
            case ev.SERVICE_UNBLOCKED:
                self._blocked.discard(service)
                if event.actor != "daemon":
                    self._lost_s.clear()
            case ev.MEMBER_RETIRED if data.get("kind") == "failover":
                self._lost_s[service, data["member"]] = self._world.timeline.now_s

    def _broken(self, rule: str, what: str) -> None:
        self._world.audit.broken(rule, what)

    def _opened(self, service: str, event: Event) -> None:
        data, id_ = event.data, str(event.execution)
        before = self._open.get(service)
        if before is not None:
            self._broken("S1", f"{id_} was opened while {before.id} was open")
        automatic = data["trigger"] == "automatic"
        if automatic and self._world.estate.services[service].mode.value != "act":
            self._broken("S7", f"{id_} runs by itself in mode {self._world.estate.services[service].mode}")
        if automatic and data["kind"] == "failover":
            self._within_budget(id_)
            if service in self._blocked:
                self._broken("S8", f"{id_} was opened while the service was blocked")
        primary = data["vars"].get("primary")
        now_s = self._world.timeline.now_s
        self._open[service] = _Execution(id_, data["kind"], automatic, now_s, primary)

    def _within_budget(self, id_: str) -> None:
        """Of the whole estate (S1)."""
        budget, now_s = self._world.estate.daemon.failover_budget, self._world.timeline.now_s
        self._failovers_s.append(now_s)
        count = sum(1 for at_s in self._failovers_s if now_s - at_s < budget.per)
        if count > budget.count:
            self._broken("S1", f"{id_} is automatic failover {count}; {budget.count} are allowed")

    # --- steps

    def _step_ended(self, service: str, running: _Execution, data: Mapping[str, Any]) -> None:
        """What the record says of a promotion and of a fence must be so."""
        (action, told), outcome = running.steps.get(data["step"], ("", None)), data["outcome"]
        fenced = told or running.primary
        if action == "postgresql.promote":
            self._promotion_ended(service, running, outcome, data["output"].get("member"))
        elif action == "postgresql.fence" and outcome == "succeeded" and fenced is not None:
            self._fenced(self._world.server(service, fenced))
        elif action == "postgresql.verify_write" and outcome == "failed" and running.promoted is not None:
            self._unverified(service, running)

    def _promotion_ended(self, service: str, running: _Execution, outcome: str, member: str | None) -> None:
        issued = [
            self._world.server(service, name)
            for at_s, of, name, ours in self._world.audit.promotions
            if of == service and ours and at_s >= running.opened_s
        ]
        if outcome == "failed" and any(s.standby.promoting or not s.in_recovery for s in issued):
            names = ", ".join(s.name for s in issued)
            self._broken("S13", f"the promotion is said to have failed, and was issued to {names} (P12)")
        if outcome != "succeeded" or member is None:
            return
        running.promoted = member
        if self._world.server(service, member).in_recovery:
            self._broken("S13", f"{member} is said to be promoted, and is in recovery")
        if running.automatic:
            self._dr_site(service, running, member)
            self._way_back(service, running, member)

    def _way_back(self, service: str, running: _Execution, member: str) -> None:
        """By itself nobody gets the role back so soon (S8)."""
        lost_s = self._lost_s.get((service, member))
        no_return_s = self._world.estate.services[service].no_return
        if lost_s is not None and running.opened_s - lost_s < no_return_s:
            self._broken("S8", f"{running.id} gave {member} the role back by itself")

    def _dr_site(self, service: str, running: _Execution, member: str) -> None:
        """By itself only where somebody in a third place sees the site lost (S9)."""
        estate = self._world.estate
        members = estate.services[service].members
        if estate.site_of(members[member]).role.value != "dr" or running.primary is None:
            return
        places = {estate.site_of(members[m]).name for m in (member, running.primary)}
        observers = {self._world.network.hosts[host].site for host in self._world.observers}
        if not observers - places:
            self._broken(
                "S9", f"{member} at the DR site took over by itself; nobody looked from a third place"
            )

    def _fenced(self, old: Postgres) -> None:
        if old.branch.system != self._world.system_of(old.service):
            return  # its disk was replaced meanwhile: no old primary of this service any more
        up_s = self._world.timeline.now_s - old.started_s if old.process is Process.UP else 0.0
        if up_s < _SEEN_S:
            return  # whoever looked at it saw that it was stopped
        if old.host.up and not old.in_recovery and old.live.get(READ_ONLY) != "on":
            self._broken("P8", f"{old.name} is said to be fenced, and takes writes")

    def _unverified(self, service: str, running: _Execution) -> None:
        """Whoever can be reached all the time, and takes writes, is found at the endpoint (P9); but not one
        that has come back with another system's data, nor beside a rival that takes the clients."""
        server = self._world.server(service, str(running.promoted))
        now_s = self._world.timeline.now_s
        promoted_s = max(
            at_s for at_s, _of, name, _ours in self._world.audit.promotions if name == server.name
        )
        hosts = (*self._world.observers, f"app-{server.host.site}")
        rivals = [s for s in self._world.servers(service) if s is not server and s.writable]
        if (
            server.writable
            and not rivals
            and server.branch.system == self._world.system_of(service)
            and can_confirm(server, _VERIFY_S)
            and now_s - promoted_s > _VERIFY_S
            and all(answers(server, host, _VERIFY_S) for host in hosts)
        ):
            self._broken(
                "P9", f"{server.name} takes writes, and {running.id} did not find it at the endpoint"
            )

    # --- the end

    def _closed(self, service: str, running: _Execution, state: str) -> None:
        if state == "undone":
            self._taken_back(service, running)
        if state != "succeeded" or running.kind not in _MOVES or running.promoted is None:
            return
        seen = self._world.audit.verified.get((service, running.promoted))
        if seen is None or seen < running.opened_s:
            self._broken("S11", f"{running.id} succeeded, and no write on {running.promoted} shows it")

    def _taken_back(self, service: str, running: _Execution) -> None:
        """Nothing is changed: who was detached has its upstream again (P6)."""
        for server in self._world.servers(service):
            detached_s = self._world.audit.detached.get((service, server.name))
            if detached_s is None or detached_s < running.opened_s or not server.in_recovery:
                continue
            if server.conf.get(CONNINFO, "") == "":
                self._broken("P6", f"{running.id} is taken back, and {server.name} is still detached")
