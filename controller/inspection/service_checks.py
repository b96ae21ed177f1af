"""Is each service ready to lose its primary? From fresh readings of its members and from the journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

from config.findings import Severity
from config.schema import Estate, PostgresqlService, Service
from controller.engines import engine_of
from controller.executions import expected_durations
from controller.inspection.ground import Ground
from controller.inspection.words import Line, Result
from controller.readiness import Ready, readiness
from controller.redundancy_rules import drift
from controller.supervisor.judgement import candidates, redundancy_missing, refusals_of_act
from controller.views import MemberView, ServiceView
from model.errors import RunbookError
from model.events import Event
from runbooks.library import RunbookFileError, load_runbook
from runbooks.lint import lint
from runbooks.plan_view import expected_sum_ms
from runbooks.schema import Runbook

# Those whose time is an outage, and whether what came before them counts: a planned move has no detection.
_TIMED = (("postgresql-failover", True), ("postgresql-switchover", False))
_OK = {True: Result.OK, False: Result.FAILED, None: Result.WARNING}


def _about(service: Service, member: str | None = None) -> str:
    return f"service/{service.name}" + (f"/{member}" if member else "")


async def candidate(ground: Ground) -> AsyncIterator[Line]:
    for service in ground.postgresql():
        for ready in await _ready(ground, service):
            if ready.what in ("candidate", "proof"):
                # What can't be read is not lost: the probes say what is wrong with it.
                yield Line(
                    _about(service), _OK[ready.ok], ready.text, ready.hint if ready.ok is not True else ""
                )


async def standing(ground: Ground) -> AsyncIterator[Line]:
    """Hands off, blocks and open executions."""
    wall_ns = int(ground.clock.wall_s() * 1e9)
    for service in ground.services():
        await ground.events_of(service)  # without the journal nothing of this is known
        ledger = (await ground.fresh(service)).case.ledger
        about = _about(service)
        paused, found = ledger.paused(wall_ns), False
        if ledger.open_executions:
            found = True
            execution = ledger.open_executions[0]
            yield Line(
                about, Result.FAILED, f"{execution} is open", f"bcm-failover execution show {execution}"
            )
        if ledger.blocked is not None:
            found = True
            todo = f"look, then: bcm-failover acknowledge {service.name}"
            yield Line(about, Result.WARNING, f"blocked: {ledger.blocked}", todo)
        if paused is not None:
            found = True
            yield Line(about, Result.WARNING, f"paused: {paused}", f"bcm-failover resume {service.name}")
        if not found:
            text = f"mode {service.mode.value}; not paused, not blocked, nothing is being executed"
            yield Line(about, Result.OK, text)


async def copies(ground: Ground) -> AsyncIterator[Line]:
    for service in ground.services():
        view = await ground.view(service)
        ledger = (await ground.fresh(service)).case.ledger
        missing = redundancy_missing(service, ledger, view)
        if missing:
            yield Line(_about(service), Result.FAILED, "; ".join(missing))
        else:
            yield Line(_about(service), Result.OK, _complete(view))
        for ready in await _ready(ground, service) if isinstance(service, PostgresqlService) else ():
            if ready.what == "copy" and not missing:
                yield Line(_about(service), Result.WARNING, ready.text)


def _complete(view: ServiceView) -> str:
    if view.engine.primaries:
        return f"{len(view.standbys)} standbys stream from {view.primary}"
    return f"{len(view.members)} members answer" if view.members else "known by its declared probes"


async def sync_state(ground: Ground) -> AsyncIterator[Line]:
    for service in ground.postgresql():
        view = await ground.view(service)
        about = _about(service)
        lines = [*_names(view, about, await _ready(ground, service)), *_refusals(service, view, about)]
        found = drift(view, ground.clock.monotonic_s())
        if found is not None:
            lines.append(Line(about, Result.FAILED, "; ".join(e.text for e in found.evidence)))
        primary = view.member(view.primary)
        if primary is None or not primary.fresh:
            lines.append(Line(about, Result.UNKNOWN, "there is no primary that can be read"))
        else:
            lines += [_state_of(service, primary, member) for member in view.standbys]
        for line in lines:
            yield line


def _names(view: ServiceView, about: str, ready: tuple[Ready, ...]) -> Iterator[Line]:
    for line in ready:
        if line.what in ("names", "max_wal_senders"):
            yield Line(about, _OK[line.ok], line.text, line.hint if not line.ok else "")
    if not view.settings and (primary := view.member(view.primary)) is not None and primary.fresh:
        yield Line(about, Result.UNKNOWN, "synchronous_standby_names of the primary can't be read")


def _refusals(service: PostgresqlService, view: ServiceView, about: str) -> Iterator[Line]:
    for reason in refusals_of_act(service, view):
        yield Line(about, Result.FAILED, f"mode act is refused: {reason}")


def _state_of(service: Service, primary: MemberView, member: MemberView) -> Line:
    rows = primary.facts.get("standbys")
    states = [
        str(row.get("sync_state"))
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict)
        and str(row.get("application_name", "")).lower() == member.application_name.lower()
    ]
    about = _about(service, member.name)
    if not states:
        return Line(about, Result.FAILED, f"{member.name} does not stream from {primary.name}")
    return Line(about, Result.OK, f"{member.name} streams from {primary.name}, {' and '.join(states)}")


async def rewind(ground: Ground) -> AsyncIterator[Line]:
    for service in ground.postgresql():
        for member in (await ground.view(service)).members:
            hints, sums = member.facts.get("wal_log_hints"), member.facts.get("data_checksums")
            about = _about(service, member.name)
            if hints is None and sums is None:
                yield Line(about, Result.UNKNOWN, f"{member.name} can't be read")
            elif hints is False and sums is False:
                text = f"{member.name} has neither data checksums nor wal_log_hints"
                yield Line(about, Result.FAILED, text)
            else:
                has = "data checksums" if sums else "wal_log_hints"
                yield Line(about, Result.OK, f"{member.name} has {has}")


async def runbook_lints(ground: Ground) -> AsyncIterator[Line]:
    for service in ground.services():
        for name in engine_of(service.engine, service.managed_by).runbooks.values():
            for line in await asyncio.to_thread(_lint, ground.estate, service, name):
                yield line


def _lint(estate: Estate, service: Service, name: str) -> list[Line]:
    about = _about(service)
    try:
        found = list(lint(load_runbook(name, estate.daemon.runbook_dirs), estate, service))
    except RunbookFileError as error:
        found = list(error.findings)
    except RunbookError as error:
        return [Line(about, Result.FAILED, f"{name}: {error.what}", error.hint)]
    if not found:
        return [Line(about, Result.OK, f"{name}: nothing is wrong with it")]
    results = {Severity.ERROR: Result.FAILED, Severity.WARNING: Result.WARNING}
    return [Line(about, results[finding.severity], f"{name}: {finding}") for finding in found]


async def expected_rto(ground: Ground) -> AsyncIterator[Line]:
    for service in ground.postgresql():
        events = await ground.events_of(service)
        for name, detected in _TIMED:
            for line in await asyncio.to_thread(_times, ground.estate, service, (name, detected), events):
                yield line


def _times(estate: Estate, service: Service, timed: tuple[str, bool], events: Sequence[Event]) -> list[Line]:
    """A drill is no outage, and often quicker: each mode by itself. timed: a row of `_TIMED`."""
    name, detected = timed
    runbook = load_runbook(name, estate.daemon.runbook_dirs)
    lines = [_expected(service, (runbook, mode), detected, events) for mode in ("real", "drill")]
    found = [line for line in lines if line is not None]
    nothing = Line(_about(service), Result.SKIPPED, f"{name} has not been run yet: nothing is measured")
    return found or [nothing]


def _expected(
    service: Service, run: tuple[Runbook, str], detected: bool, events: Sequence[Event]
) -> Line | None:
    """run: runbook and mode. None: it was never run so."""
    (runbook, mode), about, rto_ms = run, _about(service), round(service.objectives.rto * 1000)
    name = runbook.name
    past = expected_durations(events, name, mode=mode)
    steps_ms = expected_sum_ms(runbook, {s: d.p95_ms for s, d in past.items()})
    if steps_ms is None:
        return None
    detect_ms = round(service.detection.worst_detection_s * 1000) if detected else 0
    most = max(d.samples for d in past.values())
    text = (
        f"{name}: {(detect_ms + steps_ms) / 1000:.1f} s of {rto_ms / 1000:g} s (detection "
        f"{detect_ms / 1000:.1f} s, steps {steps_ms / 1000:.1f} s 95th percentile of {most} {mode} runs)"
    )
    return Line(about, Result.OK if detect_ms + steps_ms <= rto_ms else Result.WARNING, text)


async def _ready(ground: Ground, service: Service) -> tuple[Ready, ...]:
    view = await ground.view(service)
    return readiness(view, *candidates(view))
