"""Inspections over the admin socket: made now, how far it is, and the last one."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from controller.api import bodies
from controller.api.answers import UnknownNameError, answer
from controller.api.bodies import read_body
from controller.api.control import Control


class InspectionApi:
    """actor: who asks, as a name for the journal; an inspection changes nothing, so anybody may ask."""

    def __init__(self, control: Control, actor: Callable[[web.Request], str]) -> None:
        self._control = control
        self._actor = actor

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/inspections", self.inspect),
            web.get("/v1/inspections/progress", self.progress),
            web.get("/v1/inspections/latest", self.latest),
        ]

    async def inspect(self, request: web.Request) -> web.Response:
        """Answers when every check has ended."""
        body = await read_body(request, bodies.InspectBody)
        found = await self._control.inspect(body.service, actor=self._actor(request))
        return answer("Inspection", found)

    async def progress(self, _request: web.Request) -> web.Response:
        return answer("InspectionProgress", self._control.inspection_progress())

    async def latest(self, _request: web.Request) -> web.Response:
        last = self._control.last_inspection()
        if last is None:
            raise UnknownNameError(
                "nothing has been inspected yet", hint="`bcm-failover inspect` does it now"
            )
        return answer("Inspection", last)
