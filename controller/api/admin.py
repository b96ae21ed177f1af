"""The admin API on a unix socket: `/v1/…`, JSON in and out.

Reading needs no more than access to the socket. A change needs a person: who that is says the kernel (the
peer's uid), not the request. A client that goes away does not take its request back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from config.schema import Estate, Service
from controller.api import bodies
from controller.api.answers import UnknownNameError, answer, errors_as_json
from controller.api.bodies import read_body
from controller.api.control import Caller, Control, ReadEvents
from controller.api.executions import ExecutionApi
from controller.api.feed import JournalFeed
from controller.api.incidents import IncidentApi
from controller.api.inspections import InspectionApi
from controller.api.people import peer_uid, resolve_caller
from controller.api.reading import Reading
from controller.api.unix_socket import open_admin_socket, remove_admin_socket
from model.errors import BcmError, UsageError

PERSON_HEADER: Final = "BCM-Person"
_LARGEST_REQUEST: Final = 64 * 1024
# Long polls are let go at once when the daemon stops; what is left after this is cut.
_STOP_WITHIN_S: Final = 2.0


class AdminApi:
    """The handlers. `estate` gives the one in force now: it changes at a reload."""

    def __init__(self, control: Control, estate: Callable[[], Estate], reading: Reading) -> None:
        self._control = control
        self._estate = estate
        self._executions = ExecutionApi(control, reading, self._caller)
        self._incidents = IncidentApi(control, self._caller)
        self._inspections = InspectionApi(control, self._actor)

    def routes(self) -> list[web.RouteDef]:
        service = "/v1/services/{service}"
        return [
            web.get("/v1/status", self.status),
            web.get("/v1/explain/{service}", self.explain),
            web.post(f"{service}/switchover", self.switchover),
            web.post(f"{service}/drain", partial(self.mend, "drain")),
            web.post(f"{service}/restore", partial(self.mend, "restore")),
            web.post(f"{service}/failover", self.failover),
            web.post(f"{service}/pause", self.pause),
            web.post(f"{service}/resume", self.resume),
            web.post(f"{service}/acknowledge", self.acknowledge),
            web.post(f"{service}/run", self.run),
            web.post("/v1/approvals/{approval}", self.approve),
            web.post("/v1/approvals/{approval}/reject", self.reject),
            web.post("/v1/plan", self.plan),
            web.post("/v1/probes/run", self.run_probe),
            web.post("/v1/reload", self.reload),
            *self._executions.routes(),
            *self._incidents.routes(),
            *self._inspections.routes(),
        ]

    async def status(self, _request: web.Request) -> web.Response:
        return answer("Status", self._control.status())

    async def explain(self, request: web.Request) -> web.Response:
        return answer("Explanation", self._control.explain(self._service(request).name))

    async def switchover(self, request: web.Request) -> web.Response:
        service, caller = self._service(request), self._caller(request)
        body = await read_body(request, bodies.SwitchoverBody)
        self._check_member(service, body.to)
        result = await self._control.switchover(service.name, to=body.to, dry_run=body.dry_run, caller=caller)
        return answer("Plan" if body.dry_run else "Started", result)

    async def mend(self, kind: str, request: web.Request) -> web.Response:
        service, caller = self._service(request), self._caller(request)
        body = await read_body(request, bodies.MemberBody)
        self._check_member(service, body.member)
        result = await self._control.mend(
            service.name, kind=kind, member=body.member, dry_run=body.dry_run, caller=caller
        )
        return answer("Plan" if body.dry_run else "Started", result)

    async def failover(self, request: web.Request) -> web.Response:
        service, caller = self._service(request), self._caller(request)
        body = await read_body(request, bodies.FailoverBody)
        self._check_member(service, body.to)
        if body.override and not body.reason:
            raise UsageError(
                "an override needs a reason: it lands in the evidence",
                where=f"service {service.name}",
                hint='add --reason "…"',
            )
        result = await self._control.failover(
            service.name,
            to=body.to,
            override=body.override,
            reason=body.reason,
            dry_run=body.dry_run,
            caller=caller,
        )
        return answer("Plan" if body.dry_run else "Started", result)

    async def run(self, request: web.Request) -> web.Response:
        service, caller = self._service(request), self._caller(request)
        body = await read_body(request, bodies.RunBody)
        self._check_member(service, body.to)
        result = await self._control.run_runbook(
            service.name,
            body.runbook,
            to=body.to,
            given=body.vars,
            reason=body.reason,
            dry_run=body.dry_run,
            caller=caller,
        )
        return answer("Plan" if body.dry_run else "Started", result)

    async def pause(self, request: web.Request) -> web.Response:
        service, caller = self._service(request), self._caller(request)
        body = await read_body(request, bodies.PauseBody)
        return answer(
            "Done",
            await self._control.pause(service.name, for_s=body.for_, reason=body.reason, caller=caller),
        )

    async def resume(self, request: web.Request) -> web.Response:
        service, caller = self._service(request), self._caller(request)
        body = await read_body(request, bodies.ResumeBody)
        return answer("Done", await self._control.resume(service.name, reason=body.reason, caller=caller))

    async def acknowledge(self, request: web.Request) -> web.Response:
        service, caller = self._service(request), self._caller(request)
        body = await read_body(request, bodies.AcknowledgeBody)
        return answer(
            "Done", await self._control.acknowledge(service.name, comment=body.comment, caller=caller)
        )

    async def approve(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        await read_body(request, bodies.EmptyBody)
        return answer("Started", await self._control.approve(request.match_info["approval"], caller=caller))

    async def reject(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await read_body(request, bodies.RejectBody)
        approval = request.match_info["approval"]
        return answer("Done", await self._control.reject(approval, reason=body.reason, caller=caller))

    async def plan(self, request: web.Request) -> web.Response:
        body = await read_body(request, bodies.PlanBody)
        service = self._known_service(body.service)
        self._check_member(service, body.to)
        return answer("Plan", await self._control.plan(service.name, body.runbook, body.to, body.vars))

    async def run_probe(self, request: web.Request) -> web.Response:
        body = await read_body(request, bodies.RunProbeBody)
        return answer("ProbeRun", await self._control.run_probe(body.name, body.type))

    async def reload(self, request: web.Request) -> web.Response:
        self._caller(request)
        await read_body(request, bodies.EmptyBody)
        return answer("Done", await self._control.reload())

    def _caller(self, request: web.Request) -> Caller:
        connection = request.transport.get_extra_info("socket") if request.transport else None
        named = request.headers.get(PERSON_HEADER) or request.query.get("person")
        return resolve_caller(self._estate(), peer_uid(connection), named)

    def _actor(self, request: web.Request) -> str:
        """Who asks, for what anybody may ask: the person, or that it is nobody of the estate."""
        try:
            return self._caller(request).person
        except BcmError:
            return "somebody"

    def _service(self, request: web.Request) -> Service:
        return self._known_service(request.match_info["service"])

    def _known_service(self, name: str) -> Service:
        services = self._estate().services
        if name not in services:
            raise UnknownNameError(
                f"no service {name!r} in the estate",
                hint=f"services: {', '.join(sorted(services)) or 'none'}",
            )
        return services[name]

    @staticmethod
    def _check_member(service: Service, member: str | None) -> None:
        if member is not None and member not in service.members:
            raise UnknownNameError(
                f"service {service.name!r} has no member {member!r}",
                hint=f"members: {', '.join(sorted(service.members))}",
            )


class AdminServer:
    """The admin socket's life. `feed.wrote()` after an append makes those who follow an execution see it
    at once."""

    def __init__(
        self,
        control: Control,
        *,
        estate: Callable[[], Estate],
        read_events: ReadEvents,
        socket: Path,
        group: str,
    ) -> None:
        self.feed = JournalFeed(read_events)
        self._socket = socket
        self._group = group
        reading = Reading(self.feed)
        api = AdminApi(control, estate, reading)
        app = web.Application(client_max_size=_LARGEST_REQUEST, middlewares=[errors_as_json])
        app.add_routes([*api.routes(), *reading.routes()])
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=_STOP_WITHIN_S
        )
        self._inode: int | None = None

    async def start(self) -> None:
        """Raises BcmError if the socket can't be had."""
        listener = open_admin_socket(self._socket, self._group)
        self._inode = self._socket.stat().st_ino
        await self._runner.setup()
        await web.SockSite(self._runner, listener).start()

    async def stop(self) -> None:
        if self._inode is not None:
            remove_admin_socket(self._socket, self._inode)
        self.feed.close()
        await self._runner.cleanup()
