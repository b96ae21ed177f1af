"""postgresql.last_look: whoever answers is not dead (POSTGRESQL P6, P13)."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field

from model.errors import BcmError
from model.execution import StepResult
from model.ports import SqlError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import OVERRIDE_ANSWERS, STARTING_IS_OUT, overridden, variable
from runbooks.actions.postgresql.glance import looking
from runbooks.actions.postgresql.inputs import role_user
from runbooks.actions.postgresql.locks import locks_of
from runbooks.actions.postgresql.state import read_state
from runbooks.actions.together import explain, on_each

_STARTING: Final = "57P03"
_SINCE: Final = "postgresql.last_look.since_s"
_LOOKED: Final = "postgresql.last_look.looked_s"


class LastLookOptions(ActionOptions):
    """patience_ms: how long a silent server is waited for. A living one answers within a round trip and a
    password exchange; a longer wait lengthens every failover from a hang.
    still_detached: look again, too, whether the standbys of the proof are still detached. starting: what it
    means that the server says it is starting up (57P03). At first it is an answer, `alive` (P13). Once the
    standbys have dropped it and the proof is made, it is `out`: restarted in place after the crash, it serves
    nobody, and its recovery may take longer than the service may be out; the fence waits for it (P8)."""

    patience_ms: int = Field(200, ge=20, le=10_000)
    still_detached: bool = False
    starting: Literal["alive", "out"] = "alive"


class LastLook(Action):
    """Succeeds if the old primary does not answer a fresh connection. Output: `answer`, as `refused`,
    `silent`, `starting` or `alive` (the last only where a person overrides S6)."""

    name: ClassVar[str] = "postgresql.last_look"
    Options: ClassVar[type[ActionOptions]] = LastLookOptions
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = ("answer", "said")

    def __init__(self, options: LastLookOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        member = variable(ctx, "primary")
        user, patience_ms = role_user(ctx.pg, "monitor"), self._options.patience_ms
        return [f"{member}: a fresh session as {user} within {patience_ms} ms; any answer ends the failover"]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        primary = variable(ctx, "primary")
        if self._options.still_detached:
            attached = await self._attached(ctx, deadline_s)
            if attached:
                return StepResult.failed(f"no longer detached: {attached}")
        # From the first look on, an answer to the probes is as good as one to this session.
        ctx.resources.setdefault(_SINCE, ctx.ports.clock.monotonic_s())
        patience_s = min(ctx.ports.clock.monotonic_s() + self._options.patience_ms / 1000, deadline_s)
        try:
            answer, said = await look(ctx, primary, patience_s)
        except BcmError as error:
            return StepResult.failed(f"{primary} can't be looked at: {error}")
        if answer != "alive" and heard_again(ctx, primary):
            answer, said = "alive", "it answers the probes again"
        if (
            answer == "starting"
            and self._options.starting == "alive"
            and not overridden(ctx, STARTING_IS_OUT)
        ):
            answer = "alive"
        if answer != "alive":
            return StepResult.ok(f"{primary} does not answer: {said}", answer=answer, said=said)
        if overridden(ctx, OVERRIDE_ANSWERS):
            return StepResult.ok(
                f"{primary} answers ({said}); rule {OVERRIDE_ANSWERS} is overridden", answer=answer, said=said
            )
        return StepResult.failed(f"{primary} answers: {said}", answer=answer, said=said)

    async def _attached(self, ctx: StepContext, deadline_s: float) -> str:
        """Standbys that counted and are detached no more, '' if all are."""
        counted = [str(m) for m in ctx.output("prove").get("readable", ())]
        locks = locks_of(ctx)

        async def detached(member: str) -> bool:
            async with locks.session(member, deadline_s) as locked:
                return (await read_state(locked)).detached

        seen, failed = await on_each(counted, detached, clock=ctx.ports.clock, deadline_s=deadline_s)
        lost = {m: "streams again" for m, is_detached in seen.items() if not is_detached} | failed
        return ", ".join(f"{m} ({why})" for m, why in lost.items())


def heard_again(ctx: StepContext, member: str) -> bool:
    """Has an answer to the probes come in since the first look of this run? One that was asked before counts:
    over a way that was mended meanwhile the question arrives late. What had truly died by then has no answers
    on their way any more."""
    since_s: float | None = ctx.resources.get(_SINCE)
    answered_s = ctx.ports.answered_s(ctx.service.name, member)
    return since_s is not None and answered_s is not None and answered_s > since_s


def looked_s(ctx: StepContext) -> float | None:
    """When the newest look began."""
    newest_s: float | None = ctx.resources.get(_LOOKED)
    return newest_s


async def look(ctx: StepContext, member: str, deadline_s: float) -> tuple[str, str]:
    """(`refused`, `silent`, `starting` or `alive`, what was said). Raises BcmError if this side can't try."""
    ctx.resources[_LOOKED] = ctx.ports.clock.monotonic_s()
    try:
        async with looking(ctx, member, deadline_s, role="monitor") as session:
            [(recovery,)] = await session.query("SELECT pg_is_in_recovery()")
    except SqlError as error:
        if error.sqlstate is not None:
            return ("starting" if error.sqlstate == _STARTING else "alive"), explain(error)
        return ("refused" if error.refused else "silent"), explain(error)
    return "alive", "it took a session, as a " + ("standby" if recovery else "primary")
