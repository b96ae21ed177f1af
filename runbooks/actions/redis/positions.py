"""redis.positions: how far the replicas have come, who is furthest, and what that proves.

Redis acknowledges before its replicas have a write: where the old primary is lost, nothing shows how far it
was, and nothing is proven. Where it was closed for writes first, its last offset is known; whoever has that
has everything (`basis: closed`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final, Literal

from model.execution import StepResult
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import as_int, members_in
from runbooks.actions.redis.asking import member_of
from runbooks.actions.redis.choosing import best_of, candidate_of, why_not
from runbooks.actions.redis.state import RedisState, read_state
from runbooks.actions.together import on_each, reasons

_AGAIN_S: Final = 0.005
ASYNCHRONOUS: Final = (
    "Redis acknowledges a write before its replicas have it: nothing proves that none is missing"
)


class PositionsOptions(ActionOptions):
    """basis: `lost`: the furthest of those that have dropped the old primary. `closed`: the candidate must
    have come as far as the old primary was when it took no more writes (step `quiesce`); it is waited for."""

    basis: Literal["lost", "closed"] = "lost"


class Positions(Action):
    """Output: `candidate`, `readable`, `positions`: {member: {replid, offset}}, `excluded`: {member: why},
    `complete`, `reason`."""

    name: ClassVar[str] = "redis.positions"
    Options: ClassVar[type[ActionOptions]] = PositionsOptions
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = (
        "candidate", "readable", "positions", "excluded", "complete", "reason",
    )  # fmt: skip

    def __init__(self, options: PositionsOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        if self._options.basis == "closed":
            return ["the candidate's offset, until it is the closed primary's last one"]
        return ["INFO replication of every detached replica; the furthest takes over"]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        return await (self._closed if self._options.basis == "closed" else self._lost)(ctx, deadline_s)

    async def _lost(self, ctx: StepContext, deadline_s: float) -> StepResult:
        members = [str(m) for m in ctx.output("detach").get("detached", members_in(ctx, "standbys"))]

        async def read(member: str) -> RedisState:
            return await read_state(ctx, member, deadline_s)

        states, failed = await on_each(members, read, clock=ctx.ports.clock, deadline_s=deadline_s)
        replid = _history(ctx, list(states.values()))
        doubts = {m: why for m, s in states.items() if (why := why_not(ctx, s, replid)) is not None}
        fit = [s for m, s in states.items() if m not in doubts]
        best = best_of(ctx, fit)
        output = {
            "readable": [s.member for s in fit],
            "positions": {s.member: s.position for s in fit},
            "excluded": {**failed, **doubts},
            "complete": False,
            "reason": ASYNCHRONOUS,
        }
        left_out = reasons({**failed, **doubts})
        if best is None:
            return StepResult.failed(f"nobody can be promoted{left_out}", **output)
        reached = next(s.offset for s in fit if s.member == best)
        return StepResult.ok(f"{best} takes over from offset {reached}{left_out}", candidate=best, **output)

    async def _closed(self, ctx: StepContext, deadline_s: float) -> StepResult:
        candidate = candidate_of(ctx)
        member_of(ctx, candidate)
        closed = ctx.output("quiesce")
        final, replid = as_int(closed.get("final_offset")), str(closed.get("replid") or "")
        if final is None or not replid:
            return StepResult.failed("how far the old primary was when it was closed is not known")
        clock, said = ctx.ports.clock, "not asked"
        while True:
            try:
                state = await read_state(ctx, candidate, deadline_s)
            except NoAnswerError as error:
                said = str(error)
            else:
                why = why_not(ctx, state, replid)
                if why is not None:
                    return StepResult.failed(f"{candidate} can't be promoted: {why}")
                if state.offset >= final:
                    return _all_there(state, final)
                said = f"it is at offset {state.offset}"
            if clock.monotonic_s() + _AGAIN_S >= deadline_s:
                return StepResult.failed(f"{candidate} has not come to offset {final} in time: {said}")
            await clock.sleep(_AGAIN_S)


def _all_there(state: RedisState, final: int) -> StepResult:
    reason = f"{state.member} has all that the old primary had when it was closed (offset {final})"
    return StepResult.ok(
        reason,
        candidate=state.member,
        readable=[state.member],
        positions={state.member: state.position},
        excluded={},
        complete=True,
        reason=reason,
    )


def _history(ctx: StepContext, states: Sequence[RedisState]) -> str:
    """The old primary's, as it was last seen; else the one that all replicas share. '' where it is not known
    and they differ: then nobody knows which is ours."""
    known = ctx.vars.get("replid")
    if isinstance(known, str) and known:
        return known
    shared = sorted({s.replid for s in states if not s.primary and s.replid})
    return shared[0] if len(shared) == 1 else ("none" if shared else "")
