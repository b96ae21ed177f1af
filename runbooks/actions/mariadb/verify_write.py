"""mariadb.verify_write: a write and a read back, as the account that looks makes them, on the new primary.

The number in the row is read before anything is written: the newest that was acknowledged must be there, or
something was lost. A write that waits for a replica is waited for, and never ended at the server.
"""

from __future__ import annotations

from typing import ClassVar, Final

from model.errors import BcmError
from model.execution import Reconciled, StepResult
from model.ports import NoAnswerError
from probes.mariadb_write import quoted_table
from runbooks.actions.base import Action, StepContext
from runbooks.actions.inputs import as_int
from runbooks.actions.mariadb.asking import ANSWER_S, Asking, looking, service_of
from runbooks.actions.mariadb.choosing import shown_candidate

_PAUSE_S: Final = 0.01


class VerifyWrite(Action):
    """Output: `member` that took the write, `canary_found` (before it; not there where no number was),
    `last_acked`, `canary_written`."""

    name: ClassVar[str] = "mariadb.verify_write"
    outputs: ClassVar[tuple[str, ...] | None] = ("member", "canary_found", "last_acked", "canary_written")

    def describe(self, ctx: StepContext) -> list[str]:
        table = service_of(ctx).mariadb.write_table
        return [f"{_member(ctx)}: SELECT, INSERT and SELECT row 1 of {table or 'no table (write_table)'}"]

    def where(self, ctx: StepContext) -> str:
        return f"as a client of {ctx.service.name}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        clock, member, said = ctx.ports.clock, _member(ctx), "not tried"
        if not service_of(ctx).mariadb.write_table:
            return StepResult.failed("nothing can be written: the estate names no `write_table`")
        known: dict[str, int] = {}
        last_acked = as_int(ctx.vars.get("last_acked_canary"))
        if last_acked is not None:
            known["last_acked"] = last_acked
        while clock.monotonic_s() < deadline_s:
            try:
                async with looking(ctx, member, deadline_s) as asking:
                    found = await _number(ctx, asking)
                    if found is not None:
                        known.setdefault("canary_found", found)
                    number = await _write(ctx, asking, max(last_acked or 0, found or 0) + 1)
            except (BcmError, NoAnswerError) as error:
                said = str(error)
            else:
                text = f"{member} took number {number}; found {known.get('canary_found', 'none')}"
                return StepResult.ok(text, member=member, canary_written=number, **known)
            await clock.sleep(_PAUSE_S)
        return StepResult.failed(f"no write was acknowledged by {member}: {said}", **known)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        return Reconciled.not_done("a verification is made again, never guessed")


async def _number(ctx: StepContext, asking: Asking) -> int | None:
    rows = await asking.query(f"SELECT n FROM {_table(ctx)} WHERE id = 1", within_s=ANSWER_S)
    text = (rows[0].get("n") or "") if rows else ""
    return int(text) if text.isascii() and text.isdigit() else None


async def _write(ctx: StepContext, asking: Asking, number: int) -> int:
    """The probe writes the same row: what is read back may be later, never older. Raises NoAnswerError."""
    await asking.query(
        f"INSERT INTO {_table(ctx)} (id, n, written_us) "  # plain names
        f"VALUES (1, {number}, CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)) "
        f"ON DUPLICATE KEY UPDATE n = GREATEST(n + 1, {number}), written_us = VALUES(written_us)"
    )
    back = await _number(ctx, asking)
    if back is None or back < number:
        raise NoAnswerError(f"{number} was acknowledged and {back} read back")
    return back


def _table(ctx: StepContext) -> str:
    return quoted_table(service_of(ctx).mariadb.write_table)


def _member(ctx: StepContext) -> str:
    return str(ctx.output("promote").get("member") or shown_candidate(ctx))
