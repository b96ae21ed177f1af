"""One run of a program of somebody else's, in a process group that ends with it. Everything here blocks.

`asyncio`'s own subprocesses differ from loop to loop in how they reap, and none kills a group. Here the group
is killed while its leader is still unreaped, so that its number can't be anybody else's.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from probes.captured import Captured

KEPT_BYTES = 65536
FLOOD_BYTES = 4 * 1024 * 1024  # a program that prints so much is ended: reading it would cost us our time
_CHUNK_BYTES = 65536
_POLL_S = 0.05  # where the kernel can't tell of the end of a process (before Linux 5.3)


@dataclass(frozen=True, slots=True)
class Ended:
    """`status`: the exit code, or minus the signal; None if it was ended by us, and `why` says what for."""

    status: int | None
    output: str
    errors: str
    why: str = ""


class PluginProcess:
    """`run` blocks, once; `stop` may come from any thread, at any time, and never blocks.

    kept_bytes: of each stream, its first and its last half.
    """

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._stopped = False
        self._wake: int | None = None

    def stop(self) -> None:
        """Kill it and all of its group."""
        with self._lock:
            self._stopped = True
            if self._wake is not None:
                os.eventfd_write(self._wake, 1)

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> Ended:
        """Raises OSError if it can't be started."""
        with self._lock:
            if self._stopped:
                return Ended(None, "", "", "given up before it was started")
            self._wake = wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        try:
            return self._run(argv, env, wake)
        finally:
            with self._lock:
                self._wake = None
                os.close(wake)

    def _run(self, argv: Sequence[str], env: Mapping[str, str], wake: int) -> Ended:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd="/",
            start_new_session=True,
        )
        output, errors = Captured(self._kept_bytes), Captured(self._kept_bytes)
        with process:
            try:
                why = self._read(process, {process.stdout: output, process.stderr: errors}, wake)
            finally:
                # The leader is not reaped yet: the number is its group's, whoever of it still runs.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return Ended(None if why else process.returncode, output.text(), errors.text(), why)

    def _read(
        self, process: subprocess.Popen[bytes], sinks: Mapping[IO[bytes] | None, Captured], wake: int
    ) -> str:
        """Until it has ended (""), or must be ended (why)."""
        with selectors.DefaultSelector() as selector, _told_of_the_end(process, selector) as told:
            selector.register(wake, selectors.EVENT_READ)
            for stream, sink in sinks.items():
                if stream is not None:
                    os.set_blocking(stream.fileno(), False)
                    selector.register(stream, selectors.EVENT_READ, sink)
            ended = False
            while not ended:
                ready = selector.select(None if told else _POLL_S)
                # Looked at before reading: what it wrote is in the pipes by then.
                ended = _has_ended(process)
                if self._stopped:
                    return "given up"
                for key, _ in ready:
                    if key.data is not None and not _take(key.fd, key.data, to_the_end=ended):
                        selector.unregister(key.fileobj)
                if any(sink.total_bytes > FLOOD_BYTES for sink in sinks.values()):
                    return f"it printed more than {FLOOD_BYTES} bytes"
            for key in list(selector.get_map().values()):
                if key.data is not None:
                    _take(key.fd, key.data, to_the_end=True)
        return ""


def _take(fd: int, sink: Captured, *, to_the_end: bool) -> bool:
    """Read what is there. False at the end of the stream."""
    while True:
        try:
            chunk = os.read(fd, _CHUNK_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        sink.add(chunk)
        if not chunk:
            return False
        if not to_the_end or sink.total_bytes > FLOOD_BYTES:
            return True


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Without reaping it."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


@contextlib.contextmanager
def _told_of_the_end(process: subprocess.Popen[bytes], selector: selectors.BaseSelector) -> Iterator[bool]:
    """Wake the selector when the process ends; False where the kernel can't."""
    try:
        fd = os.pidfd_open(process.pid)
    except OSError:
        yield False
        return
    try:
        selector.register(fd, selectors.EVENT_READ)
        yield True
    finally:
        os.close(fd)
