"""Inspections of a running daemon: on request and at set times, one at a time, each one journaled.

When the next one is due is counted on the monotonic clock: a jump of the wall clock brings none and loses
none. Only the age of the last one of an earlier boot is taken from the wall.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from config.schema import Estate
from controller.declared import subjects_of
from controller.inspection.ground import Ground
from controller.inspection.record import compared, data_of, findings_of, latest
from controller.inspection.runner import inspect
from controller.inspection.words import Inspection, Result
from controller.phases import parse_wall_ns
from controller.store.hostclock import boot_id
from model import events as ev
from model.errors import BcmError
from model.events import Event
from model.ports import Clock, Journal

log = structlog.get_logger(__name__)

Json = dict[str, Any]
# Right after a start nothing is settled: the first one waits for it.
SETTLE_S: Final = 120.0
# How often it is looked whether one is due: a reload may have changed the interval.
LOOK_S: Final = 5.0
RELOADS: Final = 3


class InspectionDesk:
    """make: the ground of one inspection, of a service or of all. page: as of the pager. leads: this
    controller writes the journal; without it nothing is inspected by itself."""

    def __init__(
        self,
        *,
        clock: Clock,
        journal: Journal,
        estate: Callable[[], Estate],
        make: Callable[[str | None], Ground],
        page: Callable[..., object],
        leads: Callable[[], bool],
    ) -> None:
        self._clock = clock
        self._journal = journal
        self._estate = estate
        self._make = make
        self._page = page
        self._leads = leads
        self._one = asyncio.Lock()
        self._progress: Json = {"running": False, "done": 0, "total": 0}
        self._last: Json | None = None

    def progress(self) -> Json:
        """{running, done, total}: checks that have ended, of all."""
        return dict(self._progress)

    def last(self) -> Json | None:
        """The last one of this process, whole; of an earlier one what the journal has of it."""
        if self._last is not None:
            return self._last
        recorded = latest(self._events(), None)
        return None if recorded is None else {"recorded": recorded.to_json()}

    async def inspect(self, service: str | None, *, trigger: str, actor: str) -> Json:
        """The inspection as JSON, with `since`: what has changed since the one before."""
        async with self._one:
            before = latest(self._events(), service, self._subjects(service))
            try:
                found = await self._inspected(service)
            finally:
                self._progress = {**self._progress, "running": False}
            body = {**found.to_json(), "since": compared(before, findings_of(found))}
            if service is None:
                self._last = body
            body["journaled"] = await self._record(data_of(found, trigger), service, actor)
            return body

    async def run(self) -> None:
        """Until cancelled: at set times, by itself."""
        due_s = self._clock.monotonic_s() + self._first_in_s()
        while True:
            await self._clock.sleep(LOOK_S)
            settings = self._estate().inspection
            now_s = self._clock.monotonic_s()
            due_s = min(due_s, now_s + settings.every)  # of a reload
            if now_s < due_s or not settings.enabled or not self._leads():
                continue
            due_s = now_s + settings.every
            try:
                self._tell(await self.inspect(None, trigger="schedule", actor="daemon"))
            except Exception:
                log.exception("the inspection failed")

    async def _inspected(self, service: str | None) -> Inspection:
        """Again if the estate was reloaded meanwhile: its connections were closed in the middle of it."""
        for _ in range(RELOADS):
            estate = self._estate()
            found = await inspect(self._make(service), progress=self._progressed)
            if self._estate() is estate:
                break
        return found

    def _first_in_s(self) -> float:
        """Until the first one of this process: the interval, less the age of the last."""
        every_s = self._estate().inspection.every
        done = [e for e in self._events() if e.data.get("scope") is None]
        if not done:
            return min(SETTLE_S, every_s)
        age_s = _age_s(done[-1], self._clock)
        return min(max(every_s - max(age_s, 0.0), min(SETTLE_S, every_s)), every_s)

    def _tell(self, body: Json) -> None:
        """What is new and would make a failover fail: nobody reads a report that nobody asked for."""
        new = body["since"]["new"] + body["since"]["changed"] if body["since"] else body["rows"]
        failed = [finding for finding in new if finding["result"] == Result.FAILED.value]
        if failed:
            more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
            detail = "; ".join(f"{f['about']}: {f['text']}" for f in failed)
            summary = f"inspection: {failed[0]['about']}: {failed[0]['text']}{more}"
            self._page("warning", summary, detail=f"{detail}; `bcm-failover inspect` shows what to do")

    def _progressed(self, done: int, total: int) -> None:
        self._progress = {"running": True, "done": done, "total": total}

    async def _record(self, data: Json, service: str | None, actor: str) -> bool:
        if not self._leads():
            return False
        try:
            await self._journal.append(ev.INSPECTION_DONE, data, service=service, actor=actor)
        except BcmError as error:
            log.warning("inspection not journaled", error=str(error))
            return False
        return True

    def _subjects(self, service: str | None) -> list[str]:
        estate = self._estate()
        return [] if service is None else subjects_of(estate.services[service], estate)

    def _events(self) -> Sequence[Event]:
        return self._journal.events(types=(ev.INSPECTION_DONE,))


def _age_s(event: Event, clock: Clock) -> float:
    if event.boot_id == boot_id():
        return clock.monotonic_s() - event.mono_ns / 1e9
    wall_ns = parse_wall_ns(event.wall_utc)
    return 0.0 if wall_ns is None else clock.wall_s() - wall_ns / 1e9
