"""A probe that a person asks for: made anew, run once, with every step that it saw."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from config.schema import Estate
from controller.declared import PREFIX, DeclaredProbes
from controller.probe_once import run_once
from controller.supervisor.probing import ProbeFactory, Watch
from model.errors import UsageError
from model.health import PROFILES
from model.ports import Clock, NodeAccess

Json = dict[str, Any]
# Of those that a person runs: a probe that is watched for a failover is given no longer by itself.
TIMEOUT_S = PROFILES["balanced"].timeout_s
MOST_STEPS = 500


class ProbeRuns:
    """Knows every probe of one estate by name."""

    def __init__(
        self,
        estate: Estate,
        clock: Clock,
        factory: ProbeFactory,
        declared: DeclaredProbes,
        nodes: dict[str, NodeAccess],
    ) -> None:
        self._estate = estate
        self._clock = clock
        self._factory = factory
        self._declared = declared
        self._nodes = nodes

    def names(self) -> list[str]:
        """What can be run: declared probes by their name, the others by what they watch."""
        return [*self._estate.probes, *(watch.target for watch in self._others())]

    async def run(self, name: str, type_: str | None = None) -> Json:
        """{name, attempts: [{type, outcome, failure, detail, latency_us, facts, steps: [{at_us, text}]}]}.

        Raises UsageError for a name that there is not. The canary is not among them: it writes.
        """
        watches = [w for w in self._watches(name) if type_ in (None, w.type)]
        if not watches:
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(self.names()) or 'none'}"
            raise UsageError(f"no probe {name!r}" + (f" of type {type_!r}" if type_ else ""), hint=hint)
        return {"name": name, "attempts": [await self._attempt(w, self._timeout_s(name)) for w in watches]}

    async def _attempt(self, watch: Watch, timeout_s: float) -> Json:
        steps: list[Json] = []
        began_s = self._clock.monotonic_s()

        def heard(text: str) -> None:
            if len(steps) < MOST_STEPS:
                steps.append({"at_us": int((self._clock.monotonic_s() - began_s) * 1e6), "text": text})

        try:
            seen = await run_once(watch.probe, timeout_s, self._clock, observer="person", listener=heard)
        finally:
            await watch.probe.aclose()
        return {
            "type": watch.type,
            "target": watch.target,
            "outcome": seen.outcome.value,
            "failure": seen.failure.value if seen.failure else None,
            "detail": seen.detail,
            "latency_us": int(seen.latency_s * 1e6),
            "timeout_us": int(timeout_s * 1e6),
            "facts": dict(seen.facts),
            "steps": steps,
        }

    def _watches(self, name: str) -> list[Watch]:
        declared = name.removeprefix(PREFIX)
        if declared in self._estate.probes:
            return [self._declared.watch(declared)]
        return [watch for watch in self._others() if watch.target == name]

    def _others(self) -> Iterator[Watch]:
        for service in self._estate.services.values():
            yield from self._factory.of_service(service, self._nodes)
        yield from self._factory.of_nodes()
        yield from self._factory.of_references()

    def _timeout_s(self, name: str) -> float:
        entry = self._estate.probes.get(name.removeprefix(PREFIX))
        return TIMEOUT_S if entry is None else entry.timeout
