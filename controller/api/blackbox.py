"""`/probe?target=&module=`: one check of a target that Prometheus names, as blackbox_exporter makes them.

Off unless `daemon.probe_endpoint` allows targets: whoever reaches the port makes this host connect to them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from aiohttp import web
from pydantic import ValidationError

from config.modules import ProbeModule
from config.schema import Estate
from controller.blackbox_metrics import Attempt, render_attempt
from controller.probe_modules import BY_NAME, Target, is_allowed, module_of, parse_target
from controller.probe_once import run_once
from controller.probe_shelf import ProbeShelf
from model.errors import UsageError
from model.observation import Observation
from model.ports import Clock, Secrets
from probes.base import ProbePorts
from probes.os_errors import reading_of_os_error
from probes.texts import one_line

MOST_AT_ONCE: Final = 50
MOST_STEPS: Final = 500
TIMEOUT_HEADER: Final = "X-Prometheus-Scrape-Timeout-Seconds"
# The answer must be there before Prometheus gives up: blackbox_exporter leaves it the same.
_OFFSET_S: Final = 0.5
_METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class ProbeEndpoint:
    """The route. `aclose` at the end."""

    def __init__(self, estate: Callable[[], Estate], clock: Clock, secrets: Secrets) -> None:
        self._estate = estate
        self._clock = clock
        self._shelf = ProbeShelf(clock, ProbePorts(clock, secrets))
        self._running = 0

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/probe", self.probe)]

    async def aclose(self) -> None:
        await self._shelf.aclose()

    async def probe(self, request: web.Request) -> web.Response:
        estate = self._estate()
        patterns = estate.daemon.probe_endpoint
        if not patterns:
            return _text(404, "off: daemon.probe_endpoint of the estate allows no targets")
        try:
            module = module_of(estate.probe_modules, request.query.get("module", "http_2xx"))
            target = parse_target(module.type, request.query.get("target", ""))
            timeout_s = timeout_of(module, request.headers.get(TIMEOUT_HEADER))
        except UsageError as error:
            return _text(400, f"{error.what}" + (f"; {error.hint}" if error.hint else ""))
        if not is_allowed(target.host, patterns):
            return _text(403, "daemon.probe_endpoint of the estate does not allow this target")
        if self._running >= MOST_AT_ONCE:
            return _text(
                503, f"{MOST_AT_ONCE} probes are running: scrape less often, or fewer targets at once"
            )
        self._running += 1
        try:
            return await self._answer(module, target, timeout_s, debug=request.query.get("debug") == "true")
        except (UsageError, ValidationError) as error:
            return _text(400, f"module {module.name}: {_why(error)}")
        finally:
            self._running -= 1

    async def _answer(
        self, module: ProbeModule, target: Target, timeout_s: float, *, debug: bool
    ) -> web.Response:
        steps: list[str] = []
        began_s = self._clock.monotonic_s()

        def heard(text: str) -> None:
            if len(steps) < MOST_STEPS:
                at_ms = (self._clock.monotonic_s() - began_s) * 1000
                steps.append(f"{at_ms:9.3f} ms  {one_line(text, 1000)}")

        attempt = await self._attempt(module, target, timeout_s, heard if debug else None)
        metrics = render_attempt(attempt)
        if not debug:
            return web.Response(body=metrics, headers={"Content-Type": _METRICS_TYPE})
        seen = attempt.seen
        kind = f" ({seen.failure.value})" if seen.failure else ""
        steps.append(f"{seen.outcome.value}{kind}: {one_line(seen.detail, 1000)}")
        parts = [
            "Steps of the probe:", *steps, "",
            "Metrics that would have been returned:", metrics.decode(),
            f"Module {module.name}:", _settings(module),
        ]  # fmt: skip
        return web.Response(text="\n".join(parts) + "\n", headers={"X-Content-Type-Options": "nosniff"})

    async def _attempt(
        self, module: ProbeModule, target: Target, timeout_s: float, listener: Callable[[str], None] | None
    ) -> Attempt:
        """Raises UsageError, ValidationError."""
        https = bool(target.url and target.url.startswith("https:"))
        # The probe looks the name up itself where it asks the server for it, or asks both families.
        if module.type in BY_NAME or module.options.get("family") == "both":
            seen = await self._run(module, target, target.host, timeout_s, listener)
            return Attempt(module.type, seen, None, target.host, https)
        began_s = self._clock.monotonic_s()
        try:
            family = str(module.options.get("family", "any"))
            address = (await self._shelf.address(target.host, family, timeout_s)).host
        except OSError as error:
            seen = self._not_resolved(module, error)
            return Attempt(module.type, seen, self._clock.monotonic_s() - began_s, None)
        lookup_s = self._clock.monotonic_s() - began_s
        if listener is not None:
            listener(f"{target.host} has the address {address}")
        asked = Target(address, target.port)
        seen = await self._run(module, asked, target.host, max(0.05, timeout_s - lookup_s), listener)
        return Attempt(module.type, seen, lookup_s, address)

    async def _run(
        self,
        module: ProbeModule,
        target: Target,
        name: str,
        timeout_s: float,
        listener: Callable[[str], None] | None,
    ) -> Observation:
        """Raises UsageError, ValidationError."""
        probe, is_kept = await self._shelf.probe(module, target, name)
        try:
            return await run_once(probe, timeout_s, self._clock, observer="scrape", listener=listener)
        finally:
            if not is_kept:
                await probe.aclose()

    def _not_resolved(self, module: ProbeModule, error: OSError) -> Observation:
        reading, now_s = reading_of_os_error(error), self._clock.monotonic_s()
        return Observation(
            target="scrape",
            probe=module.type,
            observer="scrape",
            outcome=reading.outcome,
            started_s=now_s,
            ended_s=now_s,
            wall_s=self._clock.wall_s(),
            failure=reading.failure,
            detail=reading.detail,
        )


def timeout_of(module: ProbeModule, header: str | None) -> float:
    """Seconds. Raises UsageError."""
    if not header:
        return module.timeout
    try:
        scrape_s = float(header)
    except ValueError:
        scrape_s = math.nan
    if not 0 < scrape_s < math.inf:
        raise UsageError(f"{TIMEOUT_HEADER} is not a number of seconds")
    return min(module.timeout, max(scrape_s - _OFFSET_S, scrape_s / 2))


def _settings(module: ProbeModule) -> str:
    """As in the estate: references to secrets, never a secret."""
    return module.model_dump_json(indent=2)


def _why(error: UsageError | ValidationError) -> str:
    if isinstance(error, UsageError):
        return error.what
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _text(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=f"{text}\n")
