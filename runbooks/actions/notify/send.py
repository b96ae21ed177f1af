"""notify.send: people are told, by the ways that the estate names for pages."""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from pydantic import Field

from config.document import Path
from model import events as ev
from model.errors import RunbookError
from model.execution import StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext

_LOOK_S: Final = 0.1


class SendOptions(ActionOptions):
    """What people are told, how loud, and whether that is waited for."""

    summary: str = Field(min_length=1, description="One line; cut after 300 characters.")
    detail: str = Field("", description="More; cut after 4000 characters. Secrets in it are masked.")
    severity: Literal["page", "warning", "info"] = Field("info", description="How loud.")
    until: Literal["queued", "delivered"] = Field(
        "queued", description="delivered: the step ends when one way has taken it; it fails when all give up."
    )


class Send(Action):
    """Hands it to the pager (`pager` of the estate), which delivers it and tries again for as long as is
    configured, also after a restart. The journal says what became of it.

    Telling changes nothing that is switched: a step whose record was lost tells again, since twice is better
    than never. The same words within five minutes are one page.

    Output: `page`: its id.
    """

    name: ClassVar[str] = "notify.send"
    Options: ClassVar[type[ActionOptions]] = SendOptions
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = ("page",)
    literal: ClassVar[tuple[Path, ...]] = (("severity",), ("until",))

    def __init__(self, options: SendOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [f"tell people ({self._options.severity}): {self._options.summary}"]

    def where(self, ctx: StepContext) -> str:
        return "the estate's pager"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        given = self._options
        try:
            page = ctx.ports.tell(given.severity, given.summary, given.detail, ctx.service.name, ctx.incident)
        except RunbookError as error:
            return StepResult.failed(str(error))
        if given.until == "queued":
            return StepResult.ok(f"{page} is on its way", page=page)
        while ctx.ports.clock.monotonic_s() < deadline_s:
            taken, given_up = _fate(ctx, page)
            if taken:
                return StepResult.ok(f"{page} was taken by {taken}", page=page)
            if given_up:
                return StepResult.failed(f"{page} was given up: {given_up}", page=page)
            await ctx.ports.clock.sleep(_LOOK_S)
        return StepResult.unknown(f"{page} was not taken in time; it is tried on", page=page)


def _fate(ctx: StepContext, page: str) -> tuple[str, str]:
    """(the way that has taken it, why a way gave it up), as far as the journal says."""
    taken = given_up = ""
    for event in ctx.ports.journal.events(types=[ev.PAGE_DELIVERED, ev.PAGE_FAILED]):
        if event.data.get("page") == page and event.type == ev.PAGE_DELIVERED:
            taken = str(event.data.get("channel"))
        elif event.data.get("page") == page:
            given_up = str(event.data.get("error"))
    return taken, given_up
