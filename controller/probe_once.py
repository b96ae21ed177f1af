"""One attempt of a probe, outside any schedule: for a person, and for an inspection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from model.observation import Failure, Observation
from model.ports import Clock
from probes.base import Probe, Reading
from probes.trace import listening

# How long a cancelled attempt may take to end before its sockets are shut.
LINGER_S = 0.2


async def run_once(
    probe: Probe,
    timeout_s: float,
    clock: Clock,
    *,
    observer: str = "inspection",
    listener: Callable[[str], None] | None = None,
) -> Observation:
    """One reading within `timeout_s` seconds; the deadline is ours, whatever the probe's library does.

    listener: gets each step that the probe notes. The probe stays usable and is closed by the caller.
    """
    started_s = clock.monotonic_s()
    attempt = asyncio.create_task(_attempt(probe, listener), name=f"probe {probe.type} {probe.target} once")
    try:
        await asyncio.wait({attempt}, timeout=timeout_s)
        if attempt.done():
            reading = attempt.result()
        else:
            reading = Reading.failed(Failure.SILENT, f"no answer within {timeout_s:g} s")
    finally:
        await _end(attempt, probe)
    return Observation(
        target=probe.target,
        probe=probe.type,
        observer=observer,
        outcome=reading.outcome,
        started_s=started_s,
        ended_s=clock.monotonic_s(),
        wall_s=clock.wall_s(),
        failure=reading.failure,
        detail=reading.detail,
        facts=reading.facts,
    )


async def _attempt(probe: Probe, listener: Callable[[str], None] | None) -> Reading:
    try:
        if listener is None:
            return await probe.check()
        with listening(listener):
            return await probe.check()
    except Exception as error:  # noqa: BLE001  # a probe's fault is an observation
        return Reading.unknown(Failure.LOCAL, f"probe error: {type(error).__name__}: {error}"[:300])


async def _end(attempt: asyncio.Task[Reading], probe: Probe) -> None:
    if attempt.done():
        return
    attempt.cancel()
    await asyncio.wait({attempt}, timeout=LINGER_S)
    if not attempt.done():
        probe.abandon()
        await asyncio.wait({attempt}, timeout=LINGER_S)
