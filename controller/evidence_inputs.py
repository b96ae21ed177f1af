"""Gathers the verdict's inputs from an incident's journal: outputs of steps, frozen facts, overrides.

What the verdict and the report read of a run that promotes, by step id. Positions are integers: bytes since
the beginning of the log. Keys marked * are needed for ZERO_PROVEN; one that is missing reads as not known.

prove (read whatever its outcome; an incomplete proof says why):
  candidate*        member that is to be promoted
  source            member from which it streams first what it lacks, or null (P4)
  settings*         texts of synchronous_standby_names that were counted, as the server showed them (P2);
                    `setting`, the one in force, is read too
  setting_read_ns   when the last of them was read, nanoseconds of the monotonic clock
  method, k*, n*    of the setting in force; n without the primary's own name (P1)
  complete*, reason Proof.complete and Proof.reason
  readable*         members that count: detached, locked, stable (P3, P5)
  positions*        {member: {timeline, lsn, system_identifier}} of at least those
  application_names {member: application_name} of all that were looked at and of the old primary, where they
                    may differ from the members' names
  excluded          {member: why it does not count, or may not be promoted}
catch_up: lsn*      where the candidate stood after streaming (P4); the step may be skipped
quiesce, or any step before `promote`: final_lsn, timeline: where the old primary's last record begins, read
                    after its clean stop; whoever is past it has everything
fence, quiesce, or any step: old_primary: stopped | read_only | unreachable (read whatever the outcome)
promote: member, timeline*, lsn   of the new primary
verify (read whatever its outcome):
        canary_found*  newest canary number on the new primary before any new write
        last_acked     last canary number known to be acknowledged (the frozen facts and the run's variables
                       are read too; the greatest counts)
any step: weak [texts]: why an acknowledgement may not be on a standby's disk · degraded true: writes were
acknowledged on a single copy
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller import fields
from controller.evidence import ProvenPosition, RpoInputs
from controller.executions import Execution, Step, fold_executions
from model import events as ev
from model.events import Event
from model.execution import StepState

_READ_ALWAYS = frozenset({"prove", "verify"})
# Of `synchronous_commit`: with these an acknowledgement is not known to be on a standby's disk.
_WEAK_COMMITS = frozenset({"remote_write", "local", "off"})


def gather_rpo_inputs(events: Sequence[Event], incident: str | None, execution: str) -> RpoInputs:
    """What the journal says for the verdict on one execution; what it does not say is None.

    events: of the whole journal, or at least of the incident, the execution and `sync.setting`.
    """
    frozen = _frozen(events, incident)
    sync = fields.mapping(frozen, "sync_setting")
    run = fold_executions(events).get(execution)
    prove = _output(run, "prove")
    promote = _output(run, "promote")
    verify = _output(run, "verify")
    positions = _positions(prove)
    promoted = _promoted(run, promote, prove)
    names = _texts_of(prove, "application_names")
    primary = _variable(run, "primary")
    return RpoInputs(
        promoted=promoted,
        settings=_settings(events, run, prove, sync),
        method=fields.text(prove, "method"),
        k=fields.integer(prove, "k"),
        n=fields.integer(prove, "n"),
        complete=prove.get("complete") is True,
        proof_reason=fields.text(prove, "reason"),
        positions=positions,
        application_names={m: app for m, app in names.items() if m != primary},
        primary_name=names.get(primary, primary) if primary else None,
        excluded=_texts_of(prove, "excluded"),
        promoted_timeline=fields.integer(promote, "timeline"),
        promoted_lsn=_reached(run, promoted, positions),
        final_lsn=_final_lsn(run, positions.get(promoted or "")),
        setting_age_ms=_setting_age_ms(events, run, prove),
        canary_acknowledged=_acknowledged(run, verify, frozen),
        canary_found=fields.integer(verify, "canary_found"),
        overrides=_overrides(events, incident, execution),
        weak=_weak(run, sync),
        degraded=any(s.output.get("degraded") is True for s in run.steps) if run else False,
        old_primary=_old_primary(run),
    )


def _texts_of(data: Mapping[str, Any], key: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in fields.mapping(data, key).items()}


def _acknowledged(run: Execution | None, verify: Mapping[str, Any], frozen: Mapping[str, Any]) -> int | None:
    """The newest canary of which anybody knew that it was acknowledged on the old primary."""
    variables: Mapping[str, Any] = run.vars if run else {}
    known = (
        fields.integer(verify, "last_acked"),
        fields.integer(variables, "last_acked_canary"),
        fields.integer(frozen, "last_acked_canary"),
    )
    return max((n for n in known if n is not None), default=None)


def _promoted(run: Execution | None, promote: Mapping[str, Any], prove: Mapping[str, Any]) -> str | None:
    if not promote:
        return None
    return fields.text(promote, "member") or fields.text(prove, "candidate") or _variable(run, "candidate")


def _old_primary(run: Execution | None) -> str | None:
    """The firmest that any step saw of it: one that was stopped stays so."""
    seen = [fields.optional_text(s.output, "old_primary") for s in run.steps] if run else []
    return next((s for s in ("stopped", "read_only", "unreachable") if s in seen), None)


def _final_lsn(run: Execution | None, promoted: ProvenPosition | None) -> int | None:
    """Of the steps that succeeded before the promotion was asked for: a later stop proves nothing, and
    neither does one on another timeline than the promoted member's."""
    promote = run.step("promote") if run else None
    asked = promote.attempts[0].seq if promote is not None and promote.attempts else None
    if run is None or asked is None or promoted is None:
        return None
    found = [
        fields.integer(step.output, "final_lsn")
        for step in run.steps
        if step.state == StepState.SUCCEEDED.value
        and step.last is not None
        and step.last.seq < asked
        and fields.integer(step.output, "timeline") in (None, promoted.timeline)
    ]
    return max((lsn for lsn in found if lsn is not None), default=None)


def _frozen(events: Sequence[Event], incident: str | None) -> Mapping[str, Any]:
    for event in events:
        if event.type == ev.INCIDENT_OPENED and event.incident == incident:
            return fields.mapping(event.data, "frozen")
    return {}


def _succeeded(run: Execution | None, step_id: str) -> Step | None:
    step = run.step(step_id) if run else None
    return step if step is not None and step.state == StepState.SUCCEEDED.value else None


def _output(run: Execution | None, step_id: str) -> Mapping[str, Any]:
    """Of a step that succeeded; of the proof and the verification whatever their outcome: an incomplete proof
    says why, and a write that failed may have found the canary all the same."""
    step = run.step(step_id) if run and step_id in _READ_ALWAYS else _succeeded(run, step_id)
    return step.output if step else {}


def _variable(run: Execution | None, name: str) -> str | None:
    return fields.optional_text(run.vars, name) if run else None


def _positions(prove: Mapping[str, Any]) -> dict[str, ProvenPosition]:
    """Of the members that count as readable, and only those."""
    recorded = fields.mapping(prove, "positions")
    found: dict[str, ProvenPosition] = {}
    for member in fields.texts(prove, "readable"):
        entry = fields.mapping(recorded, member)
        timeline, lsn = fields.integer(entry, "timeline"), fields.integer(entry, "lsn")
        if timeline is not None and lsn is not None:
            system = entry.get("system_identifier")
            found[member] = ProvenPosition(timeline, lsn, "" if system is None else str(system))
    return found


def _reached(
    run: Execution | None, promoted: str | None, positions: Mapping[str, ProvenPosition]
) -> int | None:
    """How far the promoted member had the old timeline. The position after the promotion says nothing
    about that: the new timeline's own records move it past what was missing."""
    proven = positions.get(promoted) if promoted else None
    caught_up = fields.integer(_output(run, "catch_up"), "lsn")
    known = [lsn for lsn in (proven.lsn if proven else None, caught_up) if lsn is not None]
    return max(known, default=None)


def _settings(
    events: Sequence[Event], run: Execution | None, prove: Mapping[str, Any], sync: Mapping[str, Any]
) -> tuple[str, ...] | None:
    """Those that the proof counted and those that the run was started with; the frozen one where neither is
    known; and both sides of a change since, which no acknowledged canary had confirmed by the proof (P2)."""
    found = [*fields.texts(prove, "settings"), fields.optional_text(prove, "setting")]
    found += fields.texts(run.vars, "settings") if run is not None else []
    if not any(text is not None for text in found):
        found = [fields.optional_text(sync, "value")]
    step = run.step("prove") if run else None
    proof_seq = step.last.result_seq if step and step.last else None
    candidate = fields.text(prove, "candidate")
    if run is not None and proof_seq is not None:
        changes = [
            e
            for e in events
            if e.type == ev.SYNC_SETTING
            and e.service == run.service
            and e.seq < proof_seq
            and fields.text(e.data, "member") != candidate
        ]
        if changes and changes[-1].data.get("confirmed") is False:
            found += [fields.optional_text(changes[-1].data, key) for key in ("value", "previous")]
    known = [text for text in found if text is not None]
    return tuple(dict.fromkeys(known)) or None


def _setting_age_ms(events: Sequence[Event], run: Execution | None, prove: Mapping[str, Any]) -> int | None:
    """From the reading to the proof; None across a reboot, where the monotonic clock began anew."""
    read_ns = fields.integer(prove, "setting_read_ns")
    step = run.step("prove") if run else None
    proof_seq = step.last.result_seq if step and step.last else None
    proof = next((e for e in events if e.seq == proof_seq), None)
    if read_ns is None or proof is None or proof.mono_ns < read_ns:
        return None
    return (proof.mono_ns - read_ns) // 1_000_000


def _overrides(events: Sequence[Event], incident: str | None, execution: str) -> tuple[str, ...]:
    return tuple(
        fields.text(e.data, "rule")
        for e in events
        if e.type == ev.OVERRIDE_RECORDED
        and ((incident is not None and e.incident == incident) or e.execution == execution)
    )


def _weak(run: Execution | None, sync: Mapping[str, Any]) -> tuple[str, ...]:
    level = fields.text(sync, "synchronous_commit")
    stated = [f"synchronous_commit is {level} on the primary"] if level in _WEAK_COMMITS else []
    steps = run.steps if run else ()
    return (*stated, *(text for step in steps for text in fields.texts(step.output, "weak")))
