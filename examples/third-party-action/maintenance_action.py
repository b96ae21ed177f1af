"""maintenance.on: the web server of a member answers with its maintenance page."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from model.errors import NodeAccessError
from model.execution import Reconciled, StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.nodes import NodeOptions, access_to, node_name


class MaintenanceOptions(NodeOptions):
    file: str = Field("/run/maintenance", description="While this file is there, the page is shown.")


class MaintenanceOn(Action):
    """Makes the file that the web server looks for.

    Output: `file`.

    Undo: removed.
    """

    name: ClassVar[str] = "maintenance.on"
    Options: ClassVar[type[ActionOptions]] = MaintenanceOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("file",)

    def __init__(self, options: MaintenanceOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        return [access_to(ctx, self._options).describe(["touch", "--", self._options.file])]

    def where(self, ctx: StepContext) -> str:
        return f"node {node_name(ctx, self._options)}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        return await self._do(ctx, "touch", deadline_s)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        argv = ["test", "-e", self._options.file]
        result = await access_to(ctx, self._options).run(argv, timeout_s=ctx.left_s(deadline_s))
        match result.exit_code:
            case 0:
                return Reconciled.done("the file is there", file=self._options.file)
            case 1:
                return Reconciled.not_done("the file is not there")
            case _:
                return Reconciled.unknown(f"no answer from the node: {result.stderr.strip()}")

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        return await self._do(ctx, "rm -f", deadline_s)

    async def _do(self, ctx: StepContext, what: str, deadline_s: float) -> StepResult:
        argv = [*what.split(), "--", self._options.file]
        try:
            result = await access_to(ctx, self._options).run(argv, timeout_s=ctx.left_s(deadline_s))
        except NodeAccessError as error:
            return StepResult.failed(str(error))  # it was certainly not begun
        if result.exit_code is None:
            return StepResult.unknown(f"{what} did not end in time")
        if result.exit_code != 0:
            return StepResult.failed(f"{what}: {result.stderr.strip()}")
        return StepResult.ok(f"{what} {self._options.file}", file=self._options.file)
