"""The RPO verdict of MariaDB: proven by semi-sync after a crash, by the closed primary's last GTID after a
planned switch, and else said not to be.

Read from an execution by step id: `prove` (candidate, complete, reason, positions, age_ms), `quiesce`
(final_gtid, old_primary), `promote` (member, gtid), `fence` and `keep_out` (old_primary), `verify`
(canary_found, last_acked), and the variables `shown`, `last_acked_canary`, `overrides`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from controller import fields
from controller.executions import Execution, fold_executions
from controller.verdict import LOSS, UNPROVEN, ZERO_PROVEN, RpoVerdict
from model.events import Event
from model.execution import StepState
from model.gtid import covers, parse_gtids

_OVERRIDDEN: Final = frozenset({"S2", "S3"})
_FENCED: Final = frozenset({"stopped", "gone", "read_only", "blocked"})
_RELAY: Final = (
    "what a replica had acknowledged and not yet flushed is lost with its host (sync_relay_log above 1)"
)
_ADMIN: Final = (
    "accounts with READ ONLY ADMIN write to a server that is read-only: MariaDB has no super_read_only"
)
_ENDED: Final = (
    "commits whose wait for a replica was ended by an administrator (KILL, SHUTDOWN): their clients were "
    "told that they were safe"
)
_RETURNS: Final = (
    "an old primary that was restarted in place before it was stopped or closed: what clients that go to it "
    "directly wrote there until then"
)


@dataclass(frozen=True, slots=True)
class MariadbInputs:
    """All that the verdict rests on; None is not known. complete: the proof held when nobody had been
    promoted yet. reached: the GTIDs from which the promoted member went on; proven: those that the proof saw
    on it."""

    promoted: str | None
    complete: bool = False
    reason: str = ""
    reached: str | None = None
    proven: str | None = None
    final_gtid: str | None = None
    shown_gtid: str | None = None
    shown_age_ms: int | None = None
    canary_acknowledged: int | None = None
    canary_found: int | None = None
    old_primary: str | None = None
    overrides: tuple[str, ...] = ()

    @property
    def planned(self) -> bool:
        return self.final_gtid is not None

    @property
    def missing(self) -> int:
        """Numbers that were acknowledged and are not there."""
        if self.canary_acknowledged is None or self.canary_found is None:
            return 0
        return max(0, self.canary_acknowledged - self.canary_found)


def gather(events: Sequence[Event], execution: str) -> MariadbInputs:
    """What the journal says of one execution."""
    run = fold_executions(events).get(execution)
    if run is None:
        return MariadbInputs(None)
    prove, promote, verify, quiesce = (
        _output(run, step) for step in ("prove", "promote", "verify", "quiesce")
    )
    promoted = fields.text(promote, "member") or None
    position = fields.mapping(fields.mapping(prove, "positions"), promoted or "")
    known = (fields.integer(verify, "last_acked"), fields.integer(run.vars, "last_acked_canary"))
    return MariadbInputs(
        promoted=promoted,
        complete=prove.get("complete") is True,
        reason=fields.text(prove, "reason"),
        reached=fields.optional_text(promote, "gtid"),
        proven=fields.optional_text(position, "gtid"),
        final_gtid=fields.optional_text(quiesce, "final_gtid"),
        shown_gtid=fields.optional_text(fields.mapping(run.vars, "shown"), "gtid_binlog_pos"),
        shown_age_ms=fields.integer(prove, "age_ms"),
        canary_acknowledged=max((n for n in known if n is not None), default=None),
        canary_found=fields.integer(verify, "canary_found"),
        old_primary=_old_primary(run),
        overrides=tuple(fields.texts(run.vars, "overrides")),
    )


def judge(inputs: MariadbInputs) -> RpoVerdict:
    """A loss that was seen outweighs every proof."""
    shown = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(inputs).items()}
    uncovered = (_ADMIN,) if inputs.planned else (_RELAY, _ADMIN, _ENDED, _RETURNS)

    def verdict(word: str, reason: str, method: str, lost: int | None = None) -> RpoVerdict:
        return RpoVerdict(word, lost, reason, method, shown, uncovered)

    if inputs.missing > 0:
        reason = (
            f"at least {inputs.missing} acknowledged writes are missing: number {inputs.canary_acknowledged} "
            f"was acknowledged, {inputs.canary_found} is the newest on {inputs.promoted}"
        )
        return verdict(LOSS, reason, "the number that is written all the time", inputs.missing)
    method = (
        "the last GTID of the closed primary" if inputs.planned else "semi-sync acknowledgements and GTIDs"
    )
    doubt = _doubt(inputs)
    return verdict(ZERO_PROVEN, inputs.reason, method) if doubt is None else verdict(UNPROVEN, doubt, method)


def _doubt(inputs: MariadbInputs) -> str | None:
    """Why it is not proven that nothing was lost; None: it is."""
    overridden = sorted(_OVERRIDDEN & set(inputs.overrides))
    if inputs.promoted is None:
        return "nobody is known to have been promoted"
    if overridden:
        return f"{', '.join(overridden)} was overridden"
    if not inputs.complete:
        return inputs.reason or "what the replicas had is not known"
    if inputs.old_primary not in _FENCED:
        return "the old primary was not seen to be fenced"
    goal = inputs.final_gtid if inputs.planned else inputs.proven
    if not goal or inputs.reached is None or not covers(parse_gtids(inputs.reached), parse_gtids(goal)):
        return f"{inputs.promoted} went on from {inputs.reached}, and {goal} was to be had"
    if not inputs.planned and not covers(parse_gtids(inputs.reached), parse_gtids(inputs.shown_gtid or "")):
        went = f"{inputs.promoted} went on from {inputs.reached}"
        return f"{went}, and the old primary had shown {inputs.shown_gtid}"
    return None


def _output(run: Execution, step_id: str) -> Mapping[str, Any]:
    """Of a step that succeeded; of the verification whatever its outcome."""
    step = run.step(step_id)
    if step is None or (step_id != "verify" and step.state != StepState.SUCCEEDED.value):
        return {}
    return step.output


def _old_primary(run: Execution) -> str | None:
    """The firmest that any step saw of it."""
    seen = [fields.optional_text(s.output, "old_primary") for s in run.steps]
    order = ("stopped", "read_only", "gone", "blocked", "unreachable")
    return next((s for s in order if s in seen), None)
