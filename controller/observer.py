"""This host as an observer: does its own network work? (S6)"""

from __future__ import annotations

from controller.detect import age, fold
from model.health import PROFILES, Health, ProbeState, Profile
from model.observation import Observation

PREFIX = "reference/"


class ObserverHealth:
    """Folds the probes of the reference targets, by the profile that they are probed with. One that answers
    is enough: the way out works."""

    def __init__(self, targets: tuple[str, ...], profile: Profile = PROFILES["balanced"]) -> None:
        self._profile = profile
        self._states = {f"{PREFIX}{target}": ProbeState(f"{PREFIX}{target}", "tcp") for target in targets}

    def observe(self, seen: Observation) -> None:
        state = self._states.get(seen.target)
        if state is not None:
            self._states[seen.target] = fold(state, seen, self._profile)

    def judge(self, now_s: float) -> tuple[bool | None, str]:
        """(sane, why). None: no reference targets are configured. A refusal is an answer too: the way there
        works. What is too old says nothing."""
        if not self._states:
            return None, "no reference targets are configured"
        aged = [age(state, now_s, self._profile) for state in self._states.values()]
        if any(s.health is Health.UP or (s.refusals > 0 and s.health is not Health.UNKNOWN) for s in aged):
            return True, "own network works"
        why = "; ".join(f"{s.target.removeprefix(PREFIX)}: {s.why}" for s in aged)
        return False, f"no reference target answers ({why})"
