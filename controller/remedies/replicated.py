"""What engines with one primary and its followers have in common: who has to be brought back. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from controller.following import why_not_following
from controller.remedies.remedy import Wayward
from controller.views import MemberView, ServiceView
from model.diagnosis import Diagnosis
from model.observation import Failure, Outcome


def wayward(view: ServiceView, diagnosis: Diagnosis, retired: Collection[str]) -> Sequence[Wayward]:
    """Retired members and an old primary that is back at once; standbys that have lost their way patiently:
    one that lost its upstream looks for it by itself first."""
    return tuple(_found(view, diagnosis, retired))


def _found(view: ServiceView, diagnosis: Diagnosis, retired: Collection[str]) -> Iterator[Wayward]:
    back = [diagnosis.member] if diagnosis.code == "OldPrimaryReturned" else []
    for name in dict.fromkeys((*retired, *back)):
        member = view.member(name)
        if member is not None and _can_be_spoken_to(member):
            yield Wayward(member.name)
    for standby in view.standbys:
        if standby.follows and not streams(view, standby):
            yield Wayward(standby.name, patient=True)


def streams(view: ServiceView, member: MemberView) -> bool:
    return member.fresh and why_not_following(view, member) is None


def _can_be_spoken_to(member: MemberView) -> bool:
    """A server that is down is started on its node, where the engine or the estate has that; else it has to
    answer."""
    return member.engine.through_node or member.fresh or member.startable


def gone_primary(view: ServiceView) -> MemberView | None:
    """The primary, where nobody listens any more."""
    seen = view.member(view.primary)
    last = None if seen is None else seen.own.last
    if last is None or last.outcome is Outcome.SUCCEEDED or last.failure is not Failure.REFUSED:
        return None
    return seen


def acknowledged_until(view: ServiceView, now_s: float) -> float:
    """A process that is gone has acknowledged nothing since the first attempt that failed."""
    gone = gone_primary(view)
    return now_s if gone is None or gone.own.first_bad_s is None else gone.own.first_bad_s
