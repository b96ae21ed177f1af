"""S1 to S14 of DESIGN §5, each broken."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

from gates_broken import open_gate
from mutation import Linted, Mutation, Played, Swap, Told
from scenes import (
    CRASH,
    CRASH_UPON_CRASH,
    HANG,
    PG1,
    THE_WRONG_ONE_IS_LEFT,
    fault,
    scenario,
)

from controller.diagnose import RULES_OF, other_manager
from controller.engines import Engine
from controller.simulate.audit_journal import SECRET
from controller.simulate.estates import SERVICE, Shape
from controller.simulate.scene import Scene
from controller.supervisor.ledger import _STEPS as LEDGER_STEPS
from model import events as ev
from model.execution import StepResult
from model.health import Health, ProbeState
from model.observation import Observation, Outcome
from model.quorum import Proof
from runbooks.actions.postgresql.locks import APPLICATION_PREFIX, Locked
from runbooks.lint import _RULES as LINT_RULES
from runbooks.lint_safety import step_that_needs_the_failed_site

ACTIONS = "runbooks.actions.postgresql"


real_fold_of = Engine.fold_of


def nothing(*_args: Any, **_more: Any) -> None:
    """Looks at nothing, refuses nothing, does nothing."""


async def says_done(*_args: Any, **_more: Any) -> StepResult:
    return StepResult.ok("done, it says", old_primary="stopped", how="said")


def always(value: Any) -> property:
    return property(lambda _self: value)


def _detached_by_words(self: Any, ctx: Any, deadline_s: float) -> Any:
    async def run() -> StepResult:
        return StepResult.ok("detached, it says", detached=["pg2", "pg3"], previous={}, left_out={})

    return run()


def _all_proven(settings: Any, members: Any) -> Proof:
    counted = [m for m in members if m.position is not None]
    furthest = max((m.position for m in counted), key=lambda p: (p.timeline, p.lsn), default=None)
    return Proof(True, "taken as proven", 1, tuple(m.member for m in counted), furthest)


def _stale_is_down(state: Any, now_s: float, profile: Any) -> Any:
    if state.last is None or now_s - state.last.ended_s <= profile.stale_s:
        return state
    return replace(state, health=Health.DOWN, since_s=now_s, why="not observed")


def folding(changed: Callable[[Observation], Observation]) -> Swap:
    """Whatever was seen is folded as what `changed` makes of it."""

    def fold_of(self: Engine, probe: str) -> Callable[..., ProbeState]:
        fold = real_fold_of(self, probe)
        return lambda state, seen, profile: fold(state, changed(seen), profile)

    return Swap("controller.engines:Engine.fold_of", fold_of)


def _unknown_is_failure(seen: Observation) -> Observation:
    return replace(seen, outcome=Outcome.FAILED) if seen.outcome is Outcome.UNKNOWN else seen


@contextlib.asynccontextmanager
async def _unlocked_session(self: Any, member: str, deadline_s: float) -> AsyncIterator[Locked]:
    """Over a new session that holds no lock, of whichever epoch."""
    session = await self._sql.connect(
        self._service,
        member,
        role="control",
        database=self._database,
        timeout_s=max(deadline_s - self._clock.monotonic_s(), 0.001),
        application_name=f"{APPLICATION_PREFIX}{self._epoch}",
    )
    try:
        yield Locked(member, session, self._clock, deadline_s)
    finally:
        await session.close()


async def _writes_no_intent(self: Any, *_args: Any) -> None:
    """What is about to be done goes to nobody."""


def _password_in_conninfo(scene: Scene) -> None:
    server = scene.world.server(SERVICE, "pg2")
    for settings in (server.conf, server.live):
        settings["primary_conninfo"] += f" password={SECRET}"
    server.standby.followed = server.live["primary_conninfo"]


def _managed_by_patroni(scene: Scene) -> None:
    for server in scene.world.servers(SERVICE):
        server.other_manager = "patroni"


MANAGERS_UNSEEN = Swap(
    "controller.diagnose:RULES_OF",
    {engine: tuple(r for r in rules if r is not other_manager) for engine, rules in RULES_OF.items()},
)
LEASE_UNCHECKED = Swap("runbooks.run_state:RunState.require_lease", nothing)
LOCKS_UNCHECKED = Swap(f"{ACTIONS}.locks:Locks.session", _unlocked_session)
NOTHING_SHORT = Swap(f"{ACTIONS}.inputs:shortfall", nothing)
# A slow journal makes the failover last for seconds: the takeover is in its midst.
TAKEN_OVER = scenario(
    fault(2.9, "journal-slow", "", 8.0, 0.2), fault(3.0, "crash", PG1), fault(5.8, "taken-over", "", 1.5)
)

RULES_BROKEN = (
    Mutation(
        "S1", "what is open is not taken note of",
        [Swap("controller.supervisor.ledger:_STEPS",
              {k: v for k, v in LEDGER_STEPS.items() if k != ev.EXECUTION_OPENED})],
        noticed=Played(("S1",), scenario(
            fault(3.0, "crash", PG1), fault(3.15, "controller-killed", "", value=0.1))),
    ),
    Mutation(
        "S1", "the budget of the estate is not counted",
        [Swap("controller.gates:_budget", open_gate("budget")),
         Swap("controller.supervisor.budget:Launching.one", lambda self, left: contextlib.nullcontext(True))],
        noticed=Played(("S1",), scenario(
            fault(3.0, "crash", PG1), fault(8.0, "crash", f"{SERVICE}/pg2"),
            shape=Shape(budget=1), end_s=16.0)),
    ),
    Mutation(
        "S2", "the fence is taken as done",
        [Swap(f"{ACTIONS}.detach:Detach.run", _detached_by_words),
         Swap(f"{ACTIONS}.state:StandbyState.detached", always(True))],
        noticed=Played(("S2",), HANG),
    ),
    Mutation(
        "S3", "what could not be proven is taken as proven",
        [Swap("model.quorum:prove", _all_proven), NOTHING_SHORT],
        noticed=Played(("S3",), THE_WRONG_ONE_IS_LEFT),
    ),
    Mutation(
        "S4", "a controller that has lost its leadership goes on",
        [LEASE_UNCHECKED, LOCKS_UNCHECKED, Swap("runbooks.logbook:Logbook._raise_failure", nothing)],
        noticed=Played(("S4",), TAKEN_OVER),
    ),
    Mutation(
        "S5", "a step acts before its intent is on disk",
        [Swap("runbooks.logbook:Logbook.intent", _writes_no_intent)],
        noticed=Played(("S5",), CRASH),
    ),
    Mutation(
        "S6", "what nobody looks at any more counts as down",
        [Swap("controller.detect:age", _stale_is_down)],
        noticed=Told(("probe-has-stopped",)),
    ),
    Mutation(
        "S6", "what could not be found out is taken for a failure",
        [folding(_unknown_is_failure)],
        noticed=Told(("unknown-in-the-middle", "everything-unknown")),
    ),
    Mutation(
        "S7", "mode observe is no reason to hold",
        [Swap("controller.gates:_mode", open_gate("mode"))],
        noticed=Played(("S7",), scenario(fault(3.0, "crash", PG1), shape=Shape(mode="observe"))),
    ),
    Mutation(
        "S8", "a service that has just failed over does so again",
        [Swap("controller.gates:_blocked", open_gate("blocked"))],
        noticed=Played(("S8",), CRASH_UPON_CRASH),
    ),
    Mutation(
        "S9", "the DR site takes over on the word of one site",
        [Swap("controller.observer_gates:dr_gate", open_gate("dr")),
         Swap("controller.views:MemberView.at_dr", always(False))],
        noticed=Played(("S9",), scenario(
            fault(3.0, "crash", PG1), shape=Shape(sites=("dc1", "dc1", "far"), excluded=(1,)), ops="dc1")),
    ),
    Mutation(
        "S10", "a failover may need the site that is lost",
        [Swap("runbooks.lint:_RULES", tuple(r for r in LINT_RULES if r != step_that_needs_the_failed_site))],
        noticed=Linted("needs-the-failed-site.yaml", "needs the old primary"),
    ),
    Mutation(
        "S11", "success is said without a write from the client's side",
        [Swap(f"{ACTIONS}.verify_write:VerifyWrite.run", says_done)],
        noticed=Played(("S11",), CRASH),
    ),
    Mutation(
        "S12", "a password in a standby's conninfo is journaled",
        [Swap(f"{ACTIONS}.conninfo:refuse_secret", nothing)],
        noticed=Played(("S12",), CRASH, _password_in_conninfo),
    ),
    Mutation(
        "S13", "what is not known is said to have succeeded",
        [Swap("model.execution:StepResult.unknown", classmethod(
            lambda cls, detail, **output: cls.ok(detail, member="pg2", timeline=2, lsn=1)))],
        noticed=Played(("S13",), scenario(fault(3.0, "crash", PG1), promote_late_s=40.0, end_s=45.0)),
    ),
    Mutation(
        "S14", "another manager's cluster is switched all the same",
        [MANAGERS_UNSEEN,
         Swap("controller.supervisor.judgement:refusals_of_act", lambda *_args: iter(()))],
        noticed=Played(("S14",), CRASH, _managed_by_patroni),
    ),
)  # fmt: skip
