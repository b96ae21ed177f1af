"""The rules with their histories: a scene in, signs out. Mutable on purpose, and no clock of its own."""

from __future__ import annotations

from collections.abc import Iterator

from config.schema import WarningThresholds
from controller.early_warnings import fact_rules, service_rules
from controller.early_warnings.filling import FreeHistory
from controller.early_warnings.lag import CanaryTimes
from controller.early_warnings.latency import LatencyHistory
from controller.early_warnings.scene import Scene, ServiceScene, Watched
from controller.early_warnings.words import Sign
from controller.views import CANARY
from model.observation import Outcome


class Watcher:
    """Keeps a bounded history for each file system, probe and service of the scene; what is gone from it is
    forgotten."""

    def __init__(self) -> None:
        self._free: dict[tuple[str, str], FreeHistory] = {}
        self._latency: dict[tuple[str, str, str], LatencyHistory] = {}
        self._canaries: dict[str, CanaryTimes] = {}
        self._seen_s: dict[tuple[str, str, str], float] = {}

    def signs(self, scene: Scene, limits: WarningThresholds) -> Iterator[Sign | None]:
        """Every sign of one look, in a fixed order; None after each probe and service, where whoever shares
        a loop may let others go on."""
        there: set[tuple[str, str, str]] = set()
        for watched in scene.watched:
            there.add(_key(watched))
            yield from self._of_probe(watched, limits, scene.wall_s)
            yield None
        services = list(scene.services)
        for service in services:
            yield from self._of_service(service, limits, scene.now_s)
            yield None
        self._forget(there, {service.name for service in services})

    def _of_probe(self, watched: Watched, limits: WarningThresholds, wall_s: float) -> Iterator[Sign]:
        key, last = _key(watched), watched.state.last
        if last is None or last.ended_s == self._seen_s.get(key):
            return  # the same reading says the same
        self._seen_s[key] = last.ended_s
        if watched.facts:
            yield from fact_rules.disks(watched, limits, self._free_history)
            yield from fact_rules.certificate(watched, limits, wall_s)
            yield from fact_rules.clock(watched, limits)
            yield from fact_rules.backup(watched, limits)
        if last.outcome is Outcome.SUCCEEDED and watched.state.probe != CANARY:
            history = self._latency.get(key)
            if history is None:
                history = self._latency[key] = LatencyHistory()
            history.add(last.ended_s, last.latency_s)
            yield from service_rules.slow(watched, history, limits)

    def _of_service(self, service: ServiceScene, limits: WarningThresholds, now_s: float) -> Iterator[Sign]:
        times = self._canaries.get(service.name)
        if times is None:
            times = self._canaries[service.name] = CanaryTimes(service.rpo_s)
        if service.acked is not None:
            times.add(*service.acked)
        yield from service_rules.lagging(service, times, limits)
        yield from service_rules.redundancy(service, now_s)
        yield from service_rules.canary(service, limits)

    def _free_history(self, about: str, part: str) -> FreeHistory:
        history = self._free.get((about, part))
        if history is None:
            history = self._free[about, part] = FreeHistory()
        return history

    def _forget(self, there: set[tuple[str, str, str]], services: set[str]) -> None:
        for key in [k for k in self._seen_s if k not in there]:
            del self._seen_s[key]
            self._latency.pop(key, None)
        abouts = {about for about, _name, _probe in there}
        for free in [k for k in self._free if k[0] not in abouts]:
            del self._free[free]
        for name in [n for n in self._canaries if n not in services]:
            del self._canaries[name]


def _key(watched: Watched) -> tuple[str, str, str]:
    return watched.about, watched.name, watched.state.probe
