"""Takes one service's turns: when it is woken, and at its ticks. One that fails ends none of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from controller.supervisor.pages import Told
from controller.supervisor.telling import Telling
from controller.supervisor.ticks import next_tick_s
from controller.supervisor.world import World
from model.errors import BcmError, JournalError, LeadershipLostError

log = structlog.get_logger(__name__)

# After a turn that failed: the same would fail again at once.
PAUSE_S: Final = 1.0


class Turns:
    """take: one turn. due: is the tick of this moment (monotonic seconds) one at which it is taken?"""

    def __init__(
        self,
        service: str,
        world: World,
        take: Callable[[], Awaitable[None]],
        due: Callable[[float], bool],
        telling: Telling,
    ) -> None:
        self._service = service
        self._world = world
        self._take = take
        self._due = due
        self._telling = telling
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Take a turn now; what wakes it during one is looked at in the next."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        ticks = asyncio.create_task(self._ticks(), name=f"ticks-{self._service}")
        try:
            while True:
                await self._guarded()
                await self._wake.wait()
                self._wake.clear()
        finally:
            ticks.cancel()

    async def _guarded(self) -> None:
        try:
            await self._take()
        except LeadershipLostError as error:
            self._world.trouble.tell("another controller leads: observing only", error.what)
        except JournalError as error:
            self._world.trouble.tell("the journal can't be written: observing only", error.what)
        except BcmError as error:
            log.error("turn failed", service=self._service, error=str(error))  # noqa: TRY400
            await self._failed(error.what)
        except Exception as error:
            log.exception("turn failed", service=self._service)
            await self._failed(f"internal error ({type(error).__name__}); see the daemon's log")

    async def _failed(self, what: str) -> None:
        told = Told("page", f"{self._service} can't be handled: {what}")
        self._telling.seldom(("turn failed", what), self._world.clock.monotonic_s(), told)
        await self._world.clock.sleep(PAUSE_S)

    async def _ticks(self) -> None:
        """A turn at every tick of the service's own phase, whatever comes between. One task for all of them:
        a timer that is made and cancelled around every turn costs more than the turn."""
        clock = self._world.clock
        while True:
            now_s = clock.monotonic_s()
            await clock.sleep(next_tick_s(self._service, now_s) - now_s)
            if self._due(clock.monotonic_s()):
                self._wake.set()
