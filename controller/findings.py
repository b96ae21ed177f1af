"""What a rule of diagnosis finds, and how it words its evidence. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from controller.codes import CODES
from controller.views import ServiceView
from model.diagnosis import CodeInfo, Evidence, Stance
from model.health import ProbeState


@dataclass(frozen=True, slots=True)
class Finding:
    """A code for a member, with its evidence.

    states: the probes that saw the outage; they give its last good and its first bad moment. stance: where
    the situation decides otherwise than the code's row. is_outage False: it is told and opens no incident,
    whatever the row says.
    """

    code: str
    member: str | None
    confirmed: bool
    evidence: tuple[Evidence, ...]
    states: tuple[ProbeState, ...] = ()
    stance: Stance | None = None
    is_outage: bool = True

    @property
    def info(self) -> CodeInfo:
        row = CODES[self.code]
        if not self.is_outage:
            row = replace(row, level=None)
        return row if self.stance is None else replace(row, stance=self.stance)


# A rule sees the view and the present moment (monotonic seconds) and returns a finding or None.
Rule = Callable[[ServiceView, float], Finding | None]


def supports(text: str, state: ProbeState | None = None, now_s: float | None = None) -> Evidence:
    return _evidence(text, state, now_s, supports=True)


def against(text: str, state: ProbeState | None = None, now_s: float | None = None) -> Evidence:
    return _evidence(text, state, now_s, supports=False)


def _evidence(text: str, state: ProbeState | None, now_s: float | None, *, supports: bool) -> Evidence:
    last = state.last if state else None
    age_ms = None if last is None or now_s is None else max(0, round((now_s - last.ended_s) * 1000))
    return Evidence(text, supports=supports, probe=state.probe if state else "", age_ms=age_ms)


def last_good_s(states: Sequence[ProbeState]) -> float | None:
    """The last moment at which any of them saw it work."""
    return max((s.last_good_s for s in states if s.last_good_s is not None), default=None)


def first_bad_s(states: Sequence[ProbeState]) -> float | None:
    """The first sign of trouble after the last good moment."""
    good_s = last_good_s(states)
    bads = [s.first_bad_s for s in states if s.first_bad_s is not None]
    after = [s for s in bads if good_s is None or s >= good_s]
    return min(after, default=max(bads, default=None))


def bad_for_s(state: ProbeState, now_s: float) -> float:
    """Length of the present run without success, in seconds."""
    return 0.0 if state.first_bad_s is None else max(0.0, now_s - state.first_bad_s)
