"""Engines whose services have no primary that could be moved: pools, generic services, and those for which no
runbook is shipped yet. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from controller.remedies.remedy import Known, Remedy
from controller.verdict import UNPROVEN, RpoVerdict
from controller.views import ServiceView
from model.decision import NO_RUNBOOKS
from model.events import Event
from model.quorum import Choice, MemberPosition, Proof


def _nobody(_view: ServiceView, _returning: Collection[str]) -> Sequence[MemberPosition]:
    return ()


def _proof(view: ServiceView, _members: Sequence[MemberPosition]) -> Proof:
    return view.engine.proof or Proof(False, NO_RUNBOOKS, 0, (), None)


def _no_choice(_members: Sequence[MemberPosition], wanted: str | None = None) -> Choice:
    """Whoever is wanted: nobody can be promoted."""
    del wanted
    return Choice(None, None, NO_RUNBOOKS)


def _no_variables(_known: Known) -> Mapping[str, Any]:
    return {}


def _not_judged(_events: Sequence[Event], _incident: str | None, _execution: str) -> RpoVerdict:
    return RpoVerdict(UNPROVEN, None, "nothing is known of the data that it keeps", "none", {}, ())


UNMOVED: Final = Remedy(
    positions=_nobody, prove=_proof, variables=_no_variables, verdict=_not_judged, choose=_no_choice
)
