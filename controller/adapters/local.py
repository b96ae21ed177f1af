"""Commands on this host.

Each runs in a process group of its own, in a thread of its own: the event loop of the daemon (uvloop) can't
change the user of a child.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pwd
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from controller.adapters.commands import ENVIRONMENT, Captured, as_user, typed
from controller.adapters.threads import DaemonThreads
from model.errors import NodeAccessError
from model.ports import CommandResult

MOST_AT_ONCE = 16
_CHUNK_BYTES = 65536
# How often it is looked whether the command has ended. Its pipes do not tell: what it leaves running (a
# server that it started) may hold them open.
_POLL_S = 0.02
# What is still in the pipes when it has ended is read, but nothing is waited for.
_DRAIN_S = 0.05
# Beyond the time-out, for a thread that must kill and report.
_GRACE_S = 0.5


class LocalAccess:
    """model.ports.NodeAccess for the host that this runs on."""

    def __init__(self, node: str, *, where: str = "") -> None:
        """where: for messages, if it is no node of the estate that is meant."""
        self._where = where or f"node {node}"
        self._threads = DaemonThreads(self._where, MOST_AT_ONCE)
        self._commands: set[_Command] = set()

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """exit_code None after a time-out: then the command and its children are killed. `env` is added to a
        clean environment. Raises NodeAccessError if it can't be started."""
        command = _Command(self._where, argv, user, stdin=stdin, env=env, timeout_s=timeout_s)
        self._commands.add(command)
        try:
            result = self._threads.start(command.run)
            done, _ = await asyncio.wait({result}, timeout=timeout_s + _GRACE_S)
            if done:
                return result.result()
            result.add_done_callback(_quietly)
            return command.unknown("it does not end, nor does it let itself be killed")
        except asyncio.CancelledError:
            command.kill()
            result.add_done_callback(_quietly)
            raise
        finally:
            self._commands.discard(command)

    def describe(self, argv: Sequence[str], *, user: str | None = None) -> str:
        return typed(argv, user)

    async def aclose(self) -> None:
        for command in self._commands:
            command.kill()


class _Command:
    """One process. `run` blocks; `kill` may come from any thread."""

    def __init__(
        self,
        where: str,
        argv: Sequence[str],
        user: str | None,
        *,
        stdin: bytes | None,
        env: Mapping[str, str] | None,
        timeout_s: float,
    ) -> None:
        self._where = where
        self._argv = list(argv)
        self._env = dict(ENVIRONMENT)
        self._switch: dict[str, Any] = {}
        self._become(user, env or {})
        self._stdin = stdin or b""
        self._began_s = time.monotonic()
        self._timeout_s = timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._out, self._err = Captured(), Captured()
        self._killed = False

    def run(self) -> CommandResult:
        try:
            process = self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self._env,
                cwd="/",
                start_new_session=True,
                **self._switch,
            )
        except (OSError, subprocess.SubprocessError) as exc:
            what = f"{self._argv[0]}: {getattr(exc, 'strerror', None) or exc}"
            raise NodeAccessError(what, where=self._where, hint="check the path and the account") from None
        with process:
            ended = self._talk(process)
            if not ended or self._killed:
                self.kill()
                return self.unknown(f"killed after {time.monotonic() - self._began_s:.1f} s")
        return CommandResult(process.returncode, self._out.text(), self._err.text(), self._took_s())

    def unknown(self, why: str) -> CommandResult:
        return CommandResult(None, self._out.text(), f"{self._err.text()}[{why}]", self._took_s())

    def kill(self) -> None:
        """Its process group, if it still runs. A command with another user's rights (sudo) may not let us."""
        self._killed = True
        process = self._process
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def _took_s(self) -> float:
        return time.monotonic() - self._began_s

    def _become(self, user: str | None, env: Mapping[str, str]) -> None:
        """Settle the environment, and how the user is changed if it must be."""
        try:
            account = pwd.getpwnam(user) if user is not None else pwd.getpwuid(os.geteuid())
        except KeyError:
            if user is None:  # a container may run under a uid that has no name
                self._env |= env
                return
            raise NodeAccessError(
                f"there is no account {user!r}", where=self._where, hint="check the member's os_user"
            ) from None
        self._env |= {"HOME": account.pw_dir, "USER": account.pw_name, "LOGNAME": account.pw_name, **env}
        if account.pw_uid == os.geteuid():
            return
        if os.geteuid() == 0:
            self._switch = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        else:
            self._argv = as_user(self._argv, user, {"LC_ALL": ENVIRONMENT["LC_ALL"], **env})

    def _talk(self, process: subprocess.Popen[bytes]) -> bool:
        """Feed and read until the process ends (True), or until it must be killed (False)."""
        deadline_s = self._began_s + self._timeout_s
        with selectors.DefaultSelector() as selector, _end_of(process, selector):
            for stream, mask, sink in (
                (process.stdin, selectors.EVENT_WRITE, None),
                (process.stdout, selectors.EVENT_READ, self._out),
                (process.stderr, selectors.EVENT_READ, self._err),
            ):
                if stream is not None:
                    os.set_blocking(stream.fileno(), False)
                    selector.register(stream, mask, sink)
            while process.poll() is None:
                left_s = deadline_s - time.monotonic()
                if left_s <= 0 or self._killed:
                    return False
                self._move(selector, min(left_s, _POLL_S))
            drained_s = time.monotonic() + _DRAIN_S
            while self._move(selector, 0) and time.monotonic() < drained_s:
                pass
        return True

    def _move(self, selector: selectors.BaseSelector, timeout_s: float) -> bool:
        """Pass on what can be passed on without waiting longer. False: nothing could."""
        moved = False
        for key, _ in selector.select(timeout_s):
            if not isinstance(key.fileobj, io.BufferedIOBase | io.RawIOBase):
                continue  # the process has ended
            moved = True
            try:
                more = self._feed(key.fd) if key.data is None else _take(key.fd, key.data)
            except OSError:
                more = False
            if not more:
                selector.unregister(key.fileobj)
                key.fileobj.close()
        return moved

    def _feed(self, fd: int) -> bool:
        written = os.write(fd, self._stdin[:_CHUNK_BYTES]) if self._stdin else 0
        self._stdin = self._stdin[written:]
        return bool(self._stdin)


def _take(fd: int, sink: Captured) -> bool:
    chunk = os.read(fd, _CHUNK_BYTES)
    sink.add(chunk)
    return bool(chunk)


@contextlib.contextmanager
def _end_of(process: subprocess.Popen[bytes], selector: selectors.BaseSelector) -> Iterator[None]:
    """Wake the selector when the process ends, where the kernel can tell."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        yield
        return
    try:
        selector.register(fd, selectors.EVENT_READ)
        yield
    finally:
        os.close(fd)


def _quietly(result: asyncio.Future[CommandResult]) -> None:
    """Nobody waits for it any more."""
    if not result.cancelled():
        result.exception()
