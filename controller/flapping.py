"""Flapping: does what is seen of a target change too often to be believed? Pure.

The manner is that of Nagios: of the last 21 verdicts the 20 changes between them are weighed, newer ones
more, and the share is compared with two thresholds, so that the state itself does not flap. A history is one
integer, for there is one for each target: a leading 1 as a mark, then a bit for each verdict, 1 for `up`, the
newest last. What could not be found out is no verdict.
"""

from __future__ import annotations

from typing import Any, Final

from model.health import Health, ProbeState

EMPTY: Final = 1
KEPT: Final = 21
# Of the 20 changes: the newest weighs half as much again as the oldest.
_NEWEST, _OLDEST = 59, 40
_ALL: Final = sum(range(_OLDEST, _NEWEST + 1))
# It flaps from three rounds of down and up in the window. A crash is one change, a restart in place two, and
# two restarts and a crash within the window are still none: five changes, were they the newest, are 28 %.
STARTS_PERCENT: Final = 30
# It has ended when three changes at most are left, or four old ones.
ENDS_PERCENT: Final = 20


def sample(
    state: ProbeState, health: Health, at_s: float, spacing_s: float = 0.0, forget_s: float = float("inf")
) -> dict[str, Any]:
    """The fields of `state` that change when it is found `health` at `at_s`; for `dataclasses.replace`.

    spacing_s: what falls sooner after the last verdict is not counted, else a burst of attempts would make a
    history of a moment. forget_s: after a longer pause the history begins anew.
    """
    pause_s = at_s - state.sampled_s if state.sampled_s is not None else float("inf")
    if health is Health.UNKNOWN or pause_s < spacing_s:
        return {}
    known_before = state.verdicts if pause_s <= forget_s else EMPTY
    verdicts = remember(known_before, up=health is Health.UP)
    flapped = state.flapping and known_before != EMPTY
    return {"verdicts": verdicts, "sampled_s": at_s, "flapping": flaps(verdicts, flapped=flapped)}


def remember(history: int, *, up: bool) -> int:
    """The history with one more verdict; the oldest is forgotten."""
    longer = (history << 1) | up
    if longer >> (KEPT + 1):
        longer = (longer & ((1 << KEPT) - 1)) | (1 << KEPT)
    return longer


def known(history: int) -> int:
    """How many verdicts it holds."""
    return history.bit_length() - 1


def changes(history: int) -> int:
    """How many times it went from one to the other."""
    return _changed(history).bit_count()


def weight_percent(history: int) -> int:
    """The weighed share of changes, 0 to 100. A history that is not full yet counts as if nothing had changed
    before it."""
    changed, weight = _changed(history), 0
    while changed:
        newest = changed & -changed
        weight += _NEWEST + 1 - newest.bit_length()
        changed ^= newest
    return 100 * weight // _ALL


def flaps(history: int, *, flapped: bool) -> bool:
    """Does it flap now? `flapped`: it did before this verdict."""
    return weight_percent(history) >= (ENDS_PERCENT if flapped else STARTS_PERCENT)


def described(state: ProbeState) -> str | None:
    """For a person, if it flaps."""
    if not state.flapping:
        return None
    seen = f"{changes(state.verdicts)} changes in its last {known(state.verdicts)} verdicts"
    weight = weight_percent(state.verdicts)
    return f"{state.target} flaps: {seen}, of weight {weight} %; it ends below {ENDS_PERCENT} %"


def _changed(history: int) -> int:
    """A bit for each change, the newest lowest."""
    pairs = max(known(history) - 1, 0)
    return (history ^ (history >> 1)) & ((1 << pairs) - 1)
