"""patroni.switchover: Patroni moves the primary of its cluster, with both sides alive."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from config.document import Path
from model.errors import BcmError
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, StepContext
from runbooks.actions.patroni.api import LITERAL, Api, PatroniOptions, UncertainError, precheck, shown
from runbooks.actions.patroni.moving import look, move, output


class SwitchoverOptions(PatroniOptions):
    """Who leads now, and who is to."""

    leader: str = Field("", description="Who must lead now; else nothing is done. Any, if left out.")
    candidate: str = Field("", description="Patroni's name of who is to lead; its own choice, if left out.")


class Switchover(Action):
    """Succeeds once the new leader is seen to work; Patroni's own word is not enough, in either direction.

    Output: `leader`, `was`, `timeline`.
    """

    name: ClassVar[str] = "patroni.switchover"
    Options: ClassVar[type[SwitchoverOptions]] = SwitchoverOptions
    needs_primary: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("leader", "was", "timeline")
    literal: ClassVar[tuple[Path, ...]] = LITERAL

    def __init__(self, options: SwitchoverOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return shown(self._options, "POST /switchover", self._body(self._options.leader or "(who leads)"))

    def where(self, ctx: StepContext) -> str:
        return f"Patroni at {self._options.urls[0]}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        row, _cluster = await precheck(ctx, self._options)
        return [row]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        given, api = self._options, Api(ctx, self._options)
        try:
            before = await api.cluster(deadline_s)
        except (BcmError, UncertainError) as error:
            return StepResult.failed(f"nothing was asked for: {error}")
        now = before.leader
        if now is None:
            return StepResult.failed("the cluster has no leader: a failover is Patroni's own affair")
        if given.candidate == now.name:
            return StepResult.ok(f"{now.name} leads already", **output(before, before))
        if given.leader and given.leader != now.name:
            return StepResult.failed(f"{now.name} leads, and not {given.leader}")
        return await move(ctx, api, "switchover", self._body(now.name), before=before, deadline_s=deadline_s)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        return await look(Api(ctx, self._options), self._options.leader, self._options.candidate, deadline_s)

    def _body(self, leader: str) -> dict[str, Any]:
        candidate = self._options.candidate
        return {"leader": leader} | ({"candidate": candidate} if candidate else {})
