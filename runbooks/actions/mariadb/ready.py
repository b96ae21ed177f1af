"""mariadb.ready: can the primary be moved as planned, and to whom?"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from model.errors import BcmError
from model.execution import StepResult
from model.gtid import compared
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import members_in, variable
from runbooks.actions.mariadb.asking import address_of
from runbooks.actions.mariadb.choosing import best_of, domain_of, why_no_copy, why_not_candidate
from runbooks.actions.mariadb.state import MariadbState, read_state
from runbooks.actions.together import on_each, reasons


class ReadyOptions(ActionOptions):
    """most_behind: transactions; a replica that is further behind keeps clients waiting while it applies."""

    most_behind: int = Field(1000, ge=0)


class Ready(Action):
    """Output: `candidate`, `behind` (transactions)."""

    name: ClassVar[str] = "mariadb.ready"
    Options: ClassVar[type[ActionOptions]] = ReadyOptions
    changing: ClassVar[bool] = False
    needs_primary: ClassVar[bool] = True
    outputs: ClassVar[tuple[str, ...] | None] = ("candidate", "behind")

    def __init__(self, options: ReadyOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"{variable(ctx, 'primary')} and its replicas: their replication and their GTIDs"]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            primary = await read_state(ctx, variable(ctx, "primary"), deadline_s)
        except NoAnswerError as error:
            return StepResult.failed(f"the primary does not answer: {error}")
        except BcmError as error:
            return StepResult.failed(error.what)
        if not primary.primary:
            return StepResult.failed(f"{primary.member} is a replica, or read-only")

        async def read(member: str) -> MariadbState:
            return await read_state(ctx, member, deadline_s)

        members = members_in(ctx, "standbys")
        states, failed = await on_each(members, read, clock=ctx.ports.clock, deadline_s=deadline_s)
        doubts = failed | {m: why for m, s in states.items() if (why := self._unfit(ctx, primary, s))}
        best = best_of(ctx, [s for m, s in states.items() if m not in doubts])
        if best is None:
            return StepResult.failed(f"nobody can take over{reasons(doubts)}")
        behind = _behind(primary, states[best])
        text = f"{best} takes over; it is {behind} transactions behind{reasons(doubts)}"
        return StepResult.ok(text, candidate=best, behind=behind)

    def _unfit(self, ctx: StepContext, primary: MariadbState, state: MariadbState) -> str | None:
        host, port = address_of(ctx, primary.member)
        why = why_no_copy(state, primary.facts) or why_not_candidate(ctx, state)
        if why is not None:
            return why
        if not state.follows(host, port):
            return f"it does not follow {primary.member}"
        if not state.hears:
            return f"it does not hear the primary: {state.fault or 'connecting'}"
        behind = _behind(primary, state)
        return f"it is {behind} transactions behind" if behind > self._options.most_behind else None


def _behind(primary: MariadbState, state: MariadbState) -> int:
    domain = domain_of(primary.facts)
    return max(0, compared(primary.applied, domain)[1] - compared(state.applied, domain)[1])
