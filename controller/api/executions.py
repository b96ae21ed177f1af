"""`/v1/executions/…`: what a person does to an execution that is open."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from controller.api import bodies
from controller.api.answers import answer
from controller.api.bodies import read_body
from controller.api.control import Caller, Control
from controller.api.reading import Reading


class ExecutionApi:
    """The handlers. `caller` says who asks; raises if it can't be told."""

    def __init__(self, control: Control, reading: Reading, caller: Callable[[web.Request], Caller]) -> None:
        self._control = control
        self._reading = reading
        self._caller = caller

    def routes(self) -> list[web.RouteDef]:
        execution = "/v1/executions/{execution}"
        return [
            web.post(f"{execution}/resume", self.resume),
            web.post(f"{execution}/abort", self.abort),
            web.post(f"{execution}/pause", self.pause),
            web.post(f"{execution}/steps/{{step}}", self.say),
            web.get(f"{execution}/reconcile", self.reconcile),
        ]

    async def resume(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await read_body(request, bodies.ResumeBody)
        execution = await self._open(request)
        return answer(
            "Started",
            await self._control.resume_execution(execution, reason=body.reason, caller=caller),
        )

    async def abort(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await read_body(request, bodies.AbortBody)
        execution = await self._open(request)
        return answer(
            "Done", await self._control.abort_execution(execution, reason=body.reason, caller=caller)
        )

    async def pause(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await read_body(request, bodies.AbortBody)
        execution = await self._open(request)
        return answer(
            "Done", await self._control.pause_execution(execution, reason=body.reason, caller=caller)
        )

    async def say(self, request: web.Request) -> web.Response:
        caller = self._caller(request)
        body = await read_body(request, bodies.SayBody)
        execution = await self._open(request)
        said = await self._control.say_of_step(
            execution,
            request.match_info["step"],
            word=body.word,
            kind=body.kind,
            reason=body.reason,
            caller=caller,
        )
        return answer("Done", said)

    async def reconcile(self, request: web.Request) -> web.Response:
        execution = request.match_info["execution"]
        return answer("Reconciliation", await self._control.reconcile_execution(execution))

    async def _open(self, request: web.Request) -> str:
        """Raises UsageError for one that is closed, UnknownNameError for one that there is not."""
        execution = request.match_info["execution"]
        await self._reading.refuse_if_closed(execution)
        return execution
