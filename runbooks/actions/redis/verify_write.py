"""redis.verify_write: a write and a read back, as a client makes them, on the member that was promoted.

The number under the key is read before anything is written: the newest that was acknowledged must be there,
or something was lost.
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.execution import Reconciled, StepResult
from model.ports import NoAnswerError
from probes.redis import canary_text, number_in
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import as_int
from runbooks.actions.redis.asking import ask, service_of
from runbooks.actions.redis.choosing import shown_candidate

_PAUSE_S: Final = 0.01
# As long as the probe's own: an outage that lasts longer leaves no number to be found.
KEY_SECONDS: Final = 60


class VerifyWrite(Action):
    """Output: `member` that took the write, `canary_found` (before it; not there where no number was),
    `last_acked`, `canary_written`."""

    name: ClassVar[str] = "redis.verify_write"
    outputs: ClassVar[tuple[str, ...] | None] = ("member", "canary_found", "last_acked", "canary_written")

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{_member(ctx)}: GET, SET and GET {key_of(ctx)}"]

    def where(self, ctx: StepContext) -> str:
        return f"as a client of {ctx.service.name}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        clock, member, said = ctx.ports.clock, _member(ctx), "not tried"
        known: dict[str, int] = {}
        last_acked = as_int(ctx.vars.get("last_acked_canary"))
        if last_acked is not None:
            known["last_acked"] = last_acked
        while clock.monotonic_s() < deadline_s:
            try:
                (before,) = await ask(ctx, member, ("GET", key_of(ctx)), deadline_s=deadline_s)
                found = number_in(before)
                if found is not None:
                    known.setdefault("canary_found", found)
                number = max(last_acked or 0, known.get("canary_found", 0)) + 1
                written = await _write(ctx, member, number, deadline_s)
            except NoAnswerError as error:
                said = str(error)
            else:
                if written is None:
                    text = f"{member} took number {number}; found {known.get('canary_found', 'none')}"
                    return StepResult.ok(text, member=member, canary_written=number, **known)
                said = written
            await clock.sleep(_PAUSE_S)
        return StepResult.failed(f"no write was acknowledged by {member}: {said}", **known)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        return Reconciled.not_done("a verification is made again, never guessed")


async def _write(ctx: StepContext, member: str, number: int, deadline_s: float) -> str | None:
    """None if it is there; else what was answered. Raises NoAnswerError."""
    key, text = key_of(ctx), canary_text(f"{ctx.service.name}/{member}", number)
    written, read = await ask(
        ctx, member, ("SET", key, text, "EX", str(KEY_SECONDS)), ("GET", key), deadline_s=deadline_s
    )
    if written != "OK":
        return str(written)
    # The probe writes under the same key: what is read may be later, never older.
    back = number_in(read)
    return None if back is not None and back >= number else f"{number} was acknowledged and {read} read back"


def key_of(ctx: StepContext) -> str:
    return service_of(ctx).redis.write_key or f"bcm-failover:{ctx.service.name}"


def _member(ctx: StepContext) -> str:
    return str(ctx.output("promote").get("member") or shown_candidate(ctx))
