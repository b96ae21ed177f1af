"""Declared disasters in the daemon: who is commanded, whose move is asked for next, and what people owe it.

The journal is the truth: what is declared is a fold over it, and a restart in the middle changes nothing. A
service that is out is asked for by its own supervisor, at its own gates; what is asked for here is the
planned move of one that still works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from config.schema import Estate, Importance, ServiceMode
from controller.approval_rules import Standing
from controller.disaster.declarations import EVENT_TYPES, Declaration, Declarations
from controller.disaster.outlook import out, switchover_runbook
from controller.disaster.progress import (
    RUN_TYPES,
    Progress,
    last_runs,
    moved,
    progress,
    progress_from_events,
    waits_for,
)
from controller.incident_links import EVENT_TYPES as LINK_TYPES
from controller.incident_links import Links
from controller.site_plan import Step
from controller.supervisor.consent import Question, consent
from controller.supervisor.escalation import Escalation
from controller.supervisor.ledger import Ledger
from controller.supervisor.pages import Told, to_answer
from controller.supervisor.requests import Requests
from controller.supervisor.supervisor import Supervisor
from controller.supervisor.switch_gates import Wish, switchover_gates
from controller.supervisor.tap import TappedJournal
from model import events as ev
from model.disaster import Command, Tier
from model.errors import BcmError, HeldError
from model.events import Event
from model.level import LEVELS
from model.ports import Clock

log = structlog.get_logger(__name__)

# Between two looks at the plans: people wait for no less.
TICK_S: Final = 0.5
_TYPES: Final = tuple(dict.fromkeys((*EVENT_TYPES, *LINK_TYPES)))
_IMPORTANCE: Final = tuple(Importance)


@dataclass(frozen=True, slots=True)
class DisasterPorts:
    """supervisors: the station's own mapping, which a reload changes in place. page: severity, summary, and
    by keyword detail, service, incident."""

    clock: Clock
    journal: TappedJournal
    supervisors: Mapping[str, Supervisor]
    estate: Callable[[], Estate]
    page: Callable[..., object]
    leads: Callable[[], bool]
    boot_id: str


class DisasterDesk:
    """`run` as a task; `command_of` for every judgement. declarations, links: as the journal tells them."""

    def __init__(self, ports: DisasterPorts) -> None:
        self._ports = ports
        self.declarations = Declarations()
        self.links = Links()
        self._seq = 0
        self._led = False
        self._held: dict[tuple[str, str], str] = {}
        self.refresh()
        ports.journal.listen(self._journaled)

    def refresh(self) -> None:
        """What another controller on this journal has written meanwhile."""
        for event in self._ports.journal.events(since_seq=self._seq, types=_TYPES):
            self.declarations = self.declarations.apply(event)
            self.links = self.links.apply(event)
            self._seq = event.seq

    def _journaled(self, event: Event) -> None:
        """One of our own: before it there may be some of the controller that led until now."""
        if event.seq > self._seq and event.type in _TYPES:
            self.refresh()

    def _follow(self) -> None:
        """Whoever begins to lead knows what was declared, with the first judgement."""
        leads = self._ports.leads()
        if leads and not self._led:
            self.refresh()
        self._led = leads

    # --- what others ask of it

    def command_of(self, service: str) -> Command | None:
        """Asked with every judgement: it costs nothing while no disaster is declared."""
        self._follow()
        declaration = self.declarations.of_service(service) if self.declarations.known else None
        if declaration is None:
            return None
        step = declaration.step(service)
        ledgers = self._ledgers(step.after) if step is not None else {}
        supervisor = self._ports.supervisors.get(service)
        return Command(
            incident=declaration.id,
            tier=declaration.tier,
            scope=declaration.scope,
            person=declaration.person,
            leaving=declaration.leaving.get(service, ()) if declaration.tier is Tier.NATURAL else (),
            waits_for=waits_for(declaration, step, ledgers) if step is not None else (),
            moves=step is not None and supervisor is not None and not moved(step, supervisor.ledger),
            level=declaration.incident.level if declaration.incident is not None else LEVELS[0],
        )

    def progress(self, declaration: Declaration) -> Progress:
        """Of its plan, now; of one that is closed, as it stood then."""
        ports = self._ports
        if not declaration.open:
            ended = progress_from_events(ports.journal.events(), declaration.id)
            if ended is not None:
                return ended
        events = ports.journal.events(since_seq=declaration.seq, types=RUN_TYPES)
        return progress(
            declaration,
            self._ledgers(declaration.services),
            last_runs(events, declaration.seq),
            int(ports.clock.wall_s() * 1e9),
            self._now_held(declaration),
        )

    def elapsed_s(self, declaration: Declaration) -> float:
        """Since it began; 0 once it is closed."""
        clock, incident = self._ports.clock, declaration.incident
        if incident is None:
            return 0.0
        return incident.elapsed_s(self._ports.boot_id, clock.monotonic_s(), int(clock.wall_s() * 1e9))

    def _now_held(self, declaration: Declaration) -> dict[str, str]:
        """Service → what stops its move; those that are out are judged by their own supervisors."""
        held = {}
        for step in declaration.steps:
            supervisor = self._ports.supervisors.get(step.service)
            judged = supervisor.judged if supervisor is not None else None
            why = self._held.get((declaration.id, step.service), "")
            if judged is not None and out(judged):
                stops = (
                    f"{g.name}: {g.reason}" for g in judged.decision.gates if not g.passed and not g.asks
                )
                why = next(stops, "")
            if why:
                held[step.service] = why
        return held

    def _ledgers(self, services: tuple[str, ...]) -> dict[str, Ledger]:
        supervisors = self._ports.supervisors
        return {s: supervisors[s].ledger for s in services if s in supervisors}

    # --- the loop

    async def run(self) -> None:
        """Until cancelled. What fails is logged once for as long as it fails the same."""
        failing = ""
        while True:
            await self._ports.clock.sleep(TICK_S)
            try:
                await self.turn()
                failing = ""
            except BcmError as error:
                log.warning("declared disasters", error=str(error))
            except Exception as error:
                if repr(error) != failing:
                    failing = repr(error)
                    log.exception("declared disasters failed")

    async def turn(self) -> None:
        """One look, and what follows from it. Raises JournalError; then it is taken up by the next turn."""
        self._follow()
        if not self._led:
            self.refresh()
            return
        if not self.declarations.known:
            return
        await self._void_old_questions()
        for declaration in self.declarations.open():
            await self._gather(declaration)
            await self._escalate(declaration)
            if declaration.tier is Tier.NATURAL:
                for step in declaration.steps:
                    await self._carry(declaration, step)

    async def _void_old_questions(self) -> None:
        """What was asked for a plan that does not concern the service any more."""
        for supervisor in list(self._ports.supervisors.values()):
            name = supervisor.service.name
            for approval in supervisor.ledger.approvals.values():
                asked_by = self.declarations.known.get(approval.incident or "")
                if asked_by is None or not approval.open:
                    continue
                if not asked_by.open or name not in asked_by.services:
                    await supervisor.approvals.expire(approval, f"{asked_by.id} does not concern it any more")

    async def _gather(self, declaration: Declaration) -> None:
        """Incidents of the services that it concerns are parts of it: one timeline, one report."""
        for name in declaration.services:
            supervisor = self._ports.supervisors.get(name)
            part = supervisor.ledger.incident_id if supervisor is not None else None
            if (
                part is None
                or part in self.links.root_of
                or self.declarations.of_service(name) != declaration
            ):
                continue
            reason = f"{name} is concerned by the declared disaster"
            await self._append(ev.INCIDENT_MERGED, {"part": part, "reason": reason}, declaration.id, name)

    async def _escalate(self, declaration: Declaration) -> None:
        incident = declaration.incident
        if incident is None:
            return
        ports, estate = self._ports, self._ports.estate()

        async def append(type_: str, data: dict[str, Any]) -> None:
            await self._append(type_, data, declaration.id)

        def tell(told: Told) -> None:
            ports.page(told.severity, told.summary, detail=told.detail, incident=declaration.id)

        escalation = Escalation(estate.levels, importance_of(estate, declaration.services), append, tell)
        await escalation.turn(incident, declaration.scope.kind, self.elapsed_s(declaration))

    # --- one service's move

    async def _carry(self, declaration: Declaration, step: Step) -> None:
        """Ask for the planned move of a service whose turn it is; make it once somebody has approved it."""
        supervisor = self._ports.supervisors.get(step.service)
        if supervisor is None or moved(step, supervisor.ledger):
            return
        wish = None
        async with supervisor.turn:
            wish, why = await self._next(declaration, step, supervisor)
        await self._note_held(declaration, step.service, why)
        if wish is None:
            return
        try:
            await Requests(supervisor).switchover(wish, dry_run=False)
        except HeldError as held:
            await self._note_held(declaration, step.service, f"{held.gate}: {held.what}")

    async def _next(
        self, declaration: Declaration, step: Step, supervisor: Supervisor
    ) -> tuple[Wish | None, str]:
        """(what to launch now, what stops it)."""
        ledger, service = supervisor.ledger, supervisor.service
        if self.declarations.of_service(service.name) != declaration or supervisor.quiet:
            return None, ""
        if supervisor.busy or ledger.open_executions or supervisor.judged is None:
            return None, ""
        if waits_for(declaration, step, self._ledgers(step.after)):
            return None, ""
        judged = supervisor.judge_now()
        if out(judged):  # its own supervisor asks for the failover
            return None, ""
        candidate = judged.outlook.choice.candidate
        why = self._stopped(supervisor, candidate)
        if why or candidate is None:
            return None, why or judged.outlook.choice.reason
        return await self._consent(declaration, supervisor, candidate)

    async def _consent(
        self, declaration: Declaration, supervisor: Supervisor, candidate: str
    ) -> tuple[Wish | None, str]:
        """As `_next`: launched once people have agreed, asked until somebody has answered."""
        ledger, name = supervisor.ledger, supervisor.service.name
        what = f"move {name} from {ledger.primary} to {candidate} (site plan of {declaration.id})"
        question = Question(declaration.id, switchover_runbook(supervisor), candidate, "", what)
        state = consent(ledger, supervisor.case.rule, question, supervisor.wall_ns())
        if state is None:
            state = await supervisor.approvals.ask(question)
            self._ports.page(
                "page",
                f"waits for approval: {what}",
                detail=f"{to_answer(state)}; "
                f"`bcm-failover incident plan {declaration.id}` shows the whole plan",
                service=name,
                incident=declaration.id,
            )
        match state.standing:
            case Standing.GRANTED:
                reason = f"site plan of {declaration.id}"
                return Wish(candidate, state.given[-1], reason=reason, approved=state), ""
            case Standing.REFUSED:
                return None, f"approval: {state.reason}"
            case _:
                return None, ""

    def _stopped(self, supervisor: Supervisor, candidate: str | None) -> str:
        """The first gate that stops its move, and why; empty: none does."""
        ledger = supervisor.ledger
        if supervisor.service.mode is ServiceMode.OBSERVE:
            return "mode: mode is observe: move it by hand"
        paused = ledger.paused(supervisor.wall_ns())
        if paused is not None:
            return f"pause: {paused}"
        if ledger.blocked is not None:
            return f"blocked: {ledger.blocked}"
        gates = switchover_gates(
            supervisor, Wish(candidate, ""), supervisor.surroundings(), supervisor.judge_now()
        )
        return next((f"{g.name}: {g.reason}" for g in gates if not g.passed and not g.asks), "")

    async def _note_held(self, declaration: Declaration, service: str, why: str) -> None:
        """People are told once for each gate that stops it: what a reason counts may change all the time."""
        key = (declaration.id, service)
        before = self._held.get(key, "")
        if not why:
            self._held.pop(key, None)
            return
        self._held[key] = why
        if before.partition(":")[0] != why.partition(":")[0]:
            self._ports.page(
                "page",
                f"the site plan of {declaration.id} is held: {why}",
                detail=f"`bcm-failover incident plan {declaration.id}` shows the whole plan",
                service=service,
                incident=declaration.id,
            )

    async def _append(
        self, type_: str, data: dict[str, Any], incident: str, service: str | None = None
    ) -> None:
        await self._ports.journal.append(type_, data, service=service, incident=incident)


def importance_of(estate: Estate, services: tuple[str, ...]) -> Importance:
    """Of the most important one."""
    found = [estate.services[s].importance for s in services if s in estate.services]
    return max(found, key=_IMPORTANCE.index, default=Importance.LOW)
