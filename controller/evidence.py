"""The RPO verdict of PostgreSQL: what was lost, proven or said not to be.

Three verdicts and never a bare 0: `ZERO_PROVEN` only if the quorum arithmetic is complete (POSTGRESQL P1 to
P4), or the old primary's clean stop is known to have reached the promoted member, *and* the newest
acknowledged canary is there (P15) *and* nobody overrode the fence or the proof; `LOSS` with at least how
many; otherwise `UNPROVEN` with every reason. What even a proof does not cover is part of it (P2, P8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from controller.verdict import LOSS, UNPROVEN, ZERO_PROVEN, RpoVerdict
from model.lsn import Position, format_lsn
from model.quorum import MemberPosition, SyncSetting, parse_synchronous_standby_names, prove, without

# Rules whose override takes the ground from under the proof: the fence (S2) and the proof itself (S3).
_PROOF_RULES: Final = frozenset({"S2", "S3"})

_OWN_SETTING: Final = (
    "sessions that set synchronous_commit below `on` for themselves: their acknowledgements wait for no "
    "standby, and a session's own setting can't be seen"
)
_CANCELLED_WAIT: Final = (
    "waits for synchronous replication that a client, an administrator or a query time-out cancelled: the "
    "server reports success for them, and such a success is no acknowledgement"
)


@dataclass(frozen=True, slots=True)
class ProvenPosition:
    """A readable member's stable position after it had dropped the old primary (P3). `lsn` in bytes."""

    timeline: int
    lsn: int
    system_identifier: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "timeline": self.timeline,
            "lsn": format_lsn(self.lsn),
            "system_identifier": self.system_identifier,
        }


@dataclass(frozen=True, slots=True)
class RpoInputs:
    """All that the verdict rests on. None is "not known", which never proves anything.

    settings: the `synchronous_standby_names` of which each must be satisfied (P2); `k` and `n` as the proof
    used them (n without the primary's own name). primary_name: the old primary's application_name, which is
    no standby of itself. application_names: of the members; a member that is not there is called like itself.
    promoted_lsn: how far the promoted member had the *old* timeline when it was promoted, in bytes; never its
    write position after the promotion, which grows by itself. final_lsn: where the old primary's last record
    begins, in bytes, where it was stopped cleanly. setting_age_ms: age of the last reading of the setting
    when the proof was made. weak: reasons why an acknowledgement may not be on a standby's disk
    (`remote_write`, `fsync=off`). degraded: writes were acknowledged on a single copy. old_primary: stopped,
    read_only, unreachable or None.
    """

    promoted: str | None
    settings: tuple[str, ...] | None = None
    method: str = ""
    k: int | None = None
    n: int | None = None
    complete: bool = False
    proof_reason: str = ""
    positions: Mapping[str, ProvenPosition] = field(default_factory=dict)
    application_names: Mapping[str, str] = field(default_factory=dict)
    primary_name: str | None = None
    excluded: Mapping[str, str] = field(default_factory=dict)
    promoted_timeline: int | None = None
    promoted_lsn: int | None = None
    final_lsn: int | None = None
    setting_age_ms: int | None = None
    canary_acknowledged: int | None = None
    canary_found: int | None = None
    overrides: tuple[str, ...] = ()
    weak: tuple[str, ...] = ()
    degraded: bool = False
    old_primary: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As the verdict records them; positions as the server writes them."""
        return {
            "promoted": self.promoted,
            "settings": None if self.settings is None else list(self.settings),
            "setting_age_ms": self.setting_age_ms,
            "k": self.k,
            "n": self.n,
            "needed": _needed(self),
            "proof_complete": self.complete,
            "proof_reason": self.proof_reason,
            "positions": {m: p.to_json() for m, p in sorted(self.positions.items())},
            "application_names": dict(sorted(self.application_names.items())),
            "excluded": dict(sorted(self.excluded.items())),
            "promoted_timeline": self.promoted_timeline,
            "promoted_lsn": _lsn_text(self.promoted_lsn),
            "final_lsn": _lsn_text(self.final_lsn),
            "canary_acknowledged": self.canary_acknowledged,
            "canary_found": self.canary_found,
            "overrides": list(self.overrides),
            "weak": list(self.weak),
            "degraded": self.degraded,
            "old_primary": self.old_primary,
        }


def judge_rpo(inputs: RpoInputs) -> RpoVerdict:
    """The verdict of DESIGN §10. A loss that was seen outweighs every proof; a doubt outweighs every 0."""
    method = _method(inputs)
    missing = _canaries_missing(inputs)
    doubts = _doubts(inputs)
    lost: int | None = None
    if missing > 0:
        verdict, lost = LOSS, missing
        reason = (
            f"at least {missing} acknowledged writes are missing: canary {inputs.canary_acknowledged} was "
            f"acknowledged, {inputs.canary_found} is the newest on {inputs.promoted}"
        )
        if inputs.complete:
            reason += (
                "; this contradicts the quorum arithmetic, which was complete: an assumption under it (the "
                "setting in force, one server per name, flushed acknowledgements) did not hold"
            )
    elif doubts:
        verdict, reason = UNPROVEN, "; ".join(doubts)
    else:
        verdict, reason = ZERO_PROVEN, _proven(inputs)
    return RpoVerdict(verdict, lost, reason, method, inputs.to_json(), _not_covered(inputs))


def _proven(inputs: RpoInputs) -> str:
    canary = f"and it has the last acknowledged canary ({inputs.canary_acknowledged})"
    if _cleanly_stopped(inputs):
        return (
            f"the old primary was stopped cleanly, {inputs.promoted} had its last record "
            f"({_lsn_text(inputs.final_lsn)}) when it was promoted, {canary}"
        )
    return (
        f"{len(inputs.positions)} of {inputs.n} standbys were read and {_needed(inputs)} were needed, "
        f"{inputs.promoted} was behind none of them, {canary}"
    )


def _method(inputs: RpoInputs) -> str:
    if _cleanly_stopped(inputs):
        return "clean stop of the old primary: all of its log is on the promoted member; and the canary"
    if inputs.k is None or inputs.n is None:
        return "canary alone: no quorum arithmetic was recorded"
    rule = f"{inputs.method or 'ANY'} {inputs.k} of {inputs.n}"
    return f"{rule}: {_needed(inputs)} readable needed; and the canary"


def _needed(inputs: RpoInputs) -> int | None:
    """n − k + 1 of n (P1)."""
    return None if inputs.k is None or inputs.n is None else inputs.n - inputs.k + 1


def _lsn_text(lsn: int | None) -> str | None:
    return None if lsn is None else format_lsn(lsn)


def _cleanly_stopped(inputs: RpoInputs) -> bool:
    """After a clean stop nothing is acknowledged any more, and its last record comes after all that was."""
    final, reached = inputs.final_lsn, inputs.promoted_lsn
    return final is not None and reached is not None and reached > final


def _canaries_missing(inputs: RpoInputs) -> int:
    if inputs.promoted is None or inputs.canary_acknowledged is None or inputs.canary_found is None:
        return 0
    return max(inputs.canary_acknowledged - inputs.canary_found, 0)


def _doubts(inputs: RpoInputs) -> list[str]:
    """Every reason against ZERO_PROVEN, apart from a loss that was seen. Empty: proven."""
    if inputs.promoted is None:
        return ["nothing was promoted, so nothing was compared"]
    doubts = [] if _cleanly_stopped(inputs) else _proof_doubts(inputs)
    if inputs.canary_acknowledged is None:
        doubts.append("the last acknowledged canary is not known")
    elif inputs.canary_found is None:
        doubts.append(f"the canary was not read on {inputs.promoted} before its first new write")
    doubts += [f"rule {rule} was overridden" for rule in inputs.overrides if rule.upper() in _PROOF_RULES]
    if inputs.degraded:
        doubts.append("writes were acknowledged on a single copy (when_single_copy: degrade)")
    return [*doubts, *inputs.weak]


def _proof_doubts(inputs: RpoInputs) -> list[str]:
    """The proof is not believed but redone, from the positions that it recorded."""
    if not inputs.settings:
        return ["the synchronous_standby_names in force is not known"]
    settings: list[SyncSetting] = []
    for text in inputs.settings:
        try:
            setting = parse_synchronous_standby_names(text)
        except ValueError as error:
            return [f"synchronous_standby_names can't be read: {error}"]
        if not setting.synchronous:
            return [_asynchronous(inputs)]
        settings.append(without(setting, inputs.primary_name) if inputs.primary_name else setting)
    if not inputs.complete:
        return [f"the quorum is not complete: {inputs.proof_reason or 'no proof was recorded'}"]
    redone = prove(settings, _members(inputs))
    if not redone.complete:
        return [f"redone from the recorded positions, the proof fails: {redone.reason}"]
    return _promoted_doubts(inputs)


def _asynchronous(inputs: RpoInputs) -> str:
    text = "asynchronous: no standby is certain to have the last acknowledged writes"
    if inputs.canary_acknowledged is not None and inputs.canary_found is not None:
        return f"{text}; the canary shows no loss among its own"
    return text


def _members(inputs: RpoInputs) -> list[MemberPosition]:
    """Those that were read, and the others by their names alone: a name may be only one member's (P1)."""
    found = [
        MemberPosition(
            member,
            inputs.application_names.get(member, member),
            Position(p.system_identifier, p.timeline, p.lsn),
            (0,),
        )
        for member, p in sorted(inputs.positions.items())
    ]
    others = sorted({*inputs.excluded, *inputs.application_names} - set(inputs.positions))
    return found + [MemberPosition(m, inputs.application_names.get(m, m), None, (0,)) for m in others]


def _promoted_doubts(inputs: RpoInputs) -> list[str]:
    furthest, ahead = max((p.lsn, member) for member, p in inputs.positions.items())
    timeline = max(p.timeline for p in inputs.positions.values())
    if inputs.promoted_lsn is None:
        return [f"how far {inputs.promoted} was when it was promoted is not known"]
    if inputs.promoted_lsn < furthest:
        at, behind = format_lsn(inputs.promoted_lsn), format_lsn(furthest)
        return [f"{inputs.promoted} was promoted at {at}, behind {ahead} at {behind}"]
    if inputs.promoted_timeline is not None and inputs.promoted_timeline <= timeline:
        return [f"{inputs.promoted} is on timeline {inputs.promoted_timeline}: no promotion is seen in it"]
    return []


def _not_covered(inputs: RpoInputs) -> tuple[str, ...]:
    age, last = inputs.setting_age_ms, inputs.old_primary or "not observed"
    interval = "whose length is not known" if age is None else f"of {age} ms"
    stopped = inputs.old_primary == "stopped"
    woken = (
        "until it was stopped, the old primary could acknowledge commits of sessions with "
        "synchronous_commit=local"
        if stopped
        else f"the old primary was not seen stopped (last known: {last}): if it wakes, sessions with "
        "synchronous_commit=local on it can be acknowledged until it is stopped"
    )
    loosened = (
        "a loosening of synchronous_standby_names by someone else in the unread interval "
        f"{interval} between the last reading and the proof"
    )
    return (_OWN_SETTING, _CANCELLED_WAIT, loosened, f"{woken}; the remedy is a node, traffic or power fence")
