"""One service's loop: observations in, judgement, and at most one thing done about it at a time.

Observations only fold and wake the loop; everything that is journaled or acted on happens in a turn, or in a
person's request, one after the other under one lock: what is decided is decided on what the journal holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from config.schema import Estate, Service
from controller.approval_rules import DAEMON
from controller.levels import scope_of
from controller.order import stage_of
from controller.remedies.remedy import Known
from controller.remedies.table import REMEDIES
from controller.supervisor.acting import Acting
from controller.supervisor.approvals import ApprovalDesk
from controller.supervisor.aside import Aside
from controller.supervisor.background import Background
from controller.supervisor.desk import IncidentDesk
from controller.supervisor.escalation import Escalation
from controller.supervisor.executor import Executor, Order
from controller.supervisor.frozen import frozen_facts
from controller.supervisor.going_on import GoingOn
from controller.supervisor.judgement import (
    Case,
    Judged,
    Surroundings,
    judge,
    redundancy_missing,
)
from controller.supervisor.knowledge import Knowledge
from controller.supervisor.ledger import Ledger
from controller.supervisor.mending import Mending, Outcome
from controller.supervisor.notes import Notes
from controller.supervisor.pages import Told, step_asks
from controller.supervisor.primacy import Primacy
from controller.supervisor.recovery import works
from controller.supervisor.runs import Runs
from controller.supervisor.settings_history import widest_setting
from controller.supervisor.telling import Telling
from controller.supervisor.ticks import also_if_calm, is_calm
from controller.supervisor.turns import Turns
from controller.supervisor.world import World
from model import events as ev
from model.errors import HeldError
from model.events import Event
from model.observation import Observation


class Supervisor:
    """See the module. `judged` is the last judgement, for whoever asks. turn: held while anything is decided.
    quiet: it launches nothing by itself, only what a person asks for."""

    def __init__(self, world: World, estate: Estate, service: Service) -> None:
        self._world = world
        self.estate = estate
        self.service = service
        self.ledger = Ledger.read(service.name, world.journal.events(service=service.name))
        self.knowledge = Knowledge(
            estate,
            service,
            settings=self.ledger.history(world.boot_id),
            high_water=dict(self.ledger.high_water),
            kept_s=world.kept_s,
        )
        self._expect_looser()
        self._recall_crash()
        self.desk = IncidentDesk(service.name, world.journal, world.keep_facts, world.sign)
        self.approvals = ApprovalDesk(
            service.name, world.journal, world.clock, ledger=lambda: self.ledger, rule=lambda: self.case.rule
        )
        self.judged: Judged | None = None
        self.turn = asyncio.Lock()
        self.quiet = False
        self.telling = Telling(self._page)
        self.mending = Mending(estate, service)
        self._turns = Turns(service.name, world, self._guarded, self._is_due, self.telling)
        self._background = Background(lambda text: self._page(Told("page", text)), self.wake)
        self.runs = Runs(
            world,
            service,
            self._background,
            ledger=lambda: self.ledger,
            settled=self._settled,
            tell=self._page,
        )
        self._acting = Acting(self, world)
        self.going_on = GoingOn(self)
        self._primacy = Primacy(self, world)
        self._notes = Notes(self.knowledge, self.append, world.marks_every_s)
        self._escalation = Escalation(estate.levels, service.importance, self.append, self._page)
        self._leads = False
        self._aside = Aside(service.name, world, self.telling)
        self._unlisten = world.journal.listen(self._journaled)
        self._closed = False

    # --- seeing

    def observe(self, seen: Observation) -> None:
        """By this observer or another one that is declared (`seen.observer`), on our monotonic clock."""
        if self.knowledge.observe(seen, self.ledger.primary):
            self._turns.wake()

    def observe_declared(self, seen: Observation) -> None:
        """One of the declared probes by which the service is known: what they tell is folded elsewhere."""
        self.knowledge.keep(seen)
        self._turns.wake()

    def observer(self, sane: bool | None, why: str, heard_s: float | None = None) -> None:
        """What the reference targets say of this host's own network (S6). heard_s: start of the last attempt
        that one of them answered, monotonic seconds."""
        knowledge = self.knowledge
        knowledge.observer_sane, knowledge.observer_why = sane, why
        if heard_s is not None:
            knowledge.hearing.heard(heard_s, self.service.detection.interval_s)

    def observer_elsewhere(self, name: str, sane: bool | None, why: str, at_s: float) -> None:
        """What another observer says of its own network and of itself. at_s: when, on our monotonic clock."""
        if self.knowledge.elsewhere.health(name, sane, why, at_s):
            self._turns.wake()

    def missed_elsewhere(self, name: str) -> None:
        """Some of what another observer saw was lost on its way here."""
        self.knowledge.elsewhere.missed(name)

    def wake(self) -> None:
        """Take a turn now."""
        self._turns.wake()

    # --- what others ask of it

    @property
    def executor(self) -> Executor:
        return self._world.executor

    @property
    def mark_due_s(self) -> float | None:
        """When the high water is journaled next (P3), on our monotonic clock; None: with the next turn."""
        return self._notes.mark_due_s

    @property
    def running(self) -> asyncio.Task[None] | None:
        """The execution that is under way, if one is."""
        return self.runs.running

    @property
    def busy(self) -> bool:
        return self.runs.busy

    def judge_now(self) -> Judged:
        """A fresh judgement; changes nothing."""
        return judge(self.case, self.surroundings(), self._world.clock.monotonic_s())

    @property
    def case(self) -> Case:
        return Case(
            self.estate,
            self.service,
            self.knowledge,
            self.ledger,
            self._world.command(self.service.name),
        )

    def _judge(self) -> Judged:
        """A turn's judgement: whoever asks later, and the estate beside this service, know it."""
        judged = self.judged = self.judge_now()
        moving = self.runs.moving or self.ledger.moving
        acts = self._world.lease.held() and not self.quiet and not self._acting.rests(judged.at_s)
        claim = stage_of(judged.diagnosis, judged.decision, moving=moving) if acts or moving else None
        self._world.claims.note(self.service.name, claim, judged.at_s)
        self._world.judged(judged)
        return judged

    def surroundings(self) -> Surroundings:
        world = self._world
        budget_left = world.budget_left() - world.launching.count
        return Surroundings(
            leader=world.lease.held(),
            epoch=world.lease.epoch,
            budget_left=budget_left,
            turn=world.claims.turn(self.service.name, budget_left, world.clock.monotonic_s()),
            wall_ns=self.wall_ns(),
            broken_dependencies=world.broken_dependencies(self.service),
            moving=self.runs.moving,
            boot_id=world.boot_id,
            declared=world.declared(self.service.name),
            alerts=world.alerts(self.service.name),
            endpoint=world.endpoint(self.service.name),
            balancers=world.balancers(self.service.name),
            root=world.root_of(self.service.name),
            command=world.command(self.service.name),
        )

    def now_s(self) -> float:
        return self._world.clock.monotonic_s()

    def wall_ns(self) -> int:
        return int(self._world.clock.wall_s() * 1e9)

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
        now = self.judge_now()
        known = Known(self.service, self.ledger.primary, now.outlook.members, self.knowledge)
        return Order(
            service=self.service,
            runbook=runbook,
            primary=self.ledger.primary,
            candidate=candidate,
            own=REMEDIES[self.service.engine].variables(known),
            incident=self.ledger.incident_id,
            trigger=trigger,
            actor=actor,
            overrides=overrides,
            returning=tuple(self.case.returning(self.surroundings(), now.at_s)),
        )

    async def launch(self, order: Order) -> str:
        """Open the execution and run it as a task of its own; the loop goes on observing. Returns its id.
        The caller holds `turn`."""
        return await self.runs.launch(order)

    def resume_execution(self, execution: str, actor: str) -> None:
        """One that is open and that nobody runs, because its end could not be seen. Raises HeldError."""
        if not self._world.lease.held():
            raise HeldError("this controller does not lead", gate="leadership")
        self.runs.resume(execution, f"resumed by {actor}")

    async def give_up(self, execution: str, reason: str, person: str) -> None:
        """See `Runs.give_up`."""
        async with self.turn:
            await self.runs.give_up(execution, reason, person)

    def outage_s(self, now_s: float) -> float:
        """How long the open incident's outage has lasted; 0 without one."""
        incident = self.ledger.incident
        wall_ns = self.wall_ns()
        return 0.0 if incident is None else incident.elapsed_s(self._world.boot_id, now_s, wall_ns)

    def frozen(self) -> dict[str, Any]:
        return frozen_facts(self._world.version, self._world.digest, self.knowledge)

    async def append(self, type_: str, data: dict[str, Any], actor: str = "daemon") -> Event:
        return await self._world.journal.append(
            type_, data, service=self.service.name, incident=self.ledger.incident_id, actor=actor
        )

    # --- the loop

    async def run(self) -> None:
        """Until cancelled. An error in one turn is logged and paged; the next turn is taken all the same."""
        try:
            await self._turns.run()
        finally:
            self.close()

    @property
    def closed(self) -> bool:
        """Another one, of a newer estate, has taken its place."""
        return self._closed

    def close(self) -> None:
        """Listen to nothing any more, and end what runs behind. May be called twice."""
        if not self._closed:
            self._closed = True
            self._unlisten()
            self._world.claims.note(self.service.name, None, 0.0)
            self._background.cancel()

    async def _guarded(self) -> None:
        async with self.turn:
            await self._turn()

    def _is_due(self, now_s: float) -> bool:
        calm = self._leads and is_calm(self) and self._world.lease.held()
        return not calm or also_if_calm(self.service.name, now_s)

    async def _turn(self) -> None:
        seq = self.ledger.seq
        judged = self._judge()
        if not self._world.lease.held():
            await self._observe_only(judged)
            return
        if not self._leads:
            if not self.busy:  # what runs here ends first
                self._leads = True
                self.runs.resume_open()
            return
        await self._notes.healths(judged)
        if judged.view.engine.primaries and self.ledger.primary not in self.service.members:
            await self._primacy.adopt(judged)
            return
        if self.busy or self.ledger.open_executions:
            await self._while_open(judged)
            return
        await self._take_down(judged)
        if await self._primacy.adopt_outside(judged):
            return
        if self.ledger.seq != seq:  # what was just taken down is part of what is judged
            judged = self._judge()
        if await self.going_on.turn(judged):
            return
        await self._acting.decide(judged)
        if not self.busy:
            await self._acting.mend(judged)
        if not self.busy:
            await self._recover(judged)

    async def _while_open(self, judged: Judged) -> None:
        """What is seen while the primary moves is judged when it has moved. While a member is being brought
        back, or people are waited for, the primary may be lost, though, and that is told, and comes first."""
        if not self.busy:
            self.runs.take_up_again(judged.at_s)
        if (self.runs.moving or self.ledger.moving) and not self.runs.stands_still:
            return
        await self._take_down(judged)
        judged = self._judge()
        await self._acting.decide(judged)
        await self._acting.give_way(judged)

    async def _take_down(self, judged: Judged) -> None:
        await self._notes.diagnosis(judged)
        await self._notes.knowledge(judged, self.ledger.primary)
        await self._open_incident(judged)
        scope = scope_of(judged.diagnosis.code, judged.diagnosis.root)
        await self._escalation.turn(self.ledger.incident, scope, self.outage_s(judged.at_s))

    async def _observe_only(self, judged: Judged) -> None:
        """S4: without leadership nothing is journaled and nothing acted on."""
        if self._leads:
            self._leads = False
            await self._world.watch_primary(self.service, None)
        for event in self._aside.turn(judged, self.ledger.seq):
            self._journaled(event)

    def _journaled(self, event: Event) -> None:
        """Each event once: a record that was on its way when this began may be read and heard."""
        if event.seq > self.ledger.seq:
            if event.type == ev.STEP_ASKED and event.service == self.service.name:
                self._page(step_asks(event))
            loosening = self.ledger.loosening
            self.ledger = self.ledger.apply(event)
            if self.ledger.loosening != loosening:
                self._expect_looser()

    def _expect_looser(self) -> None:
        """Before it is done, and from then on (P2)."""
        expected = widest_setting(self.service) if self.ledger.loosening is not None else None
        self.knowledge.expect(expected, self._world.clock.monotonic_s())

    def _recall_crash(self) -> None:
        """What the controller before this one saw of the primary's end: the outage goes on meanwhile."""
        at_s = self.ledger.crash_seen_s(self._world.boot_id, self._world.clock.monotonic_s())
        if at_s is not None and self.ledger.primary is not None:
            self.knowledge.recall_crash(self.ledger.primary, at_s)

    # --- what has ended, and incidents

    async def _settled(self, execution: str, outcome: Outcome) -> None:
        for member in (outcome.primary, outcome.rejoined if outcome.another else None):
            if member is not None:
                # It is another thing than what was read: judged by that, the new primary would be a standby.
                self.knowledge.forget(member, self.knowledge.engine.probe, self._world.clock.monotonic_s())
        if outcome.primary is not None:
            await self._primacy.set(outcome.primary, f"promoted by {execution}", outcome.timeline)
        self._acting.ended(outcome)
        aborts = self._world.journal.events(types=(ev.ABORT_REQUESTED,), execution=execution)
        called_off = any(event.actor != DAEMON for event in aborts)
        self.going_on.ended(execution, outcome, self.now_s(), called_off=called_off)
        told = self.mending.ended(outcome, self._world.clock.monotonic_s())
        if outcome.page is not None and told:
            self._page(Told(outcome.severity, outcome.page))

    async def _open_incident(self, judged: Judged) -> None:
        """A new outage before redundancy is back is an incident of its own: it has its own T0 and verdict."""
        diagnosis, incident = judged.diagnosis, self.ledger.incident
        if diagnosis.info.level is None or not diagnosis.confirmed:
            return
        if incident is not None:
            if not incident.recovered:
                return
            await self.desk.close(
                incident.id, f"a new outage began ({diagnosis.code}); see the next incident"
            )
        opened = await self.desk.open(
            diagnosis.to_json(),
            level=diagnosis.info.level,
            t0_s=diagnosis.last_good_s,
            first_bad_s=diagnosis.first_bad_s,
            confirmed_s=judged.at_s,
            frozen=self.frozen(),
        )
        self._acting.forget()
        self._background.spawn(self.desk.freeze(opened, self.knowledge.kept()), "freeze-facts")

    async def _recover(self, judged: Judged) -> None:
        incident, how = self.ledger.incident, works(judged.view)
        if judged.diagnosis.info.level is not None or how is None:
            return
        if incident is not None and not incident.recovered:
            await self.desk.recovered(incident.id, self.ledger.primary, how)
            self._page(Told("info", f"recovered: {how}"))
        if redundancy_missing(self.service, self.ledger, judged.view):
            return
        if self.ledger.blocked is not None:
            await self.append(ev.SERVICE_UNBLOCKED, {"reason": "redundancy is restored"})
        if incident is not None:
            await self.desk.close(
                incident.id, "recovered, and redundancy is restored", redundant_s=judged.at_s
            )
            self._acting.forget()

    def _page(self, told: Told) -> None:
        self._world.page(
            told.severity,
            told.summary,
            detail=told.detail,
            service=self.service.name,
            incident=self.ledger.incident_id,
        )


def answered_s(supervisors: Mapping[str, Supervisor], service: str, member: str) -> float | None:
    """When the newest attempt began that the member's probe answered; for `ActionPorts`."""
    supervisor = supervisors.get(service)
    return None if supervisor is None else supervisor.knowledge.answered_s(member)
