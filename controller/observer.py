"""This host as an observer: does its own network work, and is this process well? (S6)"""

from __future__ import annotations

from collections.abc import Iterable

from config.probes import ProbeEntry
from controller.detect import age, fold
from controller.detect_count import fold_count
from model.health import PROFILES, Health, ProbeState, Profile
from model.observation import Failure, Observation, Outcome
from probes.awareness import MOST, Awareness

PREFIX = "reference/"


class ObserverHealth:
    """Folds the probes of the reference targets, by the profile that they are probed with. One that answers
    is enough: the way out works.

    declared: declared probes; those that are marked as references count like reference targets. awareness: of
    the scheduler, which is told here which targets are references.
    """

    def __init__(
        self,
        targets: tuple[str, ...],
        profile: Profile = PROFILES["balanced"],
        *,
        declared: Iterable[ProbeEntry] = (),
        awareness: Awareness | None = None,
    ) -> None:
        self._profile = profile
        self._states = {f"{PREFIX}{target}": ProbeState(f"{PREFIX}{target}", "tcp") for target in targets}
        self._declared = {entry.target: entry for entry in declared if entry.reference}
        self._states.update({t: ProbeState(t, entry.type) for t, entry in self._declared.items()})
        self._awareness = awareness if awareness is not None else Awareness()
        # Start of the last attempt at a reference target that was answered, monotonic seconds.
        self.heard_s: float | None = None
        self._awareness.references = frozenset(self._states)

    @property
    def score(self) -> int:
        """Of this process's own health: 0 is good, `probes.awareness.MOST` the worst."""
        return self._awareness.score

    def observe(self, seen: Observation) -> None:
        """Of whatever target: what is no reference is passed over."""
        state = self._states.get(seen.target)
        if state is None:
            return
        if seen.outcome is Outcome.SUCCEEDED or seen.failure is Failure.REFUSED:
            self.heard_s = seen.started_s
        entry = self._declared.get(seen.target)
        self._states[seen.target] = (
            fold(state, seen, self._profile)
            if entry is None
            else fold_count(state, seen, entry.fall, entry.rise)
        )

    def states(self) -> list[ProbeState]:
        """Of every reference, as last seen."""
        return list(self._states.values())

    def recall(self, state: ProbeState) -> None:
        """What is known of one reference is this, whatever was folded before."""
        self._states[state.target] = state

    def judge(self, now_s: float) -> tuple[bool | None, str]:
        """(sane, why). None: no reference targets are configured, and this process is well. A refusal is an
        answer too: the way there works. What is too old says nothing."""
        if not self._awareness.fit:
            return False, f"this process is in trouble itself, {self.score} of {MOST}: {self._awareness.why}"
        if not self._states:
            return None, "no reference targets are configured"
        aged = [self._aged(state, now_s) for state in self._states.values()]
        if any(_way_works(state) for state in aged):
            return True, "own network works"
        why = "; ".join(f"{s.target.removeprefix(PREFIX)}: {s.why}" for s in aged)
        return False, f"no reference target answers ({why})"

    def _aged(self, state: ProbeState, now_s: float) -> ProbeState:
        entry = self._declared.get(state.target)
        return age(state, now_s, entry.profile if entry is not None else self._profile)


def _way_works(state: ProbeState) -> bool:
    refused = state.last is not None and state.last.failure is Failure.REFUSED
    return state.health is Health.UP or (refused and state.health is not Health.UNKNOWN)
