"""The HTTP port, for machines: metrics, health, and the checks by which HAProxy finds the primary.

What is here answers anybody who reaches it, changes nothing and tells no secrets. The checks fail closed:
whatever is unknown, stale or broken is 503, so that a proxy never sends writes where we are not sure.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import structlog
from aiohttp import web

from model.errors import BcmError

_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_STOP_WITHIN_S: Final = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HealthReport:
    """progress_age_s: how long ago the scheduler last finished something; None: not started yet.
    stuck_after_s: from which age on it makes no progress any more."""

    state: Literal["ok", "degraded", "starting"]
    reasons: tuple[str, ...]
    progress_age_s: float | None
    stuck_after_s: float

    @property
    def stuck(self) -> bool:
        return self.progress_age_s is not None and self.progress_age_s > self.stuck_after_s


@dataclass(frozen=True, slots=True)
class Routing:
    """Where a service's traffic may go.

    primary: the member that is primary and nothing contradicts it; None while a failover is under way or two
    claim to be it. replicas: members that stream from it. ages_s: age of each member's last good reading,
    None or missing where there is none. stale_after_s: readings older than this say nothing.
    """

    primary: str | None
    replicas: tuple[str, ...]
    ages_s: Mapping[str, float | None]
    stale_after_s: float

    def refuses_primary(self, member: str | None) -> str | None:
        """Why writes may not go to `member` (None: to whoever is primary), or None if they may."""
        if self.primary is None:
            return "no primary is known"
        if member is not None and member != self.primary:
            return f"{member} is not the primary"
        return self._refuses_age(self.primary)

    def refuses_replica(self, member: str) -> str | None:
        """Why reads may not go to `member`, or None if they may."""
        return (
            self._refuses_age(member) if member in self.replicas else f"{member} is not a streaming replica"
        )

    def _refuses_age(self, member: str) -> str | None:
        age_s = self.ages_s.get(member)
        if age_s is None:
            return f"{member} has not been read"
        if not 0 <= age_s <= self.stale_after_s:
            return f"the last reading of {member} is {age_s:.1f} s old (limit {self.stale_after_s:g} s)"
        return None


class PublicServer:
    """The HTTP port's life.

    health and routing are answered from memory; routing gives None for a service that there is not.
    metrics is called on the loop and takes a snapshot; what it returns renders that snapshot, which may take
    long and runs in a worker thread, one at a time. more: routes of other files (pushes, discovery, probes);
    closing: called at the end of the port's life, for what they keep.
    """

    def __init__(
        self,
        address: str,
        *,
        health: Callable[[], HealthReport],
        routing: Callable[[str], Routing | None],
        metrics: Callable[[], Callable[[], bytes]],
        more: Iterable[web.RouteDef] = (),
        closing: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._address = address
        self._health = health
        self._routing = routing
        self._metrics = metrics
        self._closing = closing
        self._rendering = asyncio.Lock()
        app = web.Application(client_max_size=1024)
        app.add_routes([web.get("/metrics", self.metrics), web.get("/healthz", self.healthz), *more])
        for path, check in (
            ("/primary/{service}", self.primary),
            ("/primary/{service}/{member}", self.primary),
            ("/replica/{service}/{member}", self.replica),
        ):
            app.router.add_get(path, check)
            app.router.add_options(path, check)  # what `option httpchk` sends if nothing else is said
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=_STOP_WITHIN_S
        )
        self.port: int | None = None

    async def start(self) -> None:
        """`port` is then the port in use, where 0 was asked for. Raises BcmError if it can't be had."""
        host, _, port = self._address.rpartition(":")
        await self._runner.setup()
        site = web.TCPSite(self._runner, host.strip("[]") or None, int(port))
        try:
            await site.start()
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            raise BcmError(
                f"can't open the HTTP port: {getattr(error, 'strerror', None) or error}",
                where=self._address,
                hint="set daemon.http to an address of this host and a free port",
            ) from error
        addresses = self._runner.addresses
        self.port = addresses[0][1] if addresses else None

    async def stop(self) -> None:
        await self._runner.cleanup()
        if self._closing is not None:
            await self._closing()

    async def metrics(self, _request: web.Request) -> web.Response:
        async with self._rendering:
            body = await asyncio.to_thread(self._metrics())
        return web.Response(body=body, headers={"Content-Type": _METRICS_TYPE})

    async def healthz(self, _request: web.Request) -> web.Response:
        report = self._health()
        reasons = list(report.reasons)
        if report.stuck:
            reasons.insert(0, f"the scheduler has made no progress for {report.progress_age_s:.1f} s")
        state = "stuck" if report.stuck else report.state
        text = json.dumps({"status": state, "reasons": reasons}, ensure_ascii=False)
        return web.Response(text=text, status=503 if report.stuck else 200, content_type="application/json")

    async def primary(self, request: web.Request) -> web.Response:
        member = request.match_info.get("member")
        return self._check(request, lambda routing: routing.refuses_primary(member))

    async def replica(self, request: web.Request) -> web.Response:
        member = request.match_info["member"]
        return self._check(request, lambda routing: routing.refuses_replica(member))

    def _check(self, request: web.Request, refuses: Callable[[Routing], str | None]) -> web.Response:
        service = request.match_info["service"]
        try:
            routing = self._routing(service)
            why = "no such service" if routing is None else refuses(routing)
        except Exception:  # noqa: BLE001 fails closed, whatever it was
            _log.exception("a routing check failed", service=service)
            why, routing = "the check itself failed", None
        if why is not None:
            return web.Response(text=f"{why}\n", status=503)
        return web.Response(text=f"{routing.primary if routing else ''}\n")
