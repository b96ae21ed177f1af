"""Free space of a member's file systems, read over node access behind the probe's back (POSTGRESQL P16)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from model.errors import BcmError
from model.ports import Clock, NodeAccess

_COMMAND = ("df", "-B1", "--output=avail,size", "--")
_TIMEOUT_S = 5.0  # `df` waits for ever on a dead NFS mount; one reading is under way at a time


class DiskSpace:
    """The last reading of some paths, as facts `NAME_free_bytes` and `NAME_size_bytes`."""

    def __init__(self, node: NodeAccess, clock: Clock, paths: Mapping[str, str], os_user: str | None) -> None:
        self._node = node
        self._clock = clock
        self._paths = dict(paths)
        self._os_user = os_user
        self._read_s: float | None = None
        self._task: asyncio.Task[None] | None = None
        self.facts: dict[str, int] = {}

    def refresh(self, max_age_s: float) -> None:
        """Begin a reading, unless one is under way or the last is younger than `max_age_s`."""
        young = self._read_s is not None and self._clock.monotonic_s() - self._read_s < max_age_s
        if not young and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._read(), name="disk-space")

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _read(self) -> None:
        """A reading that fails leaves no facts: what is not known is not said."""
        facts: dict[str, int] = {}
        with contextlib.suppress(BcmError, ValueError):
            result = await self._node.run(
                [*_COMMAND, *self._paths.values()], timeout_s=_TIMEOUT_S, user=self._os_user
            )
            lines = result.stdout.splitlines()[1:] if result.ok else []
            for name, line in zip(self._paths, lines, strict=False):
                free, size = line.split()
                facts |= {f"{name}_free_bytes": int(free), f"{name}_size_bytes": int(size)}
        self.facts = facts
        self._read_s = self._clock.monotonic_s()
