"""`/v1/incidents…`: what a person does to open incidents, and how far a site plan has come; `/v1/sites…`: the
plan of planned work."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from controller.api import bodies
from controller.api.answers import answer
from controller.api.bodies import read_body
from controller.api.control import Caller, Control
from model.errors import UsageError


class IncidentApi:
    """The handlers. `caller` says who asks; raises if it can't be told."""

    def __init__(self, control: Control, caller: Callable[[web.Request], Caller]) -> None:
        self._control = control
        self._caller = caller

    def routes(self) -> list[web.RouteDef]:
        incident = "/v1/incidents/{incident}"
        return [
            web.post(f"{incident}/acknowledge", self.acknowledge),
            web.post(f"{incident}/reported", self.reported),
            web.post(f"{incident}/close", self.close),
            web.post("/v1/incidents", self.declare),
            web.get(f"{incident}/plan", self.plan),
            web.get("/v1/sites/{site}/plan", self.site_plan),
            web.post(f"{incident}/merge", self.merge),
            web.post(f"{incident}/split", self.split),
        ]

    async def acknowledge(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await read_body(request, bodies.AcknowledgeBody)
        incident = request.match_info["incident"]
        return answer(
            "Done", await self._control.acknowledge_incident(incident, comment=body.comment, caller=caller)
        )

    async def reported(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await read_body(request, bodies.ReportedBody)
        incident = request.match_info["incident"]
        return answer(
            "Done",
            await self._control.incident_reported(incident, to=body.to, comment=body.comment, caller=caller),
        )

    async def close(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await read_body(request, bodies.CloseBody)
        incident = request.match_info["incident"]
        return answer("Done", await self._control.close_incident(incident, reason=body.reason, caller=caller))

    async def declare(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await read_body(request, bodies.DeclareBody)
        declared = await self._control.declare_disaster(
            tier=body.tier,
            scope=body.scope,
            reason=body.reason,
            ago_s=body.since,
            dry_run=body.dry_run,
            caller=caller,
        )
        return answer("Declaration", declared)

    async def site_plan(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        direction = request.query.get("direction", "leave")
        if direction not in ("leave", "return"):
            raise UsageError(f"no direction {direction!r}", hint="`leave` or `return`")
        site = request.match_info["site"]
        plan = self._control.site_plan(site, back=direction == "return", caller=caller)
        return answer("SitePlan", plan)

    async def plan(self, request: web.Request) -> web.Response:
        return answer("SitePlan", self._control.incident_plan(request.match_info["incident"]))

    async def merge(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await read_body(request, bodies.MergeBody)
        incident = request.match_info["incident"]
        return answer(
            "Done",
            await self._control.merge_incidents(incident, part=body.part, reason=body.reason, caller=caller),
        )

    async def split(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await read_body(request, bodies.SplitBody)
        incident = request.match_info["incident"]
        return answer(
            "Done",
            await self._control.split_incident(
                incident, service=body.service, reason=body.reason, caller=caller
            ),
        )
