"""Alerts of incidents that are still open: sent again before they end, and ended with their incident."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from controller.notify.alertmanager import OPEN_FOR_S, RESEND_S, Alertmanager
from controller.notify.page import DeliveryError, Page
from model import events as ev
from model.ports import Clock, Journal

log = structlog.get_logger(__name__)

RETRY_END_S: Final = 5.0


class OpenAlerts:
    """`run` does the work; the rest only notes what is to be done."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._alertmanager: Alertmanager | None = None
        self._open: dict[str, Page] = {}
        self._ending: dict[str, tuple[Page, float]] = {}
        self._over: set[str] = set()
        self._seen_seq = 0
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    def use(self, alertmanager: Alertmanager | None) -> None:
        self._alertmanager = alertmanager

    def restore(self, pages: Iterable[Page]) -> None:
        """Of incidents that were open when the daemon started."""
        self._open.update((page.id, page) for page in pages)

    def delivered(self, page: Page) -> None:
        if page.incident is None:
            return
        self._open[page.id] = page
        if page.incident in self._over:
            self.resolve(page.incident)

    def resolve(self, incident: str) -> None:
        """End all alerts of an incident, also those that are still on their way."""
        self._over.add(incident)
        # Not longer than they would live anyway if nothing were sent any more.
        until_s = self._clock.monotonic_s() + OPEN_FOR_S
        for page in [p for p in self._open.values() if p.incident == incident]:
            del self._open[page.id]
            self._ending[page.id] = (page, until_s)
        if self._ending and self._alertmanager is not None:
            self._ended.clear()
            self._wake.set()

    async def settle(self) -> None:
        """Until nothing is left to be ended."""
        await self._ended.wait()

    async def run(self) -> None:
        """Until cancelled."""
        resend_s = self._clock.monotonic_s() + RESEND_S
        while True:
            await self._pause(resend_s - self._clock.monotonic_s())
            self._wake.clear()
            self._look_for_closed()
            await self._end()
            if self._clock.monotonic_s() >= resend_s:
                await self._resend()
                resend_s = self._clock.monotonic_s() + RESEND_S

    async def _pause(self, at_most_s: float) -> None:
        seconds = min(at_most_s, RETRY_END_S) if self._ending else at_most_s
        woken = asyncio.ensure_future(self._wake.wait())
        slept = asyncio.ensure_future(self._clock.sleep(max(seconds, 0.0)))
        try:
            await asyncio.wait({woken, slept}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            slept.cancel()

    def _look_for_closed(self) -> None:
        for event in self._journal.events(since_seq=self._seen_seq, types=(ev.INCIDENT_CLOSED,)):
            self._seen_seq = event.seq
            if event.incident is not None and event.incident not in self._over:
                self.resolve(event.incident)

    async def _end(self) -> None:
        now_s = self._clock.monotonic_s()
        self._ending = {k: v for k, v in self._ending.items() if v[1] > now_s}
        if self._ending and self._alertmanager is not None:
            ending = list(self._ending)
            try:
                await self._alertmanager.send(
                    [self._alertmanager.alert(self._ending[key][0], 0.0) for key in ending]
                )
            except DeliveryError as error:
                log.warning("alerts not ended yet", error=str(error))
                return
            for key in ending:
                self._ending.pop(key, None)
        if not self._ending:
            self._ended.set()

    async def _resend(self) -> None:
        if not self._open or self._alertmanager is None:
            return
        alerts = [self._alertmanager.alert(page, OPEN_FOR_S) for page in self._open.values()]
        try:
            await self._alertmanager.send(alerts)
        except DeliveryError as error:
            log.warning("open alerts not sent again", error=str(error))
