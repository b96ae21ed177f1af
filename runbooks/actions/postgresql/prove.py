"""postgresql.prove: does somebody who is left have every acknowledged write, and who is promoted?

POSTGRESQL P1 to P4: positions are read twice and must stand still, members below their own high-water mark do
not count, every setting that may have been in force must be satisfied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from model.errors import BcmError
from model.execution import StepResult
from model.lsn import Position, format_lsn
from model.quorum import Choice, MemberPosition, Proof, SyncSetting, choose, prove
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.inputs import (
    OVERRIDE_PROOF,
    as_int,
    members_in,
    overridden,
    people_named_candidate,
    preference,
)
from runbooks.actions.postgresql.inputs import member_named, role_user, settings_in_force
from runbooks.actions.postgresql.locks import Locked, locks_of
from runbooks.actions.postgresql.state import StandbyState, read_state, timeline_of_wal
from runbooks.actions.together import on_each

_BETWEEN_READS_S: Final = 0.002
# Without knowledge of restarts: a server that has run for longer than any outage that is being handled now
# can't have lost what it had not synced.
_RESTARTED_S: Final = 600


class ProveOptions(ActionOptions):
    """basis: why the positions can't move. `detached`: the standbys have dropped the old primary; those that
    have not do not count. `stopped`: it was shut down cleanly (step `quiesce`), and whoever counts must have
    its last record."""

    basis: str = "detached"


@dataclass(slots=True)
class _Seen:
    """One member, read until it stood still."""

    position: Position | None
    why_not: str = ""
    not_candidate: str | None = None
    weak: str | None = None
    moves: int = field(default=0)


class Prove(Action):
    """Output: `complete`, `reason`, `candidate`, `source` (a member ahead of it, from which it streams first,
    or null), `method`, `k`, `n`, `needed`, `setting` (in force), `settings` (all that had to be satisfied),
    `setting_read_ns`, `readable`, `positions` (member → system_identifier, timeline, lsn in bytes),
    `application_names` (of the members that were looked at, and of the old primary),
    `excluded` (member → why it is no candidate or does not count), `weak` (texts).
    """

    name: ClassVar[str] = "postgresql.prove"
    Options: ClassVar[type[ActionOptions]] = ProveOptions
    changing: ClassVar[bool] = False
    outputs: ClassVar[tuple[str, ...] | None] = (
        "complete", "reason", "candidate", "source", "method", "k", "n", "needed", "setting", "settings",
        "setting_read_ns", "readable", "positions", "application_names", "excluded", "weak", "overridden",
    )  # fmt: skip

    def __init__(self, options: ProveOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        settings = ", ".join(repr(t) for t in members_in(ctx, "settings")) or "none known"
        return [
            f"{m}: system identifier, timeline, greatest(received, replayed), read twice"
            for m in members_in(ctx, "standbys")
        ] + [f"synchronous_standby_names to be satisfied: {settings}"]

    def where(self, ctx: StepContext) -> str:
        return f"{', '.join(members_in(ctx, 'standbys'))} as {role_user(ctx.pg, 'control')}"

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        try:
            settings = settings_in_force(ctx)
            locks = locks_of(ctx)
            members = members_in(ctx, "standbys")
            seen = await self._read(ctx, members, locks.members_of(members), deadline_s)
        except BcmError as error:
            return StepResult.failed(str(error))
        positions = [_member_position(ctx, m, seen[m]) for m in members]
        proof = prove(settings, positions)
        choice = _choose(ctx, positions)
        output = _output(ctx, settings, proof, choice, seen)
        if not proof.complete and not (overridden(ctx, OVERRIDE_PROOF) or _loss_allowed(ctx, settings)):
            return StepResult.failed(f"not proven: {proof.reason}", **output)
        if choice.candidate is None:
            return StepResult.failed(choice.reason, **output)
        if not proof.complete:
            output["overridden"] = overridden(ctx, OVERRIDE_PROOF)
        return StepResult.ok(f"{proof.reason}; {choice.candidate}: {choice.reason}", **output)

    async def _read(
        self, ctx: StepContext, members: list[str], locked: list[str], deadline_s: float
    ) -> dict[str, _Seen]:
        """Every member, those that can't be read too."""
        locks = locks_of(ctx)
        stopped = self._options.basis == "stopped"

        async def read(member: str) -> tuple[_Seen, StandbyState]:
            async with locks.session(member, deadline_s) as session:
                return await _read_member(session, need_detached=not stopped)

        found, failed = await on_each(locked, read, clock=ctx.ports.clock, deadline_s=deadline_s)
        seen = {m: pair[0] for m, pair in found.items()}
        if len({s.position.timeline for s in seen.values() if s.position}) > 1:
            await _correct_timelines(ctx, {m: pair[1] for m, pair in found.items()}, seen, deadline_s)
        for member in members:
            seen.setdefault(member, _Seen(None, failed.get(member, "not locked")))
        final = as_int(ctx.output("quiesce").get("final_lsn")) if stopped else None
        for member, entry in seen.items():
            _below_high_water(ctx, member, entry)
            if stopped:
                _lacks_final(entry, final)
        return seen


async def _read_member(session: Locked, *, need_detached: bool) -> tuple[_Seen, StandbyState]:
    """Until two looks in a row give the same position. Raises SqlError at the deadline."""
    before: Position | None = None
    while True:
        state = await read_state(session)
        if not state.in_recovery:
            return _Seen(None, "it is no standby"), state
        if need_detached and not state.detached:
            why = state.stuck or "it has not dropped the old primary"
            return _Seen(None, why, state.stuck), state
        if state.position is not None and state.position == before:
            break
        before = state.position
        await session.clock.sleep(_BETWEEN_READS_S)
    weak = "fsync is off" if not state.fsync else None
    if weak and state.uptime_s > _RESTARTED_S:
        weak = None
    return _Seen(before, not_candidate=state.stuck, weak=weak), state


async def _correct_timelines(
    ctx: StepContext, states: Mapping[str, StandbyState], seen: dict[str, _Seen], deadline_s: float
) -> None:
    """Members disagree: ask their WAL files, since a control file may lag behind."""
    locks = locks_of(ctx)

    async def timeline(member: str) -> int:
        async with locks.session(member, deadline_s) as session:
            return await timeline_of_wal(session, states[member])

    known, _failed = await on_each(list(states), timeline, clock=ctx.ports.clock, deadline_s=deadline_s)
    for member, number in known.items():
        position = seen[member].position
        if position is not None:
            seen[member].position = replace(position, timeline=number)


def _below_high_water(ctx: StepContext, member: str, entry: _Seen) -> None:
    """A snapshot was restored or a disk wiped: it may lack what it once confirmed (P3)."""
    mark = (ctx.vars.get("high_water") or {}).get(member)
    if entry.position is None or not isinstance(mark, Mapping):
        return
    timeline, lsn = as_int(mark.get("timeline")), as_int(mark.get("lsn"))
    if timeline is None or lsn is None:
        return
    if (entry.position.timeline, entry.position.lsn) < (timeline, lsn):
        entry.why_not = (
            f"at {entry.position}, below its own high-water mark {format_lsn(lsn)} (timeline {timeline})"
        )
        entry.position = None


def _lacks_final(entry: _Seen, final: int | None) -> None:
    if entry.position is None:
        return
    if final is None:
        entry.position, entry.why_not = None, "the old primary's last record is not known"
    elif entry.position.lsn <= final:  # `final` is where the record begins
        entry.why_not = f"at {entry.position}, it lacks the old primary's last record at {format_lsn(final)}"
        entry.position = None


def _member_position(ctx: StepContext, name: str, seen: _Seen) -> MemberPosition:
    member = member_named(ctx, name)
    not_candidate = seen.not_candidate
    if member.excluded:
        not_candidate = "the estate excludes it"
    elif name in members_in(ctx, "no_room"):
        not_candidate = "no room on its disk (P16)"
    elif name in members_in(ctx, "not_asked"):
        back = name in members_in(ctx, "returning")
        why = "it lost the primary's role a short while ago" if back else "at the DR site"
        not_candidate = f"{why}, and nobody was asked ({'S8' if back else 'S9'})"
    return MemberPosition(
        member=name,
        application_name=member.application_name,
        position=seen.position,
        preference=preference(ctx, member),
        not_candidate=not_candidate,
        why_not=seen.why_not,
    )


def _choose(ctx: StepContext, positions: list[MemberPosition]) -> Choice:
    wanted = ctx.vars.get("candidate") or ctx.output("ready").get("candidate")
    if not isinstance(wanted, str):
        return choose(positions)
    choice = choose(positions, wanted)
    if choice.candidate is None and not people_named_candidate(ctx):
        return choose(positions)
    return choice


def _loss_allowed(ctx: StepContext, settings: tuple[SyncSetting, ...]) -> bool:
    """An asynchronous service with an RPO above 0: nothing can be proven, and the fence of the old primary
    by node access is what the runbook rests on instead (S3)."""
    asynchronous = bool(settings) and not any(s.synchronous for s in settings)
    return asynchronous and ctx.service.objectives.rpo > 0


def _output(
    ctx: StepContext,
    settings: tuple[SyncSetting, ...],
    proof: Proof,
    choice: Choice,
    seen: Mapping[str, _Seen],
) -> dict[str, Any]:
    texts = members_in(ctx, "settings")
    # The newest is the one in force; the stricter arithmetic of an older one shows in `needed`.
    in_force = settings[-1] if settings else None
    excluded = {m: s.not_candidate or s.why_not for m, s in seen.items() if s.not_candidate or s.why_not}
    return {
        "complete": proof.complete,
        "reason": proof.reason,
        "candidate": choice.candidate,
        "source": choice.source,
        "method": in_force.method if in_force else "",
        "k": in_force.k if in_force else None,
        "n": len(in_force.names) if in_force else None,
        "needed": proof.needed,
        "setting": texts[-1] if texts else None,
        "settings": texts,
        "setting_read_ns": as_int(ctx.vars.get("setting_read_ns")),
        "readable": list(proof.readable),
        "positions": {
            m: {
                "system_identifier": s.position.system_identifier,
                "timeline": s.position.timeline,
                "lsn": s.position.lsn,
            }
            for m, s in seen.items()
            if s.position is not None
        },
        # The verdict redoes the arithmetic from the journal alone: it must know whose name is whose.
        "application_names": {
            m: ctx.pg.members[m].application_name
            for m in (*seen, str(ctx.vars.get("primary")))
            if m in ctx.pg.members
        },
        "excluded": excluded,
        "weak": [f"{s.weak} on {m}, which was started not long ago" for m, s in seen.items() if s.weak],
    }
