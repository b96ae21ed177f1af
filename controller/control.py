"""The daemon as the API sees it: implements `controller.api.control.Control`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from controller.api.control import Caller
from controller.disaster.requests import Declaring
from controller.execution_control import ExecutionControl
from controller.incident_control import IncidentControl
from controller.signals import Signals
from controller.status import approval_status, disaster_status, explanation, incident_status, service_status
from controller.supervisor.executor import MOVES
from controller.supervisor.requests import Requests, check_member
from controller.supervisor.supervisor import Supervisor
from controller.supervisor.switch_gates import Wish
from model import events as ev
from model.disaster import Scope, Tier
from model.errors import UsageError
from model.people import QuestionKind, Word
from model.ports import Clock

Json = dict[str, Any]


class DaemonControl:
    """`supervisors` is the daemon's own mapping: a reload changes it in place."""

    def __init__(
        self,
        supervisors: dict[str, Supervisor],
        clock: Clock,
        *,
        about: Callable[[], Json],
        reload: Callable[[], Awaitable[Json]],
        signals: Signals,
        incidents: IncidentControl,
    ) -> None:
        self._supervisors = supervisors
        self._clock = clock
        self._about = about
        self._reload = reload
        self._signals = signals
        self._incidents = incidents
        self._executions = ExecutionControl(supervisors)

    def status(self) -> Json:
        wall_ns = int(self._clock.wall_s() * 1e9)
        services = [
            {**service_status(s, wall_ns), "warnings": self._signals.warnings_of(s)}
            for s in self._supervisors.values()
        ]
        now_s = self._clock.monotonic_s()
        incidents = [
            {
                **incident_status(s, s.ledger.incident, now_s),
                "part_of": self._incidents.root_of(s.ledger.incident.id),
            }
            for s in self._supervisors.values()
            if s.ledger.incident is not None
        ]
        disasters = [
            disaster_status(
                self._incidents.progress(d),
                d.incident,
                self._incidents.estate(),
                self._incidents.elapsed_s(d),
            )
            for d in self._incidents.declared()
            if d.incident is not None
        ]
        approvals = [
            approval_status(s, approval, state)
            for s in self._supervisors.values()
            for approval, state in s.approvals.waiting()
        ]
        return {
            "daemon": self._about(),
            "services": services,
            **self._signals.status(),
            "incidents_open": [*disasters, *incidents],
            "approvals": approvals,
        }

    def explain(self, service: str) -> Json:
        supervisor = self._supervisor(service)
        return {**explanation(supervisor), **self._signals.of(supervisor)}

    async def switchover(self, service: str, *, to: str | None, dry_run: bool, caller: Caller) -> Json:
        supervisor = self._supervisor(service)
        return await Requests(supervisor).switchover(Wish(to, caller.person), dry_run=dry_run)

    async def mend(self, service: str, *, kind: str, member: str, dry_run: bool, caller: Caller) -> Json:
        wish = Wish(None, caller.person)
        return await Requests(self._supervisor(service)).mend(kind, member, wish, dry_run=dry_run)

    async def failover(
        self,
        service: str,
        *,
        to: str | None,
        override: Sequence[str],
        reason: str,
        dry_run: bool,
        caller: Caller,
    ) -> Json:
        wish = Wish(to, caller.person, tuple(override), reason)
        return await Requests(self._supervisor(service)).failover(wish, dry_run=dry_run)

    async def pause(self, service: str, *, for_s: float, reason: str, caller: Caller) -> Json:
        supervisor = self._supervisor(service)
        until_ns = int((self._clock.wall_s() + for_s) * 1e9)
        await supervisor.append(
            ev.SERVICE_PAUSED, {"until_wall_ns": until_ns, "reason": reason}, actor=caller.person
        )
        return {"service": service, "paused_for_s": int(for_s), "reason": reason}

    async def resume(self, service: str, *, reason: str, caller: Caller) -> Json:
        supervisor = self._supervisor(service)
        if supervisor.ledger.paused(int(self._clock.wall_s() * 1e9)) is None:
            raise UsageError(f"{service} is not paused", hint="`acknowledge` lifts a block after a failover")
        await supervisor.append(ev.SERVICE_RESUMED, {"reason": reason}, actor=caller.person)
        return {"service": service, "paused": None}

    async def acknowledge(self, service: str, *, comment: str, caller: Caller) -> Json:
        supervisor = self._supervisor(service)
        if supervisor.ledger.blocked is None and not supervisor.ledger.lost:
            raise UsageError(f"{service} is not blocked", hint="nothing has to be acknowledged")
        await supervisor.append(ev.SERVICE_UNBLOCKED, {"reason": comment}, actor=caller.person)
        return {"service": service, "blocked": None}

    async def approve(self, approval: str, *, caller: Caller) -> Json:
        return await self._asked(approval).approve(approval, caller.person)

    async def reject(self, approval: str, *, reason: str, caller: Caller) -> Json:
        return await self._asked(approval).reject(approval, caller.person, reason)

    async def resume_execution(self, execution: str, *, reason: str = "", caller: Caller) -> Json:
        return await self._executions.resume(execution, reason, caller.person)

    async def abort_execution(self, execution: str, *, reason: str, caller: Caller) -> Json:
        return await self._executions.abort(execution, reason, caller.person)

    async def pause_execution(self, execution: str, *, reason: str, caller: Caller) -> Json:
        return await self._executions.pause(execution, reason, caller.person)

    async def reconcile_execution(self, execution: str) -> Json:
        return await self._executions.reconcile(execution)

    async def say_of_step(
        self,
        execution: str,
        step: str,
        *,
        word: Word,
        kind: QuestionKind | None,
        reason: str,
        caller: Caller,
    ) -> Json:
        return await self._executions.say(
            execution, step, word, kind=kind, reason=reason, person=caller.person
        )

    async def reload(self) -> Json:
        return await self._reload()

    async def acknowledge_incident(self, incident: str, *, comment: str, caller: Caller) -> Json:
        return await self._incidents.acknowledge(incident, comment, caller.person)

    async def incident_reported(self, incident: str, *, to: str, comment: str, caller: Caller) -> Json:
        return await self._incidents.reported(incident, to, comment, caller.person)

    async def close_incident(self, incident: str, *, reason: str, caller: Caller) -> Json:
        return await self._incidents.close(incident, reason, caller.person)

    async def declare_disaster(
        self, *, tier: Tier, scope: str, reason: str, ago_s: float, dry_run: bool, caller: Caller
    ) -> Json:
        wish = Declaring(tier, Scope.parse(scope), reason, caller.person, ago_s)
        return await self._incidents.declare(wish, dry_run=dry_run)

    def incident_plan(self, incident: str) -> Json:
        return self._incidents.plan(incident)

    def site_plan(self, site: str, *, back: bool, caller: Caller) -> Json:
        return self._incidents.site_plan(site, back=back, person=caller.person)

    async def merge_incidents(self, incident: str, *, part: str, reason: str, caller: Caller) -> Json:
        return await self._incidents.merge(incident, part, reason, caller.person)

    async def split_incident(self, incident: str, *, service: str, reason: str, caller: Caller) -> Json:
        return await self._incidents.split(incident, service, reason, caller.person)

    async def run_probe(self, name: str, type_: str | None) -> Json:
        return await self._signals.runs().run(name, type_)

    async def inspect(self, service: str | None, *, actor: str) -> Json:
        if service is not None:
            self._supervisor(service)
        return await self._signals.inspections.inspect(service, trigger="person", actor=actor)

    def inspection_progress(self) -> Json:
        return self._signals.inspections.progress()

    def last_inspection(self) -> Json | None:
        return self._signals.inspections.last()

    async def plan(self, service: str, runbook: str, to: str | None, given: Mapping[str, Any]) -> Json:
        supervisor = self._supervisor(service)
        if to is not None:
            check_member(supervisor, to)
        order = supervisor.order(runbook, candidate=to, trigger="manual", actor="plan")
        if supervisor.executor.kind_of(runbook) not in MOVES:
            order = replace(order, candidate=None, member=to or next(iter(supervisor.ledger.retired), None))
        order = replace(order, given=given)
        return await Requests(supervisor).plan(order, supervisor.judge_now().decision.gates)

    async def run_runbook(
        self,
        service: str,
        runbook: str,
        *,
        to: str | None,
        given: Mapping[str, Any],
        reason: str,
        dry_run: bool,
        caller: Caller,
    ) -> Json:
        wish = Wish(to, caller.person, reason=reason, runbook=runbook, given=given)
        return await Requests(self._supervisor(service)).run(wish, dry_run=dry_run)

    def _asked(self, approval: str) -> Requests:
        for supervisor in self._supervisors.values():
            if approval in supervisor.ledger.approvals:
                return Requests(supervisor)
        waiting = [a.id for s in self._supervisors.values() for a, _state in s.approvals.waiting()]
        raise UsageError(
            f"no approval {approval!r}", hint=f"waiting: {', '.join(waiting) or 'none'}; see `status`"
        )

    def _supervisor(self, service: str) -> Supervisor:
        try:
            return self._supervisors[service]
        except KeyError:
            known = ", ".join(self._supervisors) or "none"
            raise UsageError(f"no service {service!r}", hint=f"services: {known}") from None
