"""The states of all probes of one service, by target: what is asked in every turn is made once.

Stale is unknown (`detect.age`), so a reading of a target holds for a while and then not: until that moment
everybody gets the same mapping, and may compare it by identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType

from controller.detect import age
from model.health import Health, ProbeState, Profile

_NOTHING: Mapping[str, ProbeState] = MappingProxyType({})


@dataclass(slots=True)
class _Target:
    """aged: the states as they were found last, right until `until_s` (monotonic seconds), inclusive."""

    states: dict[str, ProbeState] = field(default_factory=dict)
    aged: Mapping[str, ProbeState] = field(default_factory=dict)
    until_s: float = -inf


class States:
    """Mutable: target → probe type → state."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._targets: dict[str, _Target] = {}

    def all(self) -> Iterator[ProbeState]:
        """As they were folded, not aged."""
        for target in self._targets.values():
            yield from target.states.values()

    def get(self, target: str, probe: str) -> ProbeState | None:
        known = self._targets.get(target)
        return None if known is None else known.states.get(probe)

    def put(self, state: ProbeState) -> None:
        known = self._targets.get(state.target)
        if known is None:
            known = self._targets[state.target] = _Target()
        known.states[state.probe] = state
        known.until_s = -inf

    def drop(self, target: str, probe: str) -> None:
        known = self._targets.get(target)
        if known is not None:
            known.states.pop(probe, None)
            known.until_s = -inf

    def aged(self, target: str, now_s: float) -> Mapping[str, ProbeState]:
        """Probe type → state, as it counts at `now_s`."""
        known = self._targets.get(target)
        if known is None:
            return _NOTHING
        if now_s > known.until_s:
            profile = self._profile
            known.aged = {probe: age(state, now_s, profile) for probe, state in known.states.items()}
            known.until_s = min((self._fresh_until_s(s, now_s) for s in known.states.values()), default=inf)
        return known.aged

    def _fresh_until_s(self, state: ProbeState, now_s: float) -> float:
        """What is stale says for how long: it is made anew each time."""
        if state.last is None or state.health is Health.UNKNOWN:
            return inf
        until_s = state.last.ended_s + self._profile.stale_s
        return until_s if now_s - state.last.ended_s <= self._profile.stale_s else -inf
