"""The RPO verdict of Redis: what was lost, where it is seen; proven only after a planned switch.

Read from an execution by step id: `quiesce` (final_offset, replid), `demote` (old_primary), `prove`
(candidate, positions), `promote` (member), `fence` (old_primary), `verify` (canary_found, last_acked), and
the variables `last_offset`, `last_offset_ns`, `last_acked_canary`.

Positions are offsets of one replication stream, in bytes, within one `replid`. A replica's offset says what
it has in memory; what of that is on its disk, Redis does not tell.
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

_OVERRIDDEN: Final = frozenset({"S2", "S3"})
_MEMORY: Final = (
    "what was in memory alone: a member that has acknowledged a write, or taken it over, loses it with its "
    "process unless its appendfsync is `always`"
)
_RETURNS: Final = (
    "an old primary that was restarted in place before it was stopped or closed: what clients that go to it "
    "directly wrote there until then is given up when it is brought back"
)
_HUNG: Final = (
    "writes that an old primary took while nobody saw it: min-replicas-to-write bounds them by its lag, and "
    "not for one that hangs and goes on"
)


@dataclass(frozen=True, slots=True)
class RedisInputs:
    """All that the verdict rests on; None is not known. shown_age_ms: how old the primary's last shown offset
    was when it was compared. closed: the old primary refused writes before anybody was promoted."""

    promoted: str | None
    reached: int | None = None
    replid: str | None = None
    final_offset: int | None = None
    final_replid: str | None = None
    closed: bool = False
    shown_offset: int | None = None
    shown_age_ms: int | None = None
    canary_acknowledged: int | None = None
    canary_found: int | None = None
    old_primary: str | None = None
    overrides: tuple[str, ...] = ()

    @property
    def missing(self) -> int:
        """Numbers that were acknowledged and are not there."""
        if self.canary_acknowledged is None or self.canary_found is None:
            return 0
        return max(0, self.canary_acknowledged - self.canary_found)

    @property
    def behind_bytes(self) -> int | None:
        """Of the stream that the primary had shown."""
        if self.shown_offset is None or self.reached is None:
            return None
        return max(0, self.shown_offset - self.reached)


def gather(events: Sequence[Event], execution: str) -> RedisInputs:
    """What the journal says of one execution."""
    run = fold_executions(events).get(execution)
    if run is None:
        return RedisInputs(None)
    prove, promote, verify = (_output(run, step) for step in ("prove", "promote", "verify"))
    quiesce, demote = _output(run, "quiesce"), _output(run, "demote")
    promoted = fields.text(promote, "member") or None
    position = fields.mapping(fields.mapping(prove, "positions"), promoted or "")
    known = (fields.integer(verify, "last_acked"), fields.integer(run.vars, "last_acked_canary"))
    return RedisInputs(
        promoted=promoted,
        reached=fields.integer(position, "offset"),
        replid=fields.optional_text(position, "replid"),
        final_offset=fields.integer(quiesce, "final_offset"),
        final_replid=fields.optional_text(quiesce, "replid"),
        closed=demote.get("old_primary") == "read_only",
        shown_offset=fields.integer(run.vars, "last_offset"),
        shown_age_ms=_shown_age_ms(run, events),
        canary_acknowledged=max((n for n in known if n is not None), default=None),
        canary_found=fields.integer(verify, "canary_found"),
        old_primary=_old_primary(run),
        overrides=tuple(fields.texts(run.vars, "overrides")),
    )


def judge(inputs: RedisInputs) -> RpoVerdict:
    """A loss that was seen outweighs everything; only a planned switch proves that there was none."""
    shown = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(inputs).items()}
    uncovered = (_MEMORY,) if _planned(inputs) else (_MEMORY, _RETURNS, _HUNG)

    def verdict(word: str, reason: str, method: str, lost: int | None = None) -> RpoVerdict:
        return RpoVerdict(word, lost, reason, method, shown, uncovered)

    if inputs.missing > 0:
        reason = (
            f"at least {inputs.missing} acknowledged writes are missing: number {inputs.canary_acknowledged} "
            f"was acknowledged, {inputs.canary_found} is the newest on {inputs.promoted}"
        )
        return verdict(LOSS, reason, "the number that is written all the time", inputs.missing)
    doubt = _doubt(inputs)
    if doubt is None:
        reason = (
            f"the old primary was closed for writes at offset {inputs.final_offset}, and {inputs.promoted} "
            f"had come to {inputs.reached} of the same history when it was promoted"
        )
        return verdict(ZERO_PROVEN, reason, "the last offset of the closed primary")
    return verdict(UNPROVEN, doubt, "offsets of the replication stream, and the number that is written")


def _planned(inputs: RedisInputs) -> bool:
    return inputs.closed and inputs.final_offset is not None


def _doubt(inputs: RedisInputs) -> str | None:
    """Why it is not proven that nothing was lost; None: it is."""
    overridden = sorted(_OVERRIDDEN & set(inputs.overrides))
    if inputs.promoted is None:
        return "nobody is known to have been promoted"
    if overridden:
        return f"{', '.join(overridden)} was overridden"
    if not _planned(inputs) or inputs.final_offset is None:
        return _asynchronous(inputs)
    if inputs.replid is None or inputs.replid != inputs.final_replid or inputs.reached is None:
        return f"the history of {inputs.promoted} is not that of the old primary"
    if inputs.reached < inputs.final_offset:
        final = inputs.final_offset
        return f"{inputs.promoted} was promoted at {inputs.reached}, the old primary was at {final}"
    return None


def _asynchronous(inputs: RedisInputs) -> str:
    text = "asynchronous: acknowledged before any replica had it"
    if inputs.behind_bytes is None or inputs.shown_age_ms is None:
        return f"{text}; how far the old primary was is not known"
    if inputs.behind_bytes:
        return (
            f"{text}; {inputs.promoted} lacks at least {inputs.behind_bytes} bytes of the stream that the "
            "old primary had shown"
        )
    return (
        f"{text}; {inputs.promoted} has all that the old primary had shown {inputs.shown_age_ms} ms before: "
        "only what it acknowledged since can be missing"
    )


def _output(run: Execution, step_id: str) -> Mapping[str, Any]:
    """Of a step that succeeded; of the verification whatever its outcome."""
    step = run.step(step_id)
    if step is None or (step_id != "verify" and step.state != StepState.SUCCEEDED.value):
        return {}
    return step.output


def _shown_age_ms(run: Execution, events: Sequence[Event]) -> int | None:
    """From the question to the comparison; None across a reboot, where the monotonic clock began anew."""
    asked_ns = fields.integer(run.vars, "last_offset_ns")
    step = run.step("prove")
    seq = step.last.result_seq if step is not None and step.last is not None else None
    compared = next((e for e in events if e.seq == seq), None)
    if asked_ns is None or compared is None or compared.mono_ns < asked_ns:
        return None
    return (compared.mono_ns - asked_ns) // 1_000_000


def _old_primary(run: Execution) -> str | None:
    """The firmest that any step saw of it."""
    seen = [fields.optional_text(s.output, "old_primary") for s in run.steps]
    return next((s for s in ("stopped", "read_only", "gone", "unreachable") if s in seen), None)
