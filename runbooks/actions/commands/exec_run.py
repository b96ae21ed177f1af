"""exec.run: a command on this host.

There is no shell, unless `shell: true` asks for one; then the command is one text that the runbook's author
has written, and values go in as environment variables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import ClassVar, Self

from pydantic import Field, model_validator

from config.secrets import SecretRef
from model.execution import Precheck
from model.ports import NodeAccess
from probes.process_words import check_environment
from probes.texts import MASK
from runbooks.actions.base import ActionOptions, StepContext
from runbooks.actions.commands.command import Command, CommandOptions

_SHELL = "/bin/sh"


class ExecRunOptions(CommandOptions):
    """A command on this host."""

    shell: bool = Field(
        False,
        description="true: `command` (as `effect`, `undo`) is a list of one text, which /bin/sh reads. It "
        'has no template in it; values are in `env`, and are used as `"$NAME"`.',
    )
    secret_env: Mapping[str, SecretRef] = Field(
        {}, description="Environment variables that hold secrets, by reference; not together with `user`."
    )

    @model_validator(mode="after")
    def _of_this_host(self) -> Self:
        check_environment(self.env, self.secret_env, "`secret_env`")
        if self.secret_env and self.user:
            raise ValueError("`secret_env` with `user`: sudo would show it; use `secret_stdin`")
        for words in (self.command, self.effect, self.undo):
            if self.shell and len(words) > 1:
                raise ValueError("with `shell: true` it is a list of one text")
            if words and not self.shell and not PurePosixPath(words[0]).is_absolute():
                raise ValueError(f"the program is named by its absolute path, not {words[0]!r}")
        return self


class ExecRun(Command):
    """Runs a program on the host of this controller, as its own account or as `user`.

    It succeeds with an expected exit code and, where `effect` is given, once the effect is seen.

    Output: `exit_code`; `stdout` and `stderr`, cut in the middle beyond 4000 characters; `output_file`, where
    all of it is then; `took_ms`; `changed`: false where the effect was there before and nothing was run.
    """

    name: ClassVar[str] = "exec.run"
    Options: ClassVar[type[ActionOptions]] = ExecRunOptions

    def __init__(self, options: ExecRunOptions) -> None:
        super().__init__(options)
        self._options = options

    def where(self, ctx: StepContext) -> str:
        return f"this host as {self._options.user}" if self._options.user else "this host"

    def access(self, ctx: StepContext) -> NodeAccess:
        return ctx.ports.here

    def argv(self, words: Sequence[str]) -> list[str]:
        return [_SHELL, "-c", *words] if self._options.shell else list(words)

    def secret_env(self, ctx: StepContext) -> dict[str, str]:
        return {name: ctx.ports.secrets.get(ref) for name, ref in self._options.secret_env.items()}

    def describe(self, ctx: StepContext) -> list[str]:
        shown = {**self._options.env, **dict.fromkeys(self._options.secret_env, MASK)}
        return [*super().describe(ctx), *(f"with {name}={value}" for name, value in shown.items())]

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        program = _SHELL if self._options.shell else self._options.command[0]
        result = await ctx.ports.here.run(
            ["test", "-x", program], timeout_s=5.0, user=self._options.user or None
        )
        return [
            Precheck(
                what=f"{program} can be run on this host",
                how=f"test -x {program}",
                ok=None if result.exit_code is None else result.ok,
                result="it is there" if result.ok else "it is not there, or may not be run",
                why="the step runs it",
                if_failed="install it, or mend its path or rights",
            )
        ]
