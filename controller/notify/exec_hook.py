"""Pages to a program of the site's own: the page as JSON on its standard input, exit code 0 means taken.

The program is not trusted: no shell, nothing of the daemon's environment but what a program needs (there may
be secrets in it), its output is cut, and at the deadline its whole process group is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from typing import Final, cast

from config.schema import ExecPager
from controller.notify.page import DeliveryError, Page
from controller.notify.scrub import short

OUTPUT_BYTES: Final = 4096
KILL_S: Final = 1.0  # a killed process is collected within this time, unless it hangs in the disk
_ENVIRONMENT: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ")


class ExecHook:
    """Runs `command` once for each page."""

    def __init__(self, settings: ExecPager) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        return "exec"

    async def deliver(self, page: Page) -> None:
        """Raises DeliveryError for an exit code other than 0 and at the time-out."""
        argv = self._settings.command
        loop = asyncio.get_running_loop()
        try:
            transport, run = await loop.subprocess_exec(
                _Run, *argv, env=_environment(page), start_new_session=True, stderr=asyncio.subprocess.STDOUT
            )
        except OSError as error:
            raise DeliveryError(f"{argv[0]} can't be run: {error.strerror}") from error
        ended = False
        try:
            run.feed(json.dumps(page.to_json(), ensure_ascii=False).encode() + b"\n")
            await asyncio.wait({run.exited}, timeout=self._settings.timeout)
            ended = run.exited.done()
        finally:
            # Also what it left running in the background, and what a cancellation interrupts.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            await asyncio.wait({run.exited}, timeout=KILL_S)
            transport.close()
        if not ended:
            raise DeliveryError(f"{argv[0]} did not end within {self._settings.timeout:g} s and was killed")
        code = transport.get_returncode()
        if code != 0:
            said = short(run.output.decode("utf-8", "replace"), 200)
            raise DeliveryError(f"{argv[0]} ended with {code}: {said or 'it said nothing'}")


class _Run(asyncio.SubprocessProtocol):
    """Ends with the process, not with its pipes: a background child may keep those open for ever."""

    def __init__(self) -> None:
        self.exited: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.output = bytearray()
        self._stdin: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        pipes = cast("asyncio.SubprocessTransport", transport)
        self._stdin = cast("asyncio.WriteTransport | None", pipes.get_pipe_transport(0))

    def feed(self, content: bytes) -> None:
        if self._stdin is not None:
            # A program that reads nothing may have ended already; each loop says that in its own way.
            with suppress(OSError, RuntimeError):
                self._stdin.write(content)
                self._stdin.write_eof()

    def pipe_data_received(self, _fd: int, data: bytes) -> None:
        if len(self.output) < OUTPUT_BYTES:
            self.output += data[: OUTPUT_BYTES - len(self.output)]

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)


def _environment(page: Page) -> dict[str, str]:
    inherited = {k: os.environ[k] for k in _ENVIRONMENT if k in os.environ}
    return {
        **inherited,
        "BCM_PAGE": page.id,
        "BCM_SEVERITY": page.severity,
        "BCM_SERVICE": page.service or "",
        "BCM_INCIDENT": page.incident or "",
        "BCM_LEVEL": page.level,
    }
