"""What is pushed to this controller over its HTTP port: alerts and heartbeats. Part of the station."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from config.schema import Estate
from controller.alert_desk import AlertDesk
from controller.alerts import AlertBox
from controller.heartbeats import HeartbeatBox
from model.ports import Clock
from probes.base import ProbeOptions
from probes.heartbeat import HeartbeatOptions, HeartbeatProbe, heartbeat_name

EXPIRE_EVERY_S = 5.0

# type, data, service: appends a record, with the service's open incident.
Append = Callable[[str, dict[str, Any], str], Awaitable[Any]]


def declared_heartbeats(estate: Estate) -> list[str]:
    """The names under which something may be pushed."""
    return [
        heartbeat_name(entry.target, _options(entry.options))
        for entry in estate.probes.values()
        if entry.type == HeartbeatProbe.type
    ]


def _options(given: Any) -> ProbeOptions:
    return HeartbeatOptions.model_validate(given)


class Inbox:
    """`start` with a running loop; `configure` for a new estate: what was pushed before is kept."""

    def __init__(self, estate: Estate, clock: Clock, append: Append) -> None:
        self._clock = clock
        self.alerts = AlertBox(clock, estate.alerts, estate.services)
        self.desk = AlertDesk(self.alerts, clock, append)
        self.heartbeats = HeartbeatBox(clock, declared_heartbeats(estate))
        self._tasks: list[asyncio.Task[None]] = []

    def configure(self, estate: Estate) -> None:
        self.desk.note(self.alerts.configure(estate.alerts, estate.services))
        self.heartbeats.declare(declared_heartbeats(estate))

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self.desk.run(), name="alert-records"),
            asyncio.create_task(self._expire(), name="alert-expiry"),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []

    async def _expire(self) -> None:
        while True:
            await self._clock.sleep(EXPIRE_EVERY_S)
            self.desk.note(self.alerts.expire())
