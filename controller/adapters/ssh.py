"""Commands on a node over ssh, in daemon threads; the deadline is kept here, whatever paramiko does."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
import threading
import time
from collections.abc import Mapping, Sequence

import paramiko

from config.schema import SshAccess as SshSettings
from controller.adapters.commands import ENVIRONMENT, Captured, as_user
from controller.adapters.ssh_link import SshLink, SshTarget
from controller.adapters.threads import DaemonThreads
from model.errors import NodeAccessError
from model.ports import CommandResult, Secrets

MOST_AT_ONCE = 8  # sshd allows 10 sessions on a connection (MaxSessions)
CLOSE_S = 1.0  # the longest that closing waits
_CHUNK_BYTES = 65536
_POLL_S = 0.01
# A connection that was kept and is dead: found out in so much of the time that is left, then made anew.
_REUSE_SHARE = 0.25
# Output may follow the exit status; what the command left running may hold its pipes open for ever.
_DRAIN_S = 0.25


class SshAccess:
    """model.ports.NodeAccess over ssh. One connection is kept and shared.

    A command that does not end in time may go on at the node: its outcome is unknown. The connection that it
    used is given up then, and closed as soon as no other command uses it.
    """

    def __init__(self, node: str, address: str, settings: SshSettings, secrets: Secrets) -> None:
        self._target = SshTarget(node, address, settings)
        self._secrets = secrets
        self._threads = DaemonThreads(self._target.where, MOST_AT_ONCE)
        self._lock = threading.Lock()
        self._link: SshLink | None = None
        self._calls: set[_Call] = set()

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """exit_code None: it was started, and how it ended is not known. `env` shows in the node's process
        list. Raises NodeAccessError where it was certainly not started."""
        call = _Call(
            self._remote(argv, user, {"LC_ALL": ENVIRONMENT["LC_ALL"], **(env or {})}), stdin, timeout_s
        )
        self._calls.add(call)
        try:
            result = self._threads.start(lambda: self._work(call))
            try:
                done, _ = await asyncio.wait({result}, timeout=timeout_s)
            except asyncio.CancelledError:
                self._give_up(call, result)
                raise
            if done:
                return result.result()
            self._give_up(call, result)
            if call.sent:
                return call.unknown(f"no end within {timeout_s:g} s; it may still run on the node")
            raise self._target.error(
                f"no ssh session within {timeout_s:g} s", "check that the host is up and sshd answers"
            )
        finally:
            self._calls.discard(call)

    def describe(self, argv: Sequence[str], *, user: str | None = None) -> str:
        settings = self._target.settings
        port = [] if settings.port == 22 else ["-p", str(settings.port)]
        login = f"{settings.user}@{self._target.address}"
        return shlex.join(["ssh", *port, login, self._remote(argv, user, {})])

    async def aclose(self) -> None:
        with self._lock:
            links = [call.link for call in self._calls] + [self._link]
            self._link = None
        for link in links:
            if link is not None:
                link.retired = True
                link.shut()
        kept = links[-1]
        if kept is not None:
            with contextlib.suppress(
                NodeAccessError
            ):  # too much hangs there: its socket is shut all the same
                await asyncio.wait({self._threads.start(kept.close)}, timeout=CLOSE_S)

    def _remote(self, argv: Sequence[str], user: str | None, env: Mapping[str, str]) -> str:
        """The command line for the node's shell: every word quoted, none spliced. Raises NodeAccessError."""
        settings = self._target.settings
        if user is not None and user != settings.user and not settings.sudo:
            raise self._target.error(
                f"a command must run as {user}, and sudo is not allowed there",
                f"log in as {user} (ssh.user), or set ssh.sudo to true",
            )
        return shlex.join(as_user(argv, None if user == settings.user else user, env))

    # --- in the thread of a call

    def _work(self, call: _Call) -> CommandResult:
        link, fresh = self._borrow(call)
        try:
            if fresh:
                link.connect(self._secrets, call.left_s())
                self._keep(link)
            share = 1.0 if fresh else _REUSE_SHARE
            channel = link.open_channel(call.left_s() * share)
        except NodeAccessError:
            self._hand_back(link, retire=True)
            if fresh or call.given_up:
                raise
            return self._work(call)  # nothing was run: once more, on a connection of its own
        except BaseException:
            self._hand_back(link, retire=True)
            raise
        retire = True
        try:
            result = call.talk(channel)
            retire = result.exit_code is None
        finally:
            self._hand_back(link, retire=retire)
        return result

    def _borrow(self, call: _Call) -> tuple[SshLink, bool]:
        """The link that is kept, or (True) a new one that is not connected yet."""
        with self._lock:
            link, fresh = self._link, False
            if link is None or link.retired or not link.alive:
                link, fresh = SshLink(self._target), True
            link.users += 1
            call.link = link
        return link, fresh

    def _keep(self, link: SshLink) -> None:
        with self._lock:
            if self._link is None or not self._link.alive:
                self._link = link
            else:
                link.retired = True  # another call was faster; this one is closed after its use

    def _hand_back(self, link: SshLink, *, retire: bool) -> None:
        with self._lock:
            link.users -= 1
            if retire:
                self._retire(link)
            close = link.retired and link.users == 0
        if close:
            link.close()

    # --- from the loop

    def _give_up(self, call: _Call, result: asyncio.Future[CommandResult]) -> None:
        call.given_up = True
        result.add_done_callback(_quietly)
        with self._lock:
            link = call.link
            if link is None:
                return
            self._retire(link)
            alone = link.users <= 1
        if alone:
            link.shut()

    def _retire(self, link: SshLink) -> None:
        link.retired = True
        if self._link is link:
            self._link = None


class _Call:
    """One command. `talk` runs in its thread; the rest is read from the loop."""

    def __init__(self, command: str, stdin: bytes | None, timeout_s: float) -> None:
        self.link: SshLink | None = None
        self.sent = False
        self.given_up = False
        self._command = command
        self._stdin = stdin or b""
        self._began_s = time.monotonic()
        self._deadline_s = self._began_s + timeout_s
        self._out, self._err = Captured(), Captured()

    def left_s(self) -> float:
        return max(self._deadline_s - time.monotonic(), 0.001)

    def unknown(self, why: str) -> CommandResult:
        return CommandResult(None, self._out.text(), f"{self._err.text()}[{why}]", self._took_s())

    def talk(self, channel: paramiko.Channel) -> CommandResult:
        """Run the command and take its output. Once it was sent, every failure is an unknown outcome."""
        if self.given_up:
            channel.close()
            raise NodeAccessError("given up before the command was sent")
        self.sent = True
        try:
            channel.exec_command(self._command)
            channel.settimeout(self.left_s())
            while not channel.status_event.wait(_POLL_S):
                if self.given_up:
                    return self.unknown("given up")
                self._feed(channel)
                self._take(channel)
            drained_s = time.monotonic() + _DRAIN_S
            while self._take(channel) or not (channel.eof_received or time.monotonic() > drained_s):
                time.sleep(_POLL_S / 10)
            status = channel.recv_exit_status()
        except (OSError, EOFError, paramiko.SSHException) as exc:
            return self.unknown(f"the connection broke: {exc or 'closed'}")
        finally:
            channel.close()
        if status < 0:
            return self.unknown("the connection ended, or a signal ended the command")
        return CommandResult(status, self._out.text(), self._err.text(), self._took_s())

    def _took_s(self) -> float:
        return time.monotonic() - self._began_s

    def _feed(self, channel: paramiko.Channel) -> None:
        if self._stdin and channel.send_ready():
            sent = channel.send(self._stdin[:_CHUNK_BYTES])
            self._stdin = self._stdin[sent:]
        if not self._stdin and not channel.eof_sent:
            channel.shutdown_write()

    def _take(self, channel: paramiko.Channel) -> bool:
        more = False
        if channel.recv_ready():
            self._out.add(channel.recv(_CHUNK_BYTES))
            more = True
        if channel.recv_stderr_ready():
            self._err.add(channel.recv_stderr(_CHUNK_BYTES))
            more = True
        return more


def _quietly(result: asyncio.Future[CommandResult]) -> None:
    """Nobody waits for it any more."""
    if not result.cancelled():
        result.exception()
