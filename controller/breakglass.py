"""Break-glass: a failover by hand with the daemon dead or frozen. Same gates, same runbook, same journal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from config.loader import LoadedEstate
from controller import estate_file
from controller.adapters.clock import SystemClock
from controller.executions import fold_executions
from controller.logs import configure_logging
from controller.station import Station
from controller.store.sqlite import SqliteStore
from controller.supervisor.requests import Requests
from controller.supervisor.supervisor import Supervisor
from controller.supervisor.switch_gates import Wish
from model.diagnosis import Stance
from model.errors import HeldError, UsageError
from model.execution import ExecutionState

_POLL_S = 0.05
ShowPlan = Callable[[Mapping[str, Any]], int]


def failover(
    config: Path,
    service: str,
    *,
    to: str | None,
    overrides: Sequence[str],
    reason: str,
    person: str,
    take_over: bool,
    show: ShowPlan | None = None,
) -> int:
    """Returns the exit code: 0 done, 1 failed or undone, 4 outcome unknown. Raises BcmError, HeldError among
    them. take_over: the daemon holds the state directory and is frozen; it loses its leadership. show: only
    make the plan, and give it to this, which says the exit code."""
    configure_logging()
    loaded = estate_file.load(config)
    if service not in loaded.estate.services:
        raise UsageError(f"no service {service!r}", hint=f"services: {', '.join(loaded.estate.services)}")
    wish = Wish(to, person, tuple(overrides), reason)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_failover(loaded, service, wish, take_over, show))


async def _failover(
    loaded: LoadedEstate, service: str, wish: Wish, take_over: bool, show: ShowPlan | None
) -> int:
    clock = SystemClock()
    store = SqliteStore.open(
        loaded.estate.daemon.state_dir,
        owner=f"break-glass:{wish.person}",
        clock=clock,
        take_over=take_over,
        reason=wish.reason or f"failover by {wish.person}",
    )
    try:
        if not store.held():
            raise HeldError(
                str(store.problem),
                gate="leadership",
                hint="a daemon that works takes `failover` without --no-daemon; against a frozen one "
                "add --take-over",
            )
        # Quiet: the person decides here, and whatever else may be done is left to the daemon.
        station = Station(loaded, store, clock, quiet=True)
        station.start()
        try:
            return await _act(station, station.supervisors[service], wish, show)
        finally:
            await station.stop()
    finally:
        store.close()


async def _act(station: Station, supervisor: Supervisor, wish: Wish, show: ShowPlan | None) -> int:
    left_open = supervisor.ledger.open_executions
    await _look(station, supervisor)
    if left_open and supervisor.judge_now().diagnosis.info.stance in (Stance.NONE, Stance.MEND):
        # The owner that is gone had begun it, and it has been brought to its end: that was the failover.
        sys.stdout.write(
            f"{left_open[0]} was open and has been resumed; {supervisor.ledger.primary} is primary\n"
        )
        return _told(station, left_open[0])
    answer = await Requests(supervisor, alone=True).failover(wish, dry_run=show is not None)
    if show is not None:
        return show(answer)
    while supervisor.busy:
        await station.clock.sleep(_POLL_S)
    return _told(station, str(answer["execution"]))


async def _look(station: Station, supervisor: Supervisor) -> None:
    """Until the diagnosis is confirmed, or for as long as that may take: at the start it knows nothing."""
    profile = supervisor.service.detection
    deadline_s = station.clock.monotonic_s() + profile.worst_detection_s + profile.restart_grace_s + 1.0
    sys.stderr.write(f"looking at {supervisor.service.name} before anything is done…\n")
    while station.clock.monotonic_s() < deadline_s:
        judged = supervisor.judge_now()
        seen_all = all(m.pg.last is not None for m in judged.view.members)
        if (
            not supervisor.busy
            and seen_all
            and judged.diagnosis.confirmed
            and judged.diagnosis.code != "NotObservedYet"
        ):
            primary = judged.view.member(judged.view.primary)
            if primary is None or not primary.fresh or judged.diagnosis.code == "Healthy":
                return
        await station.clock.sleep(_POLL_S)


def _told(station: Station, execution: str) -> int:
    run = fold_executions(station.journal.events(execution=execution))[execution]
    for step in run.steps:
        detail = step.last.detail if step.last else ""
        sys.stdout.write(f"{step.state:10} {step.id:12} {detail}\n")
    sys.stdout.write(f"{execution} {run.state}" + (f": {run.reason}" if run.reason else "") + "\n")
    match run.state:
        case ExecutionState.SUCCEEDED.value:
            return 0
        case ExecutionState.UNKNOWN.value:
            return 4
        case _:
            return 1
