"""ssh.run: a command on a node, by the access that the estate declares for it (ssh, or this host)."""

from __future__ import annotations

from typing import ClassVar

from model.errors import BcmError
from model.execution import Precheck
from model.ports import NodeAccess
from runbooks.actions.base import ActionOptions, StepContext
from runbooks.actions.commands.command import Command, CommandOptions
from runbooks.actions.nodes import NodeOptions, access_to, node_name

# The argument is no part of the text that the shell reads.
_FIND = ["sh", "-c", 'command -v -- "$1"', "sh"]


class SshRunOptions(NodeOptions, CommandOptions):
    """A command, and on which node."""


class SshRun(Command):
    """Runs a program on a node, as the login of its access or as `user` by sudo.

    Commands and `env` show in the node's list of processes; a secret goes in by `secret_stdin`.

    Every argument is quoted for the node's shell, so that it reaches the program as it is. It succeeds with
    an expected exit code and, where `effect` is given, once the effect is seen.

    Output: `exit_code`; `stdout` and `stderr`, cut in the middle beyond 4000 characters; `output_file`, where
    all of it is then, on this host; `took_ms`; `changed`: false where the effect was there before and nothing
    was run.
    """

    name: ClassVar[str] = "ssh.run"
    Options: ClassVar[type[ActionOptions]] = SshRunOptions

    def __init__(self, options: SshRunOptions) -> None:
        super().__init__(options)
        self._options = options

    def where(self, ctx: StepContext) -> str:
        node = f"node {node_name(ctx, self._options)}"
        return f"{node} as {self._options.user}" if self._options.user else node

    def access(self, ctx: StepContext) -> NodeAccess:
        return access_to(ctx, self._options)

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        program, node = self._options.command[0], node_name(ctx, self._options)
        ok: bool | None = None
        try:
            found = await self.access(ctx).run(
                [*_FIND, program], timeout_s=5.0, user=self._options.user or None
            )
            ok = None if found.exit_code is None else found.ok
            result = found.stdout.strip() if found.ok else "it is not there, or may not be run"
        except BcmError as error:
            ok, result = False, error.what
        return [
            Precheck(
                what=f"{program} can be run on {node}",
                how=f"log in to {node} and look for {program}",
                ok=ok,
                result=result,
                why="the step runs it",
                if_failed="configure the node's access, install the program, or mend its path or rights",
            )
        ]
