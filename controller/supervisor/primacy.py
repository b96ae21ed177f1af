"""Who is primary, as the journal says: found at the first start, moved by us, or by somebody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.supervisor.judgement import Judged, primary_to_adopt
from controller.supervisor.world import World
from model import events as ev
from model.health import Health

if TYPE_CHECKING:
    from controller.supervisor.supervisor import Supervisor


class Primacy:
    """One per supervisor."""

    def __init__(self, supervisor: Supervisor, world: World) -> None:
        self._supervisor = supervisor
        self._world = world

    async def adopt(self, judged: Judged) -> None:
        member = primary_to_adopt(judged.view)
        if member is None:
            self._supervisor.telling.no_primary(judged)
            return
        await self.set(member, "the only member that accepts writes; the others are its standbys")

    async def adopt_outside(self, judged: Judged) -> bool:
        """Somebody made another member primary by hand: said by the incident, and followed, not fought. Only
        where the old one is surely out of it: a moment's silence is not enough, nor a time when both were
        primary and nobody has said which side is right."""
        ledger, view = self._supervisor.ledger, judged.view
        old, new = view.member(ledger.primary), view.member(judged.diagnosis.member)
        if judged.diagnosis.code != "SwitchedOutside" or old is None or new is None or ledger.split:
            return False
        timed = view.engine.timelines
        newer = not timed or (new.fact_int("timeline") or 0) > (ledger.timeline or 0)
        out = old.follows or old.own.health is Health.DOWN
        if not (newer and out) or new.name != primary_to_adopt(view):
            return False
        why = f"{new.name} was promoted by somebody else"
        await self._supervisor.append(ev.MEMBER_RETIRED, {"member": old.name, "why": why})
        await self.set(new.name, "promoted outside this product")
        return True

    async def set(self, member: str, why: str, timeline: int | None = None) -> None:
        """timeline: that of the promotion, where it is known; what was read may be older."""
        seen = self._supervisor.judge_now().view.member(member)
        await self._supervisor.append(
            ev.SERVICE_PRIMARY,
            {
                "member": member,
                "timeline": timeline or (seen.fact_int("timeline") if seen else None),
                "system_identifier": seen.facts.get("system_identifier") if seen else None,
                "why": why,
            },
        )
        canary = self._supervisor.knowledge.engine.canary
        for other in self._supervisor.service.members if canary else ():
            if other != member:
                self._supervisor.knowledge.forget(other, canary, self._world.clock.monotonic_s())
        await self._world.watch_primary(self._supervisor.service, member)
