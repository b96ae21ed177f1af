"""sentinel.failover: Redis Sentinel is asked to move the primary, and moves it (S14).

Sentinel chooses the replica, by its own priorities; whoever wants a certain one sets `replica-priority`.
"""

from __future__ import annotations

from typing import ClassVar, Final

from config.redis import SentinelSettings
from model.errors import BcmError, RunbookError
from model.execution import Precheck, Reconciled, StepResult
from model.ports import NoAnswerError, Refused
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import variable
from runbooks.actions.redis.asking import ask, service_of
from runbooks.actions.redis.state import read_state

_AGAIN_S: Final = 0.05


class SentinelFailover(Action):
    """Output: `member` that is primary now; `sentinel` that was asked."""

    name: ClassVar[str] = "sentinel.failover"
    promotes: ClassVar[bool] = True
    delegates: ClassVar[bool] = True
    # A second request while the first is under way is refused (INPROG), and one after it would move it again.
    idempotent: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = ("member", "sentinel")

    def describe(self, ctx: StepContext) -> list[str]:
        sentinel = _settings(ctx)
        return [f"one of {', '.join(sentinel.addresses)}: SENTINEL FAILOVER {sentinel.master}"]

    def where(self, ctx: StepContext) -> str:
        return ", ".join(_settings(ctx).addresses)

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        deadline_s = ctx.ports.clock.monotonic_s() + 2.0
        try:
            found = await _primary_by_sentinel(ctx, deadline_s)
            ok, result = found == variable(ctx, "primary"), f"they say {found}"
        except NoAnswerError as error:
            ok, result = False, str(error)
        return [
            Precheck(
                what="the Sentinels know the same primary",
                how="SENTINEL GET-MASTER-ADDR-BY-NAME",
                ok=ok,
                result=result,
                why="they move what they take for the primary",
                if_failed="look at `SENTINEL MASTERS` on each of them",
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        primary = variable(ctx, "primary")
        try:
            asked = await self._ask(ctx, primary, deadline_s)
        except NoAnswerError as error:
            made = StepResult.unknown if error.outcome_unknown else StepResult.failed
            return made(f"no Sentinel took the request: {error}")
        except BcmError as error:
            return StepResult.failed(error.what)
        said = "not seen yet"
        while ctx.ports.clock.monotonic_s() + _AGAIN_S < deadline_s:
            await ctx.ports.clock.sleep(_AGAIN_S)
            try:
                now = await _primary_by_sentinel(ctx, deadline_s)
                if now != primary and (await read_state(ctx, now, deadline_s)).primary:
                    return StepResult.ok(f"{now} is the primary", member=now, sentinel=asked)
                said = f"the Sentinels still say {now}"
            except NoAnswerError as error:
                said = str(error)
        return StepResult.unknown(f"asked of {asked}, and not seen to end: {said}")

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        primary = variable(ctx, "primary")
        try:
            now = await _primary_by_sentinel(ctx, deadline_s)
            if now != primary and (await read_state(ctx, now, deadline_s)).primary:
                return Reconciled.done(f"{now} is the primary", member=now, sentinel="")
        except NoAnswerError as error:
            return Reconciled.unknown(str(error))
        return Reconciled.unknown(f"the Sentinels say {now}; whether they are at work is not told")

    async def _ask(self, ctx: StepContext, primary: str, deadline_s: float) -> str:
        """The Sentinel that took it. Raises NoAnswerError, RunbookError."""
        sentinel, said = _settings(ctx), ""
        for address in sentinel.addresses:
            try:
                (reply,) = await ask(
                    ctx, address, ("SENTINEL", "FAILOVER", sentinel.master), deadline_s=deadline_s
                )
            except NoAnswerError as error:
                if error.outcome_unknown:
                    raise
                said = str(error)
                continue
            if not isinstance(reply, Refused):
                return address
            raise RunbookError(f"{address} refused to move {primary}: {reply}")
        raise NoAnswerError(said)


async def _primary_by_sentinel(ctx: StepContext, deadline_s: float) -> str:
    """The member that the first Sentinel that answers names. Raises NoAnswerError."""
    sentinel, said = _settings(ctx), "none is declared"
    for address in sentinel.addresses:
        try:
            (reply,) = await ask(
                ctx,
                address,
                ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", sentinel.master),
                deadline_s=deadline_s,
            )
        except NoAnswerError as error:
            said = str(error)
            continue
        if isinstance(reply, list) and len(reply) == 2:
            return _member_at(ctx, str(reply[0]), str(reply[1]))
        said = f"{address}: {reply}"
    raise NoAnswerError(f"no Sentinel tells: {said}")


def _member_at(ctx: StepContext, host: str, port: str) -> str:
    for member in service_of(ctx).members.values():
        if (member.host, str(member.port)) == (host, port):
            return member.name
    raise NoAnswerError(f"the Sentinels name {host}:{port}, which is no member")


def _settings(ctx: StepContext) -> SentinelSettings:
    sentinel = service_of(ctx).redis.sentinel
    if sentinel is None:
        raise RunbookError(
            f"no Sentinel is declared for {ctx.service.name}", hint="redis: {sentinel: {master, addresses}}"
        )
    return sentinel
