"""A member's server through node access: seen, stopped for good, started (POSTGRESQL P8, P17).

Which processes are its own is told by their working directory: each has the data directory there, and neither
parent nor session names them once the postmaster is dead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from config.schema import Control, PostgresqlMember
from model.errors import NodeAccessError
from model.lsn import parse_lsn
from model.ports import CommandResult
from runbooks.actions.base import StepContext

# Fixed text; what differs comes as positional arguments: DATA_DIR VERB [TRIES [COMMAND…]]. `list` gives one
# line a process: PID STATE; `io PROGRAM` what a program that works on the directory has read and written.
_SCRIPT: Final = r"""
dir=$(readlink -f "$1") || exit 0
list() (
  exec 2> /dev/null  # processes go while they are looked at
  for p in /proc/[0-9]*; do
    read -r name < "$p/comm" || continue
    case $name in postgres|postmaster) ;; *) continue ;; esac
    [ "$p/cwd" -ef "$dir" ] || continue
    read -r stat < "$p/stat" || continue
    rest=${stat##*) }
    echo "${p#/proc/} ${rest%% *}"
  done
)
case $2 in
  list) list ;;
  kill) list | while read -r pid state; do kill -9 "$pid"; done ;;
  wait)
    n=$3
    shift 3
    [ "$#" -eq 0 ] || "$@" || exit 4
    while [ -n "$(list)" ]; do
      n=$((n - 1))
      [ "$n" -gt 0 ] || exit 3
      sleep 0.01
    done ;;
  io)
    for p in /proc/[0-9]*; do
      read -r name < "$p/comm" || continue
      [ "$name" = "$3" ] && grep -qaF -- "$1" "$p/cmdline" && cat "$p/io"
    done 2> /dev/null ;;
  absent)
    n=$3
    while [ "$n" -gt 0 ]; do
      [ -z "$(list)" ] || exit 3
      n=$((n - 1))
      sleep 0.05
    done ;;
esac
exit 0
"""
_WAIT_STEP_S: Final = 0.015  # of one round of `wait`: the pause and the look
_ABSENT_STEP_S: Final = 0.05  # of one round of `absent`: such managers wait 100 ms before they start it
_WRITE: Final = 'umask 077; cat > "$1.bcm" && mv "$1.bcm" "$1"'
_COMMAND_S: Final = 10.0  # for a command that answers at once on a living node
_ENV: Final = {"LC_ALL": "C"}
# A shutdown that waits for a standby that can't be reached takes 30 s; it is not waited for.
_FAST_S: Final = 2.0
_IMMEDIATE_S: Final = 1.0
_KILLED_S: Final = 5.0  # only a process that waits for its disk takes long to die


@dataclass(frozen=True, slots=True)
class Process:
    """`state` is the letter of /proc; T: stopped by a signal, it reacts to nothing but SIGKILL."""

    pid: int
    state: str


@dataclass(frozen=True, slots=True)
class ControlData:
    """Of pg_controldata. `checkpoint_lsn`: where the last checkpoint's record begins, in bytes.
    `min_recovery_lsn`: how far a standby must replay; 0 on a primary."""

    system_identifier: str
    state: str
    checkpoint_lsn: int
    timeline: int
    min_recovery_lsn: int

    @property
    def shut_down(self) -> bool:
        return self.state == "shut down"

    @property
    def recovery_interrupted(self) -> bool:
        """A primary that was stopped in the middle of its crash recovery. Its control file looks like that of
        a standby, and pg_rewind finds no rewind to be required (seen on 18)."""
        return self.state == "shut down in recovery" and self.min_recovery_lsn == 0


class Server:
    """Raises NodeAccessError from every call if the node can't be reached."""

    def __init__(self, ctx: StepContext, member: PostgresqlMember) -> None:
        self._clock = ctx.ports.clock
        self._access = ctx.ports.node(member.node)
        self.member = member

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = _COMMAND_S,
        user: str | None = None,
        stdin: bytes | None = None,
        env: dict[str, str] | None = None,
    ) -> CommandResult:
        """As the server's account, if `user` is not given."""
        return await self._access.run(
            argv,
            timeout_s=timeout_s,
            user=user or self.member.os_user,
            stdin=stdin,
            env={**_ENV, **(env or {})},
        )

    def program(self, name: str, *arguments: str) -> list[str]:
        return [str(self.member.bin_dir / name), *arguments]

    async def processes(self) -> list[Process]:
        result = await self._script("list")
        return [
            Process(int(p[0]), p[1]) for line in result.stdout.splitlines() if len(p := line.split()) == 2
        ]

    def stop_command(self, mode: str) -> list[str]:
        """Asks and does not wait. mode: fast or immediate."""
        target = self.member.control_target
        match self.member.control_kind:
            case Control.SYSTEMD:
                if mode == "immediate":
                    return ["systemctl", "kill", "--signal=SIGQUIT", target]
                return ["systemctl", "stop", "--no-block", target]
            case Control.PG_CTLCLUSTER:
                return [*self._ctlcluster(), "-m", mode, *target.split("/"), "stop", "--", "-W"]
            case Control.PG_CTL:
                return self.program("pg_ctl", "stop", "-s", "-W", "-m", mode, "-D", str(self.member.data_dir))

    async def stopped_by(self, mode: str, timeout_s: float) -> bool:
        """Ask for a stop and wait until no process holds the data directory; one command on the node."""
        command = self.stop_command(mode)
        return await self.wait_gone(timeout_s, *command, user=self._manager_user())

    async def bytes_moved(self, program: str) -> int | None:
        """What a program that works on the data directory has read and written so far. None: that can't be
        seen."""
        told = await self._script("io", program)
        counts = [line.split() for line in told.stdout.splitlines()]
        moved = [int(words[1]) for words in counts if words[:1] in (["rchar:"], ["wchar:"])]
        return sum(moved) if moved else None

    async def wait_gone(self, timeout_s: float, *command: str, user: str | None = None) -> bool:
        """Until no process holds the data directory. Waits on the node, after `command` if there is one."""
        tries = str(max(int(timeout_s / _WAIT_STEP_S), 1))
        result = await self._script("wait", tries, *command, timeout_s=2 * timeout_s + 2.0, user=user)
        return result.exit_code == 0

    async def stays_away(self, for_s: float) -> bool:
        """No process of it is seen for so long. Looks on the node: one command, whatever the time."""
        tries = str(max(int(for_s / _ABSENT_STEP_S), 1))
        result = await self._script("absent", tries, timeout_s=2 * for_s + 2.0)
        return result.exit_code == 0

    async def stop(self) -> str | None:
        """Stop it, whatever state it is in, so that its manager does not start it again. Says how it went;
        None if a process is still there."""
        processes = await self.processes()
        if not processes:
            await self._keep_down()
            return "no process of it was there"
        how = "kill -9: it stood still" if any(p.state in "Tt" for p in processes) else None
        if how is None:
            how = "fast shutdown" if await self.stopped_by("fast", _FAST_S) else None
        if how is None:
            how = "immediate shutdown" if await self.stopped_by("immediate", _IMMEDIATE_S) else None
        if how is None or how.startswith("kill"):
            await self._script("kill")
            how = (how or "kill -9") if await self.wait_gone(_KILLED_S) else None
        if how is not None:
            await self._keep_down()
        return how

    async def start(self, timeout_s: float) -> CommandResult:
        """Start it and wait until it answers, as its manager understands that."""
        if self.member.control_kind is Control.SYSTEMD:
            await self.run(["systemctl", "unmask", "--runtime", self.member.control_target], user="root")
        return await self.run(self.start_command(timeout_s), timeout_s=timeout_s, user=self._manager_user())

    def start_command(self, timeout_s: float) -> list[str]:
        target = self.member.control_target
        match self.member.control_kind:
            case Control.SYSTEMD:
                return ["systemctl", "start", target]
            case Control.PG_CTLCLUSTER:
                return [*self._ctlcluster(), *target.split("/"), "start"]
            case Control.PG_CTL:
                # Without a log file the server would hold this command's output open for ever.
                log = self.member.log_file or self.member.data_dir.with_name(
                    self.member.data_dir.name + ".bcm-start.log"
                )
                wait = str(max(int(timeout_s), 1))
                directory = str(self.member.data_dir)
                return self.program(
                    "pg_ctl", "start", "-s", "-w", "-t", wait, "-D", directory, "-l", str(log)
                )

    async def control_data(self) -> ControlData | None:
        """None if there is no data directory that can be read."""
        result = await self.run(self.program("pg_controldata", "-D", str(self.member.data_dir)))
        if not result.ok:
            return None
        values = {
            name.strip(): value.strip()
            for name, colon, value in (line.partition(":") for line in result.stdout.splitlines())
            if colon
        }
        try:
            return ControlData(
                values["Database system identifier"],
                values["Database cluster state"],
                parse_lsn(values["Latest checkpoint location"]),
                int(values["Latest checkpoint's TimeLineID"]),
                parse_lsn(values["Minimum recovery ending location"]),
            )
        except (KeyError, ValueError):
            return None

    async def read_text(self, name: str) -> str:
        """A file of the data directory, '' if it is not there."""
        result = await self.run(["cat", str(self.member.data_dir / name)])
        return result.stdout if result.ok else ""

    async def write_text(self, name: str, text: str) -> None:
        """Readable by its owner only, and whole or not at all. Raises NodeAccessError."""
        path = str(self.member.data_dir / name)
        result = await self.run(["sh", "-c", _WRITE, "sh", path], stdin=text.encode())
        if not result.ok:
            raise NodeAccessError(f"{path} can't be written: {result.stderr.strip()}", where=self.member.node)

    async def remove(self, name: str) -> None:
        """One file of the data directory, if it is there."""
        await self.run(["rm", "-f", str(self.member.data_dir / name)])

    def shown(self, argv: Sequence[str]) -> str:
        return f"{self.member.node}: {self._access.describe(argv, user=self.member.os_user)}"

    async def _keep_down(self) -> None:
        """A service manager would start a crashed server again in place. Stopping also ends its plan to."""
        if self.member.control_kind is Control.SYSTEMD:
            target = self.member.control_target
            await self.run(["systemctl", "stop", target], user="root")
            await self.run(["systemctl", "mask", "--runtime", target], user="root")

    async def _script(
        self, verb: str, *more: str, timeout_s: float = _COMMAND_S, user: str | None = None
    ) -> CommandResult:
        argv = ["sh", "-c", _SCRIPT, "sh", str(self.member.data_dir), verb, *more]
        result = await self.run(argv, timeout_s=timeout_s, user=user)
        if result.exit_code is None:
            raise NodeAccessError("a command did not end in time", where=self.member.node)
        return result

    def _manager_user(self) -> str | None:
        return "root" if self.member.control_kind is Control.SYSTEMD else None

    def _ctlcluster(self) -> list[str]:
        return ["pg_ctlcluster", "--skip-systemctl-redirect"]
