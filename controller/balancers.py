"""What the load balancers of endpoints say that they do: a probe on each control socket of the estate.

They tell whether clients are led where they must be. That is no reason for a failover, and no outage by
itself: of a pair one may be out, so only all of them together count as what clients see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from config.endpoints import HaproxyEndpoint, endpoint_of
from config.probes import ProbeEntry
from config.schema import Estate
from controller.detect import age
from controller.detect_count import fold_count
from controller.supervisor.probing import Watch
from model.health import Health, ProbeState
from model.observation import Observation
from model.ports import Clock, Secrets
from probes.base import ProbePorts
from probes.haproxy import HaproxyOptions, HaproxyProbe

# A restarted HAProxy leads nobody anywhere until it is told: that is looked for as often as for a primary.
INTERVAL_S: Final = 0.5
_TIMEOUT_S: Final = 1.0


class BalancerProbes:
    """Mutable on purpose: touched from the loop only."""

    def __init__(self, estate: Estate, clock: Clock, secrets: Secrets) -> None:
        self._clock = clock
        self._secrets = secrets
        self._entries: dict[str, ProbeEntry] = {}
        self._of: dict[str, list[str]] = {}
        self._states: dict[str, ProbeState] = {}
        for service in estate.services.values():
            endpoint = endpoint_of(service)
            if isinstance(endpoint, HaproxyEndpoint):
                for socket in endpoint.sockets:
                    self._declare(service.name, endpoint, socket)

    def watches(self) -> Iterator[tuple[Watch, ProbeEntry]]:
        for target, entry in self._entries.items():
            options = HaproxyOptions.model_validate(entry.options)
            probe = HaproxyProbe(target, options, ProbePorts(self._clock, self._secrets))
            yield Watch(target, entry.type, probe, entry.interval), entry

    def observe(self, seen: Observation) -> str | None:
        """The service that it tells about; None: it is not one of these."""
        entry = self._entries.get(seen.target)
        if entry is None:
            return None
        state = self._states.get(seen.target, ProbeState(seen.target, seen.probe))
        self._states[seen.target] = fold_count(state, seen, entry.fall, entry.rise)
        return entry.service

    def of(self, service: str) -> Mapping[str, ProbeState]:
        """Control socket → what is known of it now."""
        now_s = self._clock.monotonic_s()
        found = [(self._entries[t], self._states.get(t)) for t in self._of.get(service, ())]
        return {e.options["socket"]: age(s, now_s, e.profile) for e, s in found if s is not None}

    def all_down(self, service: str) -> Mapping[str, ProbeState]:
        """The same, if clients can't get anywhere: every one of them leads nowhere, or is gone."""
        found = self.of(service)
        known = len(found) == len(self._of.get(service, ()))
        return found if known and all(s.health is Health.DOWN for s in found.values()) else {}

    def _declare(self, service: str, endpoint: HaproxyEndpoint, socket: str) -> None:
        # No name of the estate has a colon.
        target = f"probe/endpoint:{service}:{len(self._of.setdefault(service, [])) + 1}"
        self._of[service].append(target)
        self._entries[target] = ProbeEntry(
            name="", type="haproxy", service=service, interval=INTERVAL_S, timeout=_TIMEOUT_S, fall=2, rise=1,
            options={"socket": socket, "backend": endpoint.backend},
        )  # fmt: skip
