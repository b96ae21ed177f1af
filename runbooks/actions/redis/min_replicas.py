"""redis.min_replicas: how many replicas must be in touch for a primary to take writes, as the estate has it.

It bounds what an old primary can acknowledge that nobody else will have, by the lag that is allowed; it does
not make an acknowledgement wait for a replica (docs/redis.md).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.redis.asking import service_of, tell
from runbooks.actions.redis.choosing import shown_candidate
from runbooks.actions.redis.closing import open_again


class MinReplicasOptions(ActionOptions):
    """member: on whom; the candidate, if not given. at_most: `left`: no more than there are replicas left to
    follow it, so that a service that has lost one goes on. `declared`: as the estate has it."""

    member: str | None = None
    at_most: Literal["left", "declared"] = "declared"


class MinReplicas(Action):
    """Output: `min_replicas`, `max_lag_s`."""

    name: ClassVar[str] = "redis.min_replicas"
    Options: ClassVar[type[ActionOptions]] = MinReplicasOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("min_replicas", "max_lag_s")

    def __init__(self, options: MinReplicasOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        wanted, lag_s = self._wanted(ctx)
        return [
            f"{self._member(ctx)}: CONFIG SET min-replicas-to-write {wanted}, min-replicas-max-lag {lag_s}"
        ]

    def where(self, ctx: StepContext) -> str:
        return self._member(ctx)

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        member, (wanted, lag_s) = self._member(ctx), self._wanted(ctx)
        try:
            await tell(
                ctx,
                member,
                ("CONFIG", "SET", "min-replicas-max-lag", str(lag_s)),
                ("CONFIG", "SET", "min-replicas-to-write", str(wanted)),
                deadline_s=deadline_s,
            )
            found = await self._found(ctx, deadline_s)
        except NoAnswerError as error:
            return StepResult.unknown(str(error))
        except BcmError as error:
            return StepResult.failed(error.what)
        if found != (wanted, lag_s):
            return StepResult.failed(
                f"{member} has {found[0]} within {found[1]} s, not {wanted} within {lag_s}"
            )
        text = f"{member} takes writes with {wanted} replicas heard within {lag_s} s"
        return StepResult.ok(text, min_replicas=wanted, max_lag_s=lag_s)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        wanted, lag_s = self._wanted(ctx)
        try:
            found = await self._found(ctx, deadline_s)
        except (BcmError, NoAnswerError) as error:
            return Reconciled.unknown(str(error))
        if found != (wanted, lag_s):
            return Reconciled.not_done(f"it has {found[0]} within {found[1]} s")
        return Reconciled.done("as it is to be", min_replicas=wanted, max_lag_s=lag_s)

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        """On a replica it has no effect; as the estate has it."""
        try:
            await open_again(ctx, self._member(ctx), deadline_s)
        except (BcmError, NoAnswerError) as error:
            return StepResult.unknown(str(error))
        return StepResult.ok("as the estate has it")

    async def _found(self, ctx: StepContext, deadline_s: float) -> tuple[int, int]:
        (reply,) = await tell(
            ctx, self._member(ctx), ("CONFIG", "GET", "min-replicas-*"), deadline_s=deadline_s
        )
        values = dict(zip(reply[::2], reply[1::2], strict=False)) if isinstance(reply, list) else {}
        return int(values.get("min-replicas-to-write", -1)), int(values.get("min-replicas-max-lag", -1))

    def _wanted(self, ctx: StepContext) -> tuple[int, int]:
        settings = service_of(ctx).redis
        wanted = settings.min_replicas
        if self._options.at_most == "left":
            left = [m for m in ctx.output("prove").get("readable", ()) if m != self._member(ctx)]
            wanted = min(wanted, len(left))
        return wanted, settings.min_replicas_max_lag

    def _member(self, ctx: StepContext) -> str:
        return self._options.member or shown_candidate(ctx)
