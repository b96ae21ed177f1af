"""What commands on this host and on nodes have in common: run, look at the effect, take back.

An exit code is no effect (S11). Whoever can say how the effect is seen names a command that says it:
`effect`. Then a run that is interrupted can be settled, and one whose effect is there already is not made.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field, model_validator

from config.document import Path
from config.secrets import SecretRef
from model.errors import BcmError
from model.execution import Effect, Reconciled, StepResult
from model.ports import CommandResult, NodeAccess
from probes.process_words import check_arguments, check_environment
from probes.texts import masked
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.commands.printed import outputs_of, said
from runbooks.actions.commands.words import (
    Argument,
    Words,
    literal_places,
    literal_surroundings,
    value_as_option,
)
from runbooks.actions.repeats import before_acting

_COMMANDS: Final = ("command", "effect", "undo")
ExitCode = Annotated[int, Field(ge=0, le=255)]


class CommandOptions(ActionOptions):
    """A command, and what is known of it."""

    command: Annotated[Words, Field(min_length=1)] = Field(
        description="The program and its arguments, as a list. Arguments may be values; the program, and a "
        "text that it reads as code (`sh -c`), may not."
    )
    exit_codes: tuple[ExitCode, ...] = Field((0,), min_length=1, description="Those that are right.")
    effect: Words = Field(
        (),
        description="A command that says whether the effect is there: exit code 0 yes, 1 no, any other: not "
        "known. Without it the outcome of an interrupted run stays unknown.",
    )
    undo: Words = Field((), description="A command that takes it back, and may be run twice.")
    changes: bool = Field(
        True, description="false: it only looks; it may be run again, and nothing is taken back."
    )
    user: str = Field("", description="Account to run as; the account of the access, if empty.")
    env: Mapping[str, Argument] = Field(
        {}, description="Environment variables, added to a clean environment."
    )
    stdin: str = Field("", description="Text for its standard input.")
    secret_stdin: SecretRef | None = Field(
        None, description="A secret for its standard input, by reference, followed by a line end."
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for words in (self.command, self.effect, self.undo):
            check_arguments(words, "`secret_stdin`")
        check_environment(self.env, {}, "`secret_stdin`")
        if self.stdin and self.secret_stdin is not None:
            raise ValueError("give `stdin` or `secret_stdin`, and not both")
        if not self.changes and (self.effect or self.undo):
            raise ValueError("what only looks (`changes: false`) has no `effect` and no `undo`")
        return self


class Command(Action):
    """Base of the actions that run a command."""

    outputs: ClassVar[tuple[str, ...] | None] = (
        "exit_code", "stdout", "stderr", "took_ms", "output_file", "changed",
    )  # fmt: skip

    def __init__(self, options: CommandOptions) -> None:
        super().__init__(options)
        self._given = options

    @abc.abstractmethod
    def access(self, ctx: StepContext) -> NodeAccess:
        """Where it is run. Raises BcmError."""

    def argv(self, words: Sequence[str]) -> list[str]:
        return list(words)

    def secret_env(self, ctx: StepContext) -> dict[str, str]:
        """Raises SecretError."""
        return {}

    @classmethod
    def changes(cls, written: Mapping[str, Any]) -> bool:
        return written.get("changes") is not False

    @classmethod
    def repeatable(cls, written: Mapping[str, Any]) -> bool:
        """Where its effect can be seen not to be there."""
        return bool(written.get("effect"))

    @classmethod
    def observable(cls, written: Mapping[str, Any]) -> bool:
        return bool(written.get("effect"))

    @classmethod
    def reversible(cls, written: Mapping[str, Any]) -> bool:
        return bool(written.get("undo"))

    @classmethod
    def literals(cls, written: Mapping[str, Any]) -> Iterator[Path]:
        yield from (("user",), ("shell",), ("changes",))
        yield from literal_places(written, _COMMANDS)
        yield from literal_surroundings(written)

    @classmethod
    def intrusion(cls, written: Mapping[str, Any], inputs: Mapping[str, Any]) -> str | None:
        found = (value_as_option(name, written.get(name), inputs.get(name)) for name in _COMMANDS)
        return next((why for why in found if why), None)

    def describe(self, ctx: StepContext) -> list[str]:
        shown = [self._shown(ctx, self._given.command)]
        if self._given.effect:
            shown.append(f"effect: {self._shown(ctx, self._given.effect)}")
        if self._given.undo:
            shown.append(f"undo: {self._shown(ctx, self._given.undo)}")
        return shown

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        if self._given.effect:
            before = await self._effect(ctx, deadline_s)
            # A fence once more is better than none.
            settled = before_acting(
                ctx, before, "its effect is there already; it is not run", harmless=self.fences
            )
            if settled is not None:
                return settled
            if ctx.ports.clock.monotonic_s() >= deadline_s:
                return StepResult.failed(f"it was not run, the time was up: {before.detail}", changed=False)
        try:
            result = await self._run(ctx, self._given.command, deadline_s)
        except BcmError as error:
            return StepResult.failed(f"it was not started: {error}")
        found = await outputs_of(ctx, result)
        found["changed"] = self._given.changes
        if result.exit_code is None:
            return StepResult.unknown(f"it did not end in time: {said(found)}", **found)
        if result.exit_code not in self._given.exit_codes:
            right = ", ".join(map(str, self._given.exit_codes))
            text = f"exit code {result.exit_code}, expected {right}: {said(found)}"
            return StepResult.failed(text, **found)
        if not self._given.effect:
            return StepResult.ok(f"exit code {result.exit_code}", **found)
        after = await self._effect(ctx, deadline_s)
        if after.effect is Effect.DONE:
            return StepResult.ok(f"exit code {result.exit_code}; {after.detail}", **found)
        outcome = StepResult.failed if after.effect is Effect.NOT_DONE else StepResult.unknown
        return outcome(f"exit code {result.exit_code}, but {after.detail}", **found)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        if not self._given.effect:
            return Reconciled.unknown("the runbook names no command that says whether its effect is there")
        return await self._effect(ctx, deadline_s)

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        if ctx.output(ctx.step).get("changed") is False:
            return StepResult.ok("it was not run")
        if self._given.effect and (await self._effect(ctx, deadline_s)).effect is Effect.NOT_DONE:
            return StepResult.ok("its effect is not there")
        if not self._given.undo:
            return StepResult.failed("the runbook names no command that takes it back")
        try:
            result = await self._run(ctx, self._given.undo, deadline_s)
        except BcmError as error:
            return StepResult.failed(f"what takes it back was not started: {error}")
        found = await outputs_of(ctx, result)
        if result.exit_code is None:
            return StepResult.unknown(f"what takes it back did not end in time: {said(found)}")
        if result.exit_code != 0:
            return StepResult.failed(f"what takes it back ended with {result.exit_code}: {said(found)}")
        left = await self._effect(ctx, deadline_s) if self._given.effect else None
        if left is not None and left.effect is not Effect.NOT_DONE:
            outcome = StepResult.failed if left.effect is Effect.DONE else StepResult.unknown
            return outcome(f"what takes it back ended with 0, but {left.detail}")
        return StepResult.ok("taken back")

    async def _effect(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        try:
            result = await self._run(ctx, self._given.effect, deadline_s)
        except BcmError as error:
            return Reconciled.unknown(f"its effect can't be looked at: {error}")
        match result.exit_code:
            case 0:
                return Reconciled.done("its effect is there", changed=True)
            case 1:
                return Reconciled.not_done("its effect is not there")
            case None:
                return Reconciled.unknown("the command that looks at its effect did not end in time")
            case code:
                return Reconciled.unknown(
                    f"the command that looks at its effect ended with {code}, not 0 or 1"
                )

    async def _run(self, ctx: StepContext, words: Sequence[str], deadline_s: float) -> CommandResult:
        """What it printed has no secret of ours in it. Raises BcmError where it was certainly not started."""
        secrets, given = self.secret_env(ctx), self._given
        stdin = given.stdin
        kept = list(secrets.values())
        if given.secret_stdin is not None:
            kept.append(ctx.ports.secrets.get(given.secret_stdin))
            stdin = f"{kept[-1]}\n"
        result = await self.access(ctx).run(
            self.argv(words),
            timeout_s=ctx.left_s(deadline_s),
            user=given.user or None,
            stdin=stdin.encode() or None,
            env={**given.env, **secrets} or None,
        )
        return replace(result, stdout=masked(result.stdout, kept), stderr=masked(result.stderr, kept))

    def _shown(self, ctx: StepContext, words: Sequence[str]) -> str:
        return self.access(ctx).describe(self.argv(words), user=self._given.user or None)
