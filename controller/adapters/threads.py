"""The bounded threads of node access, with the error that a person gets when a node keeps all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from model.errors import NodeAccessError
from probes.threads import AllBusyError, BoundedThreads

T = TypeVar("T")


class DaemonThreads(BoundedThreads):
    """At most `limit` at once, for one target: what hangs there holds up nothing else."""

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """As there. Raises NodeAccessError if too much is under way already."""
        try:
            return super().start(work)
        except AllBusyError as exc:
            raise NodeAccessError(
                f"commands: {exc}", where=self._name, hint="look what hangs on the node"
            ) from None
