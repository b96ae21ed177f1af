"""A pool behind a load balancer: who is down is taken out of use, and put back when it works. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from controller.remedies.remedy import Known, Remedy, Wayward
from controller.remedies.unmoved import UNMOVED
from controller.views import ServiceView
from model.diagnosis import Diagnosis
from model.health import Health
from runbooks.schema import Kind


def _wayward(view: ServiceView, _diagnosis: Diagnosis, retired: Collection[str]) -> Sequence[Wayward]:
    """retired: members that were taken out of use because they were down."""
    return tuple(_found(view, retired))


def _found(view: ServiceView, retired: Collection[str]) -> Iterator[Wayward]:
    """The last one that clients could still reach is left to them: nobody would be better off without it."""
    works = [m.name for m in view.members if m.fresh]
    for member in view.members:
        if member.own.health is Health.DOWN and works:
            yield Wayward(member.name, Kind.DRAIN.value)
        elif member.name in retired and member.fresh:
            yield Wayward(member.name, Kind.RESTORE.value)


def _variables(known: Known) -> Mapping[str, Any]:
    knowledge = known.knowledge
    states = {m: knowledge.state(m, knowledge.engine.probe) for m in known.service.members}
    return {"down": [m for m, s in states.items() if s is not None and s.health is Health.DOWN]}


POOL: Final[Remedy] = replace(UNMOVED, wayward=_wayward, variables=_variables)
