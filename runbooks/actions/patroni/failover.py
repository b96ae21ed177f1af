"""patroni.failover: a person's choice of a leader for a cluster that has none.

Patroni fails over by itself. It leaves that to people while it is paused, and where nobody qualifies.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from config.document import Path
from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.patroni.api import LITERAL, Api, PatroniOptions, UncertainError, precheck, shown
from runbooks.actions.patroni.moving import look, move, output


class FailoverOptions(PatroniOptions):
    """Who is to lead."""

    candidate: str = Field(min_length=1, description="Patroni's name of who is to lead.")


class Failover(Action):
    """Refused while a leader works: that is a switchover, and who answers is not dead (S6).

    Output: `leader`, `was`, `timeline`.
    """

    name: ClassVar[str] = "patroni.failover"
    Options: ClassVar[type[FailoverOptions]] = FailoverOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("leader", "was", "timeline")
    literal: ClassVar[tuple[Path, ...]] = LITERAL

    def __init__(self, options: FailoverOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return shown(self._options, "POST /failover", {"candidate": self._options.candidate})

    def where(self, ctx: StepContext) -> str:
        return f"Patroni at {self._options.urls[0]}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        row, cluster = await precheck(ctx, self._options)
        if cluster is None:
            return [row]
        leader = cluster.leader
        works = leader is not None and leader.works
        dead = Precheck(
            what="nobody leads",
            how="GET /cluster",
            ok=not works,
            result=f"{leader.name} leads and works" if leader is not None and works else "nobody does",
            why="a leader that works is moved by a switchover, which loses nothing",
            if_failed="use patroni.switchover",
        )
        return [row, dead]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        api, candidate = Api(ctx, self._options), self._options.candidate
        try:
            before = await api.cluster(deadline_s)
        except (BcmError, UncertainError) as error:
            return StepResult.failed(f"nothing was asked for: {error}")
        leader = before.leader
        if leader is not None and leader.works:
            if leader.name == candidate:
                return StepResult.ok(f"{candidate} leads already", **output(before, before))
            return StepResult.failed(f"{leader.name} leads and works: use patroni.switchover")
        if before.member(candidate) is None:
            known = ", ".join(m.name for m in before.members) or "nobody"
            return StepResult.failed(f"Patroni knows no member {candidate!r}; it knows {known}")
        return await move(
            ctx, api, "failover", {"candidate": candidate}, before=before, deadline_s=deadline_s
        )

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        return await look(Api(ctx, self._options), "", self._options.candidate, deadline_s)
