"""Tells people what one service needs them for: each thing once, not with each turn that finds it again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable

from controller.approval_rules import ApprovalState
from controller.early_warnings.words import CODES as EARLY_WARNINGS
from controller.supervisor.judgement import Judged
from controller.supervisor.pages import Told, held, outage, warning
from model.diagnosis import Diagnosis, Stance

Page = Callable[[Told], object]

# A warning that was away for less than this has not been away: what comes and goes is one warning.
QUIET_S = 900.0
# So long a service may be without a primary that can be told before somebody is: longer than any start takes.
NO_PRIMARY_S = 30.0


class Telling:
    """One per service. Times are monotonic seconds."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._incident: str | None = None
        self._held: set[Hashable] = set()
        self._seen_s: dict[Hashable, float] = {}
        self._nobody_since_s: float | None = None

    def tell(self, told: Told) -> None:
        self._page(told)

    def seldom(self, key: Hashable, now_s: float, told: Told) -> None:
        """When it is new, or was away for QUIET_S."""
        seen_s = self._seen_s.get(key)
        self._seen_s[key] = now_s
        if seen_s is None or now_s - seen_s >= QUIET_S:
            self._page(told)

    def held(self, judged: Judged, incident: str | None, approval: ApprovalState | None) -> None:
        """The decision is not to act. Once in an incident for each diagnosis and gate, and again for each new
        request for approval: the one before has expired."""
        if incident != self._incident:
            self._incident = incident
            self._held.clear()
        decision = judged.decision
        asked = None if approval is None else approval.id
        key = (judged.diagnosis.code, decision.verb, decision.would, decision.stopped_by, asked)
        if key not in self._held:
            self._held.add(key)
            self._page(held(judged, approval))

    def without_journal(self, judged: Judged, why: str) -> None:
        """An outage that this controller can't act on, and nobody else leads (S4)."""
        diagnosis = judged.diagnosis
        if diagnosis.info.level is not None and diagnosis.confirmed:
            key = ("without journal", diagnosis.code, diagnosis.member)
            self.seldom(key, judged.at_s, outage(diagnosis, why))

    def warn(
        self,
        diagnosis: Diagnosis,
        now_s: float,
        expected: Collection[str] = (),
        own_warnings: Collection[str] = (),
    ) -> None:
        """Nothing to decide, but somebody should know. expected: members that are known to be away. Early
        warnings are told elsewhere, with their hysteresis, but for those of `own_warnings`."""
        if diagnosis.code in EARLY_WARNINGS and diagnosis.code not in own_warnings:
            return
        tells = diagnosis.info.stance in (Stance.REFUSE, Stance.MEND) and diagnosis.confirmed
        if not tells or diagnosis.code == "PrimaryRestarting" or diagnosis.member in expected:
            return
        self.seldom(("warned", diagnosis.code, diagnosis.member), now_s, warning(diagnosis))

    def no_primary(self, judged: Judged) -> None:
        """Nobody is primary as far as can be told, and that lasts."""
        if self._nobody_since_s is None:
            self._nobody_since_s = judged.at_s
        elif judged.at_s - self._nobody_since_s >= NO_PRIMARY_S:
            said = "; ".join(
                f"{m.name}: {m.claimed_role or 'neither primary nor standby'}"
                if m.fresh
                else f"{m.name}: {m.own.why}"
                for m in judged.view.members
            )
            told = Told("page", f"no primary can be told, so nothing is watched: {said}")
            self.seldom("no primary", judged.at_s, told)
