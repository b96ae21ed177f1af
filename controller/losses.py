"""What a service would survive now, beside what it is built to survive: ready, partly or not (P19). Pure.

Tried out on the last readings: the members that a loss takes are unreadable, and proof and choice are made of
the others, by the same functions as in the hour of need. What it is built for is the same with all members
sound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from controller.remedies.table import REMEDIES
from controller.views import ServiceView
from model.lsn import Position
from model.quorum import Choice, MemberPosition, Proof


class Readiness(StrEnum):
    READY = "ready"
    PARTIAL = "partial"
    NOT_READY = "not-ready"


@dataclass(frozen=True, slots=True)
class Loss:
    """What becomes of the service when `lost` (members, the primary among them) are lost at once.

    what: as people call it. candidate: who takes over; None: nobody can, and `why` says why not. asks: a
    person is asked first. built_for: with all its members sound the service survives it.
    """

    what: str
    lost: tuple[str, ...]
    candidate: str | None
    why: str
    asks: bool
    built_for: bool


def losses(view: ServiceView, members: Sequence[MemberPosition]) -> tuple[Loss, ...]:
    """The primary alone, with each one of the others, and with all of its site; without a primary, or without
    a runbook that could move it: none.
    members: as made from the same view by the engine's remedy."""
    return tuple(_tried(view, members, what, lost) for what, lost in _cases(view))


def verdict(found: Sequence[Loss]) -> tuple[Readiness, str]:
    """ready: it survives all that it is built for, and that is something."""
    missing = [loss for loss in found if loss.candidate is None and loss.built_for]
    if not found or found[0].candidate is None:
        why = found[0].why if found else "no primary is known"
        return Readiness.NOT_READY, f"would not survive the primary: {why}"
    if missing:
        what = "; nor ".join(f"{loss.what}: {loss.why}" for loss in missing)
        return Readiness.PARTIAL, f"survives the loss of {found[0].what}, but not of {what}"
    survived = ", ".join(loss.what for loss in found if loss.candidate is not None)
    return Readiness.READY, f"survives the loss of {survived}"


def _cases(view: ServiceView) -> Iterator[tuple[str, tuple[str, ...]]]:
    primary = view.member(view.primary)
    if primary is None or not view.engine.moves:
        return
    yield primary.name, (primary.name,)
    for other in view.standbys:
        yield f"{primary.name} and {other.name}", (primary.name, other.name)
    there = tuple(m.name for m in view.members if m.site == primary.site)
    if len(there) > 2:  # else it is one of those above
        yield f"site {primary.site}", there


def _tried(view: ServiceView, members: Sequence[MemberPosition], what: str, lost: tuple[str, ...]) -> Loss:
    proof, choice = _without(view, members, lost)
    why = _why_not(view, proof, choice)
    ideal_proof, ideal_choice = _without(view, _all_sound(view, members), lost)
    candidate = choice.candidate if why is None else None
    taking_over = view.member(candidate)
    return Loss(
        what,
        lost,
        candidate,
        why or f"{candidate} takes over",
        asks=taking_over is not None and taking_over.at_dr,
        built_for=_why_not(view, ideal_proof, ideal_choice) is None,
    )


def _without(
    view: ServiceView, members: Sequence[MemberPosition], lost: tuple[str, ...]
) -> tuple[Proof, Choice]:
    left = [replace(m, position=None, why_not="lost") if m.member in lost else m for m in members]
    remedy = REMEDIES[view.engine.name]
    return remedy.prove(view, left), remedy.choose(left)


def _why_not(view: ServiceView, proof: Proof, choice: Choice) -> str | None:
    """Where a loss of data is allowed it is the fence and the canary that decide, in the hour of need."""
    if not proof.complete and view.rpo_s == 0:
        return proof.reason
    return None if choice.candidate is not None else choice.reason


def _all_sound(view: ServiceView, members: Sequence[MemberPosition]) -> list[MemberPosition]:
    """As declared: whoever the estate excludes stays so."""
    excluded = {m.name for m in view.members if m.excluded}
    same = Position(view.system_identifier or "", 1, 0)
    return [
        replace(m, position=same, why_not="", not_candidate=m.not_candidate if m.member in excluded else None)
        for m in members
    ]
