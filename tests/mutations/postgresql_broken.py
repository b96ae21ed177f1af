"""P1 to P16 of POSTGRESQL.md, each broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mutation import Mutation, Played, Swap, Told
from rules_broken import LOCKS_UNCHECKED, MANAGERS_UNSEEN, always, folding, nothing, says_done
from scenes import CRASH, PG1, PG2, fault, scenario

from controller.candidates import _not_counted as real_not_counted
from controller.primary_rules import _ANSWERS as ANSWERS
from controller.simulate.estates import Shape
from controller.supervisor.settings_history import SettingsHistory
from controller.views import MemberView
from model.execution import StepResult
from model.observation import ALIVE_FAILURES, Failure, Observation, Outcome
from model.ports import SqlError
from model.quorum import MemberPosition, prove
from runbooks.actions.postgresql.prove import _member_position as real_member_position

ACTIONS = "runbooks.actions.postgresql"
_READ_HISTORY = SettingsHistory.read


def _first_setting_only(self: SettingsHistory, text: str, read_ns: int) -> SettingsHistory:
    """Once a setting is known, no other one is taken note of."""
    return _READ_HISTORY(self, text, read_ns) if self.current is None else self


def _forgets_nothing(self: SettingsHistory, text: str, read_ns: int) -> SettingsHistory:
    return SettingsHistory(text, (), read_ns) if self.current is None else self


def _zero_for_unknown(self: MemberView, key: str) -> int:
    value = self.facts.get(key)
    return value if isinstance(value, int) else 0


def _lock_is_silence(seen: Observation) -> Observation:
    if seen.failure is not Failure.LOCK_BLOCKED:
        return seen
    return replace(seen, outcome=Outcome.FAILED, failure=Failure.SILENT)


def _without_mark(view: Any, member: Any, mark: Any) -> str | None:
    return real_not_counted(view, member, None)


def _nobody_excluded(ctx: Any, name: str, seen: Any) -> MemberPosition:
    return replace(real_member_position(ctx, name, seen), not_candidate=None)


async def _fails_in_time(locked: Any, ctx: Any) -> StepResult:
    return StepResult.failed(f"{locked.member} was not promoted in time")


async def _names_unset(self: Any, ctx: Any, deadline_s: float) -> StepResult:
    return StepResult.ok("set, it says", setting="", previous="", member="pg2", standbys=[])


async def _first_that_answers(member: str, connect: Any, limit_s: float, answers: dict[str, str]) -> Any:
    """Whoever takes a session, be it a standby."""
    try:
        return await connect(member, limit_s)
    except SqlError as error:
        answers[member] = str(error)
        return None


LOOSENED = scenario(
    fault(3.0, "names-loosened", PG1),
    fault(3.5, "replication-cut", "db3"),
    fault(5.0, "host-down", "db2"),
    fault(5.1, "crash", PG1),
    shape=Shape(sync=2),
)
# The primary restarts in place while the controller stands still between its final look and the promotion.
BACK_WHILE_WE_STOOD_STILL = scenario(
    fault(2.9, "slow-link", "db2", 12.0, 0.008),
    fault(3.0, "crash", PG1),
    fault(3.5, "controller-frozen", "", 2.0),
    in_place=True,
)
PREFERRED_IS_BEHIND = scenario(fault(3.0, "replication-cut", "db2", 1.02), fault(4.0, "crash", PG1))
HANG_WITH_REPLAY_PAUSED = scenario(fault(2.5, "replay-paused", PG2, 10.0), fault(3.0, "freeze", PG1, 9.0))
# A slow journal makes the steps last; the primary wakes between the detaching and the promotion, or before.
WAKES_IN_TIME = scenario(fault(3.0, "journal-slow", "", 12.0, 0.2), fault(3.2, "freeze", PG1, 4.6))
WAKES_EARLY = scenario(fault(3.0, "journal-slow", "", 12.0, 0.2), fault(3.2, "freeze", PG1, 3.6))

POSTGRESQL_BROKEN = (
    Mutation(
        "P1", "`*` is taken for names",
        [Swap("model.quorum:SyncSetting.ambiguous", lambda self: None)],
        noticed=Told(("gate-rpo-star",)),
    ),
    Mutation(
        "P2", "a setting that was loosened since is not counted",
        [Swap("controller.supervisor.settings_history:SettingsHistory.read", _first_setting_only),
         Swap("controller.supervisor.settings_history:SettingsHistory.acknowledged", _forgets_nothing)],
        noticed=Played(("S3",), LOOSENED),
    ),
    Mutation(
        "P2", "only the last setting that was read counts",
        [Swap("model.quorum:prove", lambda settings, members: prove(settings[-1:], members))],
        noticed=Told(("gate-rpo-two-settings",)),
    ),
    Mutation(
        "P3", "a segment's start is taken for what is on disk",
        [Swap("controller.candidates:unsettled", lambda facts: False)],
        noticed=Told(("received-position-not-settled",)),
    ),
    Mutation(
        "P3", "a position that is not known is taken as 0",
        [Swap("controller.views:MemberView.fact_int", _zero_for_unknown)],
        noticed=Told(("position-not-known",)),
    ),
    Mutation(
        "P3", "the high-water mark is not looked at",
        [Swap("controller.candidates:_not_counted", _without_mark)],
        noticed=Told(("gate-rpo-below-high-water",)),
    ),
    Mutation(
        "P4", "the candidate does not stream what it lacks",
        [Swap(f"{ACTIONS}.catch_up:CatchUp.run", says_done)],
        noticed=Played(("S3",), PREFERRED_IS_BEHIND),
    ),
    Mutation(
        "P4", "an excluded member may be promoted",
        [Swap("controller.candidates:_no_candidate", nothing),
         Swap(f"{ACTIONS}.prove:_member_position", _nobody_excluded)],
        noticed=Played(("P4",), scenario(fault(3.0, "crash", PG1), shape=Shape(excluded=(1,)))),
    ),
    Mutation(
        "P5", "the setting alone shows that a standby has let go",
        [Swap(f"{ACTIONS}.state:StandbyState.stuck", always(None)),
         Swap(f"{ACTIONS}.state:StandbyState.detached", property(lambda self: self.conninfo == ""))],
        noticed=Played(("S2",), HANG_WITH_REPLAY_PAUSED),
    ),
    Mutation(
        "P6", "what was tentative is not taken back",
        [Swap(f"{ACTIONS}.detach:Detach.undo", says_done)],
        noticed=Played(("P6",), WAKES_IN_TIME),
    ),
    Mutation(
        "P6", "the primary that answers again is not looked at",
        [Swap(f"{ACTIONS}.last_look:LastLook.run", says_done),
         Swap(f"{ACTIONS}.still_silent:StillSilent.run", says_done)],
        noticed=Played(("S6",), WAKES_EARLY),
    ),
    Mutation(
        "P6", "nobody asks once more before the point of no return",
        [Swap(f"{ACTIONS}.still_silent:StillSilent.run", says_done)],
        noticed=Played(("S6",), BACK_WHILE_WE_STOOD_STILL),
    ),
    Mutation(
        "P7", "a member is changed over a session without its lock",
        [LOCKS_UNCHECKED],
        noticed=Played(("P7",), CRASH),
    ),
    Mutation(
        "P8", "the old primary is not fenced when it comes back",
        [Swap(f"{ACTIONS}.fence:Fence.run", says_done)],
        noticed=Played(("P8",), scenario(fault(3.0, "crash", PG1), in_place=True)),
    ),
    Mutation(
        "P9", "whoever answers at the endpoint is taken for the new primary",
        [Swap("controller.adapters.endpoint:_try", _first_that_answers)],
        noticed=Played(("P9",), scenario(fault(3.0, "crash", PG1), shape=Shape(excluded=(1,)), end_s=25.0)),
    ),
    Mutation(
        "P10", "signs of another manager are not looked at",
        [MANAGERS_UNSEEN],
        noticed=Told(("other-manager",)),
    ),
    Mutation(
        "P11", "the new primary has no names when it is promoted",
        [Swap(f"{ACTIONS}.set_names:SetNames.run", _names_unset)],
        noticed=Played(("S3",), CRASH),
    ),
    Mutation(
        "P12", "a promotion that is late is said to have failed",
        [Swap(f"{ACTIONS}.promote:_wait", _fails_in_time)],
        noticed=Played(("S13",), CRASH),
    ),
    Mutation(
        "P13", "a server that is starting up is taken for dead",
        [Swap("model.observation:ALIVE_FAILURES", ALIVE_FAILURES - {Failure.STARTING})],
        noticed=Told(("crash-then-restarted-in-place",)),
    ),
    Mutation(
        "P13", "a stop by an administrator is taken for a crash",
        [Swap("controller.primary_rules:_stopped_s", nothing)],
        noticed=Told(("stopped-by-an-administrator",)),
    ),
    Mutation(
        "P13", "no connections left is taken for dead",
        [Swap("model.observation:ALIVE_FAILURES", ALIVE_FAILURES - {Failure.SATURATED})],
        noticed=Told(("connections-exhausted",)),
    ),
    Mutation(
        "P14", "a standby that still receives is not listened to",
        [Swap("controller.views:MemberView.vetoes", always(False))],
        noticed=Told(("observers-a-replica-vetoes-them-all",)),
    ),
    Mutation(
        "P14", "a stream that is merely open vetoes",
        [Swap("controller.supervisor.replicas:Replicas.receives", lambda *_args: True)],
        noticed=Played(("missed",), scenario(fault(3.0, "freeze", PG1))),
    ),
    Mutation(
        "P15", "a canary that waits for a lock is taken for silence",
        [folding(_lock_is_silence)],
        noticed=Told(("canary-waits-for-a-lock",)),
    ),
    Mutation(
        "P15", "a canary that waits for a standby is not told apart",
        [Swap("controller.primary_rules:_ANSWERS", tuple(a for a in ANSWERS if a[0] != "sync_blocked"))],
        noticed=Told(("sync-blocked",)),
    ),
    Mutation(
        "P16", "a member without room may be promoted",
        [Swap("controller.candidates:ROOM_BYTES", 0)],
        noticed=Told(("candidate-without-room",)),
    ),
)  # fmt: skip
