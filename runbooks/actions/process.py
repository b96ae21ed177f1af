"""The server's process on its node: stopped, and seen to be, where the estate says how."""

from __future__ import annotations

from typing import Final

from config.members import StoppableMember
from model.errors import NodeAccessError
from model.ports import CommandResult
from runbooks.actions.base import StepContext

_COMMAND_S: Final = 5.0
_POLL_S: Final = 0.02


class Server:
    """One member's process. Raises NodeAccessError where there is no access, or no `control`."""

    def __init__(self, ctx: StepContext, member: StoppableMember, names: frozenset[str]) -> None:
        """names: of the program, as the kernel has them; any other process under the number of the file is
        somebody else's."""
        if not member.control:
            raise NodeAccessError(
                f"the estate does not say how {member.name} is stopped",
                where=f"node {member.node}",
                hint="control: systemd:UNIT or pidfile:PATH",
            )
        self._node = ctx.ports.node(member.node)
        self._clock = ctx.ports.clock
        self._member = member
        self._names = names
        self._kind, _, self._target = member.control.partition(":")

    def shown(self) -> str:
        return self._node.describe(self._stop_argv("PID"), user=self._user)

    def start_shown(self) -> str:
        """Raises NodeAccessError for one that only whoever runs it can start."""
        if self._kind != "systemd":
            what, where = f"{self._member.name} is no unit", f"node {self._member.node}"
            raise NodeAccessError(what, where=where, hint="control: systemd:UNIT")
        return self._node.describe(["systemctl", "start", self._target])

    async def stop(self, deadline_s: float) -> str:
        """Until no process is there; how it went, for people. Raises NodeAccessError."""
        if self._kind == "systemd":
            await self._run(["systemctl", "stop", self._target])
            state = await self._run(["systemctl", "is-active", self._target])
            if state.stdout.strip() in ("inactive", "failed"):
                return f"unit {self._target} is {state.stdout.strip()}"
            raise NodeAccessError(f"unit {self._target} is {state.stdout.strip() or 'not told'}")
        pid = await self.process()
        if pid is None:
            return "no process is there"
        await self._run(self._stop_argv(str(pid)))
        while (left := await self.process()) is not None:
            if self._clock.monotonic_s() >= deadline_s:
                raise NodeAccessError(f"process {left} does not end", where=f"node {self._member.node}")
            await self._clock.sleep(_POLL_S)
        return f"process {pid} was killed"

    async def process(self) -> int | None:
        """Its process, None if none is there: by the file, and by what really runs under that number. One
        whose end nobody has taken note of yet (a zombie) runs no more."""
        found = await self._run(["cat", self._target])
        text = found.stdout.strip()
        if not (text.isascii() and text.isdigit()):
            return None
        stat = (await self._run(["cat", f"/proc/{text}/stat"])).stdout
        name, state = stat[stat.find("(") + 1 : stat.rfind(")")], stat[stat.rfind(")") + 2 :][:1]
        return int(text) if name in self._names and state not in ("Z", "X", "") else None

    async def is_stopped(self) -> bool:
        """Raises NodeAccessError."""
        if self._kind == "systemd":
            state = await self._run(["systemctl", "is-active", self._target])
            return state.stdout.strip() in ("inactive", "failed")
        return await self.process() is None

    async def start(self) -> bool:
        """Of a unit; whoever started another process has to do it again."""
        if self._kind != "systemd":
            return False
        return (await self._run(["systemctl", "start", self._target])).ok

    @property
    def _user(self) -> str | None:
        return (self._member.os_user or None) if self._kind == "pidfile" else None

    def _stop_argv(self, pid: str) -> list[str]:
        return ["systemctl", "stop", self._target] if self._kind == "systemd" else ["kill", "-KILL", pid]

    async def _run(self, argv: list[str]) -> CommandResult:
        result = await self._node.run(argv, timeout_s=_COMMAND_S, user=self._user)
        if result.exit_code is None:
            raise NodeAccessError(
                f"{argv[0]} did not end: {result.stderr}", where=f"node {self._member.node}"
            )
        return result
