"""One service's loop: observations in, judgement, and at most one thing done about it at a time.

Observations only fold and wake the loop; everything that is journaled or acted on happens in `_turn`, one
turn after the other, so that what is decided is decided on what the journal already holds.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import structlog

from config.schema import Estate, Service, ServiceMode
from controller.decide import decision_key
from controller.supervisor.approvals import ApprovalDesk
from controller.supervisor.background import Background
from controller.supervisor.desk import IncidentDesk
from controller.supervisor.executor import Executor, Order
from controller.supervisor.frozen import frozen_facts
from controller.supervisor.judgement import (
    Case,
    Judged,
    Surroundings,
    judge,
    primary_to_adopt,
    redundancy_missing,
)
from controller.supervisor.knowledge import Knowledge
from controller.supervisor.ledger import Ledger
from controller.supervisor.mending import Mending
from controller.supervisor.notes import Notes
from controller.supervisor.pages import Told, held, warning
from controller.supervisor.world import World
from controller.views import CANARY
from model import events as ev
from model.decision import Verb
from model.diagnosis import Diagnosis, Stance
from model.errors import BcmError, JournalError, LeadershipLostError
from model.events import Event
from model.execution import ExecutionState
from model.health import Health
from model.observation import Observation
from runbooks.engine import Opened

log = structlog.get_logger(__name__)

# A turn at least this often: ageing, expiries and the clock on the wall need no observation.
TICK_S = 0.25


class Supervisor:
    """See the module. `judged` is the last judgement, for whoever asks."""

    def __init__(self, world: World, estate: Estate, service: Service) -> None:
        self._world = world
        self.estate = estate
        self.service = service
        events = world.journal.events(service=service.name)
        self.ledger = Ledger.read(service.name, events)
        self.knowledge = Knowledge(
            estate,
            service,
            settings=self.ledger.history(world.boot_id),
            high_water=dict(self.ledger.high_water),
        )
        self.desk = IncidentDesk(service.name, world.journal, world.state_dir / "facts", world.sign)
        self.approvals = ApprovalDesk(service.name, world.journal, world.clock)
        self._mending = Mending(estate, service)
        self.judged: Judged | None = None
        self._wake = asyncio.Event()
        self._background = Background(lambda text: self._page(Told("page", text)), self.wake)
        self._running: asyncio.Task[None] | None = None
        self._last_decision: tuple[object, ...] = ()
        self._told: tuple[str, str] | None = None
        self._notes = Notes(self.knowledge, self.append)
        self._unlisten = world.journal.listen(self._journaled)

    # --- seeing

    def observe(self, seen: Observation) -> None:
        self.knowledge.observe(seen, self.ledger.primary)
        self._wake.set()

    def observer(self, sane: bool | None, why: str) -> None:
        """What the reference targets say of this host's own network (S6)."""
        self.knowledge.observer_sane, self.knowledge.observer_why = sane, why

    def wake(self) -> None:
        """Take a turn now."""
        self._wake.set()

    def resume_execution(self, execution: str, actor: str) -> None:
        """One that is open and that nobody runs, because its end could not be seen."""
        self._running = self._background.spawn(
            self._resume(execution, f"resumed by {actor}"), f"execution-{self.service.name}"
        )

    async def _resume(self, execution: str, reason: str) -> None:
        await self._world.executor.resume(execution, reason)
        await self.settle(execution)

    async def give_up(self, execution: str, reason: str, person: str) -> None:
        """Close one that nobody runs and that can't be resumed: what it changed is not known, and said so."""
        await self._world.journal.append(
            ev.EXECUTION_CLOSED,
            {"state": ExecutionState.UNKNOWN.value, "reason": f"given up by {person}: {reason}"},
            service=self.service.name,
            incident=self._incident,
            execution=execution,
            actor=person,
        )

    @property
    def executor(self) -> Executor:
        return self._world.executor

    @property
    def running(self) -> asyncio.Task[None] | None:
        """The execution that is under way, if one is."""
        return self._running if self._running is not None and not self._running.done() else None

    @property
    def busy(self) -> bool:
        return self.running is not None

    def judge_now(self) -> Judged:
        """A fresh judgement; changes nothing."""
        return judge(self._case(), self.surroundings(), self._world.clock.monotonic_s())

    def _case(self) -> Case:
        return Case(self.estate, self.service, self.knowledge, self.ledger)

    def surroundings(self) -> Surroundings:
        world = self._world
        return Surroundings(
            leader=world.lease.held(),
            epoch=world.lease.epoch,
            budget_left=world.budget_left(),
            wall_ns=int(world.clock.wall_s() * 1e9),
            broken_dependencies=world.broken_dependencies(self.service),
        )

    def _journaled(self, event: Event) -> None:
        self.ledger = self.ledger.apply(event)

    # --- the loop

    async def run(self) -> None:
        """Until cancelled. An error in one turn is logged and paged; the next turn is taken all the same."""
        self._running = self._background.spawn(self._resume_open(), f"resume-{self.service.name}")
        try:
            while True:
                try:
                    await self._turn()
                except LeadershipLostError as error:
                    self._tell_once("another controller leads: observing only", str(error))
                except JournalError as error:
                    self._tell_once("the journal can't be written: observing only", str(error))
                except BcmError as error:
                    log.error("turn failed", service=self.service.name, error=str(error))  # noqa: TRY400
                except Exception:
                    log.exception("turn failed", service=self.service.name)
                    self._page(Told("page", "internal error while judging; see the daemon's log"))
                    await self._world.clock.sleep(1.0)
                await self._next_turn()
        finally:
            self._unlisten()
            self._background.cancel()

    async def _next_turn(self) -> None:
        waiter = asyncio.ensure_future(self._wake.wait())
        tick = asyncio.ensure_future(self._world.clock.sleep(TICK_S))
        try:
            await asyncio.wait({waiter, tick}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
            tick.cancel()
            # Not awaited one by one with CancelledError suppressed: that would swallow our own cancellation,
            # and a daemon that is told to stop would go on for ever.
            await asyncio.wait({waiter, tick})
        self._wake.clear()

    async def _turn(self) -> None:
        judged = self.judged = self.judge_now()
        if not self._world.lease.held():
            return  # S4: without leadership it observes, and whoever leads pages
        await self._notes.healths(judged)
        if self.ledger.primary is None:
            await self._adopt(judged)
            return
        if self.busy or self.ledger.open_executions:
            return  # what is seen while the primary moves is judged when it has moved
        await self._notes.diagnosis(judged)
        await self._open_incident(judged)
        if await self._adopt_outside(judged):
            return
        judged = self.judged = self.judge_now()
        await self._decide(judged)
        await self._recover(judged)
        await self._notes.knowledge(judged, self.ledger.primary)

    # --- the primary

    async def _adopt(self, judged: Judged) -> None:
        member = primary_to_adopt(judged.view)
        if member is not None:
            await self.set_primary(member, "the only member that accepts writes; the others are its standbys")

    async def _adopt_outside(self, judged: Judged) -> bool:
        """Somebody made another member primary by hand: said by the incident, and followed, not fought."""
        member, old = judged.diagnosis.member, self.ledger.primary
        if judged.diagnosis.code != "SwitchedOutside" or member != primary_to_adopt(judged.view):
            return False
        await self.append(
            ev.MEMBER_RETIRED, {"member": old, "why": f"{member} was promoted by somebody else"}
        )
        await self.set_primary(str(member), "promoted outside this product")
        return True

    async def set_primary(self, member: str, why: str) -> None:
        seen = self.judge_now().view.member(member)
        await self.append(
            ev.SERVICE_PRIMARY,
            {
                "member": member,
                "timeline": seen.fact_int("timeline") if seen else None,
                "system_identifier": seen.facts.get("system_identifier") if seen else None,
                "why": why,
            },
        )
        await self._world.watch_primary(self.service, member)
        for other in self.service.members:
            if other != member:
                self.knowledge.forget(other, CANARY)

    # --- incidents

    @property
    def _incident(self) -> str | None:
        return self.ledger.incident.id if self.ledger.incident else None

    async def _open_incident(self, judged: Judged) -> None:
        diagnosis = judged.diagnosis
        if self.ledger.incident is not None or diagnosis.info.level is None or not diagnosis.confirmed:
            return
        incident = await self.desk.open(
            diagnosis.to_json(),
            level=diagnosis.info.level,
            t0_s=diagnosis.last_good_s,
            first_bad_s=diagnosis.first_bad_s,
            confirmed_s=judged.at_s,
            frozen=self.frozen(),
        )
        self._last_decision = ()
        self._background.spawn(self.desk.freeze(incident, self.knowledge.kept()), "freeze-facts")

    def frozen(self) -> dict[str, Any]:
        return frozen_facts(self._world.version, self._world.digest, self.knowledge)

    async def _decide(self, judged: Judged) -> None:
        decision, diagnosis = judged.decision, judged.diagnosis
        if diagnosis.info.stance in (Stance.NONE, Stance.MEND):
            await self._mend(judged)
            return
        if diagnosis.info.level is None or (self._incident is None and decision.verb is not Verb.ACT):
            await self._warn(diagnosis)
            return
        key = decision_key(decision)
        if key != self._last_decision:
            self._last_decision = key
            await self.desk.decided(self._incident, decision)
            if decision.verb is not Verb.ACT and self._incident is not None:
                self._page(held(judged))
        if decision.verb is Verb.ASK:
            await self.approvals.ask(self.ledger, decision, self._incident)
        elif decision.verb is Verb.ACT and decision.runbook is not None and self._incident is not None:
            await self.desk.mark(self._incident, "T3", self._world.clock.monotonic_s())
            approval = self.ledger.approved(self._incident)
            await self.launch(
                self.order(
                    decision.runbook,
                    candidate=None,
                    trigger="automatic" if approval is None else "approved",
                    actor="daemon" if approval is None else approval.given_by[-1],
                )
            )

    async def _warn(self, diagnosis: Diagnosis) -> None:
        """Nothing to decide, but somebody should know: once for each change of the diagnosis."""
        key = ("warned", diagnosis.code, diagnosis.member)
        if key != self._last_decision:
            self._last_decision = key
            if diagnosis.info.stance is Stance.REFUSE and diagnosis.code != "PrimaryRestarting":
                self._page(warning(diagnosis))

    def _page(self, told: Told) -> None:
        self._world.page(
            told.severity,
            told.summary,
            detail=told.detail,
            service=self.service.name,
            incident=self._incident,
        )

    # --- acting

    def order(
        self,
        runbook: str,
        *,
        candidate: str | None,
        trigger: str,
        actor: str,
        overrides: tuple[str, ...] = (),
    ) -> Order:
        """Everything that a run of `runbook` has to know, as it is known now."""
        return Order(
            service=self.service,
            runbook=runbook,
            primary=self.ledger.primary,
            candidate=candidate,
            settings=self.knowledge.settings,
            counted=self.knowledge.counted_settings(self.ledger.primary),
            last_acked_canary=self.knowledge.last_acked_canary,
            high_water=dict(self.knowledge.high_water),
            no_room=tuple(
                m.member for m in self.judge_now().outlook.members if "room" in (m.not_candidate or "")
            ),
            incident=self._incident,
            trigger=trigger,
            actor=actor,
            overrides=overrides,
        )

    async def launch(self, order: Order) -> str:
        """Open the execution and run it as a task of its own; the loop goes on observing. Returns its id."""
        opened = await self._world.executor.open(order)
        self._running = self._background.spawn(self._execute(opened), f"execution-{self.service.name}")
        return opened.id

    async def _execute(self, opened: Opened) -> None:
        result = await self._world.executor.execute(opened)
        await self.settle(result.id)

    async def settle(self, execution: str) -> None:
        """Make the journal say what an execution changed; may be repeated."""
        outcome = await self._world.executor.settle(self.service, execution, self.ledger)
        if outcome.primary is not None:
            await self.set_primary(outcome.primary, f"promoted by {execution}")
            self._last_decision = ()
        if outcome.page is not None:
            self._page(Told(outcome.severity, outcome.page))
        self._mending.ended(outcome, self._world.clock.monotonic_s())

    async def _resume_open(self) -> None:
        """Executions that a dead process left open, and ends of executions that were not settled (S5)."""
        if not self._world.lease.held():
            return
        for execution in self.ledger.open_executions:
            log.warning("resuming", execution=execution, service=self.service.name)
            await self._resume(execution, "the process that ran it is gone")
        last = self._world.executor.unsettled(self.service)
        if last is not None:
            await self.settle(last)
        await self._world.watch_primary(self.service, self.ledger.primary)

    async def _mend(self, judged: Judged) -> None:
        """Restore redundancy: nothing is out, so there is time, and each try is spaced from the last."""
        member = self._mending.due(judged, self.ledger)
        if member is None:
            return
        if self.service.mode is not ServiceMode.ACT and self.ledger.approved(self._incident) is None:
            return
        if self.ledger.paused(int(self._world.clock.wall_s() * 1e9)) is not None:
            return
        order = self.order("postgresql-rejoin", candidate=None, trigger="automatic", actor="daemon")
        await self.launch(replace(order, member=member))

    async def _recover(self, judged: Judged) -> None:
        incident = self.ledger.incident
        if incident is None or judged.diagnosis.info.level is not None or self.busy:
            return
        primary = judged.view.member(judged.view.primary)
        if primary is None or not primary.fresh or primary.facts.get("in_recovery") is not False:
            return
        canary = self.knowledge.state(primary.name, CANARY)
        if self.knowledge.last_acked_canary is not None and (
            canary is None or canary.health is not Health.UP
        ):
            return
        if not incident.recovered:
            await self.desk.recovered(incident.id, primary.name)
            self._page(Told("info", f"recovered: {primary.name} accepts writes"))
        if redundancy_missing(self.service, self.ledger, judged.view):
            return
        await self.desk.mark(incident.id, "T9", judged.at_s)
        if self.ledger.blocked is not None:
            await self.append(ev.SERVICE_UNBLOCKED, {"reason": "redundancy is restored"})
        await self.desk.close(incident.id, "recovered, and redundancy is restored")
        self._last_decision = ()

    # --- small things

    def _tell_once(self, what: str, why: str) -> None:
        """A state that lasts is said when it begins, not with every turn."""
        if self._told != (what, why):
            self._told = (what, why)
            log.error(what, service=self.service.name, why=why)
            self._page(Told("page", f"{what}: {why}"))

    async def append(self, type_: str, data: dict[str, Any], actor: str = "daemon") -> Event:
        return await self._world.journal.append(
            type_, data, service=self.service.name, incident=self._incident, actor=actor
        )
