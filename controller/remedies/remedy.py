"""The row of the table: what an engine contributes so that its services can be moved and mended. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from config.schema import Service
from controller.verdict import RpoVerdict
from controller.views import ServiceView
from model.diagnosis import Diagnosis
from model.events import Event
from model.quorum import Choice, MemberPosition, Proof, choose
from runbooks.schema import Kind

if TYPE_CHECKING:
    from controller.supervisor.knowledge import Knowledge

# Kinds of runbook that bring a member back, or take it out of use, and leave the primary where it is.
MENDS: Final = frozenset(k.value for k in (Kind.REJOIN, Kind.DRAIN, Kind.RESTORE, Kind.ENDPOINT))
# Those that leave it to whoever has it who is primary: a failover does not wait for them.
KEEPS_ROLES: Final = MENDS | {Kind.OTHER.value}


@dataclass(frozen=True, slots=True)
class Known:
    """What the variables of a run are made of: the service as it is known at the moment of the order.
    primary: as journaled. members: as `positions` made them."""

    service: Service
    primary: str | None
    members: Sequence[MemberPosition]
    knowledge: Knowledge


@dataclass(frozen=True, slots=True)
class Wayward:
    """A member that is not where it belongs, and the kind of runbook that helps. patient: it may find its way
    by itself, and is given time to."""

    member: str
    kind: str = Kind.REJOIN.value
    patient: bool = False


class Chooser(Protocol):
    """`wanted`: that member or none."""

    def __call__(self, members: Sequence[MemberPosition], /, wanted: str | None = None) -> Choice: ...


def nothing_refused(_service: Service, _view: ServiceView, _impostors: Collection[str]) -> list[str]:
    return []


def nothing_lacking(_service: Service, _view: ServiceView) -> list[str]:
    return []


def nobody_wayward(_view: ServiceView, _diagnosis: Diagnosis, _retired: Collection[str]) -> Sequence[Wayward]:
    return ()


def by_itself(_service: Service) -> bool:
    return True


def through_node(_service: Service, _view: ServiceView, node_access: bool) -> bool:
    return node_access


def until_now(_view: ServiceView, now_s: float) -> float:
    return now_s


@dataclass(frozen=True, slots=True)
class Remedy:
    """What can be done for services of one engine.

    positions: from the last readings, every member but the primary, as the proof and the choice see it: one
    that does not count has no position and says why, one that counts may still be no candidate. Of members
    that lost the role a short while ago (second argument) others come first. Its `Position.lsn` grows with
    what a member has, and is compared only within one `system_identifier` and `timeline`: an engine that has
    several logs (GTID domains) orders them in a `choose` of its own.
    prove: is every acknowledged write on somebody who is left? choose: who takes over.
    variables: what the runbooks of the engine are told, beside what all are told (`Order.vars`); each takes
    what it declares.
    verdict: of an execution that moved the primary, from the journal: what was lost. `UNPROVEN` with its
    reason wherever nothing proves that it was nothing.
    fenceable: can the old primary be stopped from acknowledging what its successor lacks? The last argument:
    there is access to its node.
    acknowledged_until: the moment after which the primary has surely acknowledged nothing, for the age of
    what the candidate has; now, unless it is known to have ended before.
    refusals: why mode `act` is refused for the service as it is configured and seen. lacking: what is missing
    to the redundancy that it should have, beside members that do not follow.
    wayward: who has to be brought back, in the order of urgency; the third argument are the retired members,
    which lost the role and have not been brought back. mends_by_itself: in mode `act`.
    """

    positions: Callable[[ServiceView, Collection[str]], Sequence[MemberPosition]]
    prove: Callable[[ServiceView, Sequence[MemberPosition]], Proof]
    variables: Callable[[Known], Mapping[str, Any]]
    verdict: Callable[[Sequence[Event], str | None, str], RpoVerdict]
    choose: Chooser = choose
    fenceable: Callable[[Service, ServiceView, bool], bool] = through_node
    acknowledged_until: Callable[[ServiceView, float], float] = until_now
    refusals: Callable[[Service, ServiceView, Collection[str]], list[str]] = nothing_refused
    lacking: Callable[[Service, ServiceView], list[str]] = nothing_lacking
    wayward: Callable[[ServiceView, Diagnosis, Collection[str]], Sequence[Wayward]] = nobody_wayward
    mends_by_itself: Callable[[Service], bool] = by_itself
