"""What people do about a disaster: declare it, and acknowledge, report and close its incident."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

from config.schema import Estate
from controller.disaster.declarations import Declaration
from controller.disaster.desk import DisasterDesk, importance_of
from controller.disaster.outlook import frozen, known_service, leaving
from controller.executions import Execution, fold_executions
from controller.incident_requests import require_office
from controller.levels import level_of
from controller.site_moves import planned_moves
from controller.site_plan import SitePlan, make_site_plan
from controller.supervisor.desk import Signer, close_record
from controller.supervisor.supervisor import Supervisor
from controller.supervisor.tap import TappedJournal
from model import events as ev
from model.disaster import Scope, Tier
from model.errors import HeldError, UsageError
from model.level import higher_level
from model.ports import Clock

Json = dict[str, Any]

# A whole site in the hands of people is never a matter of one department.
_SITE_LEVEL: Final = "II"
_FREEZE: Final = (
    "data may be damaged at every copy: stop what writes, and look before anything is switched; this product "
    "stops no service by itself, and switches none until a person does"
)
_WAIT: Final = "a supplier is out: nothing is switched by itself; close it when the supplier is back"
_PROPOSALS: Final[dict[Tier, tuple[str, str]]] = {
    Tier.NATURAL: ("leave", "each service's move is asked for, in the order of the plan"),
    Tier.MAN_MADE: ("freeze", _FREEZE),
    Tier.EXTERNAL: ("wait", _WAIT),
}
_WORDS_ZH: Final = {Tier.NATURAL: "自然灾害", Tier.MAN_MADE: "人为灾害", Tier.EXTERNAL: "外部服务中断"}


@dataclass(frozen=True, slots=True)
class Declaring:
    """A person's wish to declare a disaster. ago_s: for how long it has lasted already."""

    tier: Tier
    scope: Scope
    reason: str
    person: str
    ago_s: float = 0.0


class DisasterRequests:
    """On the daemon's services. sign: the journal's head, with the host's key."""

    def __init__(
        self,
        desk: DisasterDesk,
        supervisors: dict[str, Supervisor],
        journal: TappedJournal,
        clock: Clock,
        sign: Signer,
        *,
        version: str,
        digest: str,
    ) -> None:
        self._desk = desk
        self._supervisors = supervisors
        self._journal = journal
        self._clock = clock
        self._sign = sign
        self._version = version
        self._digest = digest

    async def declare(self, wish: Declaring, estate: Estate, *, leads: bool, dry_run: bool) -> Json:
        """Opens the incident and prepares its plan. Raises UsageError and HeldError."""
        concerned = self._concerned(wish, estate)
        if not leads:
            raise HeldError("this controller does not lead", gate="leadership", hint="`status` says why")
        async with AsyncExitStack() as stack:
            # Nobody launches anything between the plan and the record: a turn that is being taken ends first.
            for supervisor in concerned.values():
                await stack.enter_async_context(supervisor.turn)
            away = {name: leaving(estate, wish.scope, s) for name, s in concerned.items()}
            plan = self._plan(wish, estate, concerned, away)
            proposal, advice = _PROPOSALS[wish.tier]
            answer = {
                "tier": wish.tier.value,
                "scope": str(wish.scope),
                "proposal": proposal,
                "advice": advice,
                "services": list(concerned),
                "running": [e for s in concerned.values() for e in s.ledger.open_executions],
                "level": self._level(wish, estate, tuple(concerned)),
                "plan": plan.to_json(),
            }
            if dry_run:
                return {"incident": None, **answer}
            incident = await self._record(wish, answer, away, concerned.values())
        for supervisor in concerned.values():
            supervisor.wake()
        return {"incident": incident, **answer}

    def _concerned(self, wish: Declaring, estate: Estate) -> dict[str, Supervisor]:
        scope = wish.scope
        section = estate.sites if scope.kind == "site" else estate.services
        if scope.name not in section:
            raise UsageError(f"no {scope.kind} {scope.name!r}", hint=f"{scope.kind}s: {', '.join(section)}")
        for known in self._desk.declarations.open():
            if (known.scope, known.tier) == (scope, wish.tier):
                raise UsageError(
                    f"{known.id} has declared that already, by {known.person}",
                    hint=f"`bcm-failover incident plan {known.id}` shows how far it has come",
                )
        if scope.kind == "service":
            return {scope.name: self._supervisors[scope.name]}
        found = {n: s for n, s in self._supervisors.items() if leaving(estate, scope, s)}
        if not found:
            raise UsageError(f"no service has a member at {scope}", hint="nothing would follow from it")
        return found

    def _plan(
        self,
        wish: Declaring,
        estate: Estate,
        concerned: dict[str, Supervisor],
        away: dict[str, tuple[str, ...]],
    ) -> SitePlan:
        if wish.tier is not Tier.NATURAL:
            return SitePlan()
        runs = self._past_runs()
        known = [known_service(s, away[name], runs, wish.person) for name, s in concerned.items()]
        return make_site_plan(known, {name: s.depends_on for name, s in estate.services.items()})

    def moves(self, estate: Estate, site: str, *, back: bool, person: str) -> SitePlan:
        """Of planned work, without a declaration. Raises UsageError."""
        runs = self._past_runs()
        return planned_moves(estate, self._supervisors, site, runs, back=back, person=person)

    def _past_runs(self) -> tuple[Execution, ...]:
        events = self._journal.events(types=(ev.EXECUTION_OPENED, ev.EXECUTION_CLOSED))
        return tuple(fold_executions(events).values())

    def _level(self, wish: Declaring, estate: Estate, services: tuple[str, ...]) -> str:
        found = level_of(estate.levels, wish.scope.kind, importance_of(estate, services), wish.ago_s)
        level = found[0] if found is not None else "III"
        site = wish.scope.kind == "site" and wish.tier is not Tier.EXTERNAL
        return higher_level(level, _SITE_LEVEL) if site else level

    async def _record(
        self, wish: Declaring, answer: Json, away: dict[str, tuple[str, ...]], concerned: Iterable[Supervisor]
    ) -> str:
        began_s = self._clock.monotonic_s() - wish.ago_s
        tier, scope = wish.tier, wish.scope
        event = await self._journal.append(
            ev.INCIDENT_DECLARED,
            {
                "tier": tier.value,
                "scope": {"kind": scope.kind, "name": scope.name},
                "reason": wish.reason,
                "services": answer["services"],
                "leaving": {name: list(members) for name, members in away.items()},
                "plan": answer["plan"],
                "t0_ns": int(began_s * 1e9),
                "first_bad_ns": None,
                "diagnosis": {
                    "code": "DisasterDeclared",
                    "cause": tier.value,
                    "confirmed": True,
                    "sentence": f"A {tier.value} disaster at {scope} was declared: {wish.reason}",
                    "sentence_zh": f"已人工宣告{_WORDS_ZH[tier]}（{scope.name}）：{wish.reason}",
                },
                "level": answer["level"],
                "manual": False,
                "frozen": frozen(self._version, self._digest, concerned),
            },
            incident="new",
            actor=wish.person,
            anchor=True,
        )
        return event.incident or ""

    # --- its incident

    def declaration(self, incident: str) -> Declaration | None:
        """The open one of this incident."""
        found = self._desk.declarations.known.get(incident)
        return found if found is not None and found.open else None

    async def acknowledge(self, declaration: Declaration, estate: Estate, comment: str, person: str) -> Json:
        """Confirms it and its level. Where people hold the office that confirms, one of them must."""
        level = declaration.incident.level if declaration.incident is not None else "III"
        require_office(estate.levels, level, person)
        await self._append(declaration, ev.INCIDENT_ACKNOWLEDGED, {"comment": comment}, person)
        return {"service": None, "incident": declaration.id, "acknowledged": person}

    async def reported(self, declaration: Declaration, to: str, comment: str, person: str) -> Json:
        await self._append(declaration, ev.INCIDENT_REPORTED, {"to": to, "comment": comment}, person)
        return {"service": None, "incident": declaration.id, "reported": to}

    async def close(self, declaration: Declaration, reason: str, person: str) -> Json:
        """Ends or withdraws it: the services are in their own modes again. Not in the middle of a move. Parts
        that work again are closed with it; the others are outages of their own, and go on as such."""
        supervisors = [self._supervisors[s] for s in declaration.services if s in self._supervisors]
        ended, lasted_s = self._desk.progress(declaration), int(self._desk.elapsed_s(declaration))
        async with AsyncExitStack() as stack:
            for supervisor in supervisors:
                await stack.enter_async_context(supervisor.turn)
            for supervisor in supervisors:
                if supervisor.busy or supervisor.ledger.open_executions:
                    raise HeldError(
                        f"an execution of {supervisor.service.name} is open",
                        gate="execution",
                        hint="let it end, resume or abort it first",
                    )
            parts = await self._close_parts(declaration, person)
            await close_record(self._journal, self._sign, None, declaration.id, reason=reason, actor=person)
        for supervisor in supervisors:
            supervisor.wake()
        return {
            "service": None,
            "incident": declaration.id,
            "closed": person,
            "plan": ended.state,
            "lasted_s": lasted_s,
            **parts,
        }

    async def _close_parts(self, declaration: Declaration, person: str) -> Json:
        closed, left = [], []
        family = self._desk.links.family(declaration.id)
        for supervisor in self._supervisors.values():
            incident = supervisor.ledger.incident
            if incident is None or incident.id not in family:
                continue
            if not incident.recovered or supervisor.ledger.open_executions:
                left.append(incident.id)
                continue
            await supervisor.desk.close(incident.id, f"closed with {declaration.id}", person)
            closed.append(incident.id)
        return {"closed_with_it": closed, "still_open": left}

    async def _append(self, declaration: Declaration, type_: str, data: Json, person: str) -> None:
        await self._journal.append(type_, data, incident=declaration.id, actor=person)
