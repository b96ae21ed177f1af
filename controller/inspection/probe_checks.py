"""Every probe of the estate, once; and what its facts warn of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from controller.early_warnings.scene import Scene, Watched
from controller.early_warnings.spoken import latency
from controller.early_warnings.watcher import Watcher
from controller.inspection.concurrently import as_they_end
from controller.inspection.ground import Ground
from controller.inspection.words import Line, Result
from controller.supervisor.probing import Watch
from model.errors import UsageError
from model.health import ProbeState
from model.observation import Observation, Outcome

_RESULTS = {
    Outcome.SUCCEEDED: Result.OK,
    Outcome.FAILED: Result.FAILED,
    Outcome.UNKNOWN: Result.UNKNOWN,
}


async def probes(ground: Ground) -> AsyncIterator[Line]:
    async def one(about: str, watch: Watch | UsageError, timeout_s: float) -> list[Line]:
        if isinstance(watch, UsageError):
            return [Line(about, Result.FAILED, watch.what, watch.hint)]
        seen = await ground.read(watch, timeout_s)
        return [_line(about, seen), *_warnings(ground, about, seen)]

    async for lines in as_they_end(one(*watch) for watch in ground.watches()):
        for line in lines:
            yield line


def _line(about: str, seen: Observation) -> Line:
    name = seen.target.partition("/")[2] or seen.target
    why = f"{seen.failure}: {seen.detail}" if seen.failure and seen.detail else seen.detail or seen.failure
    said = (
        "answers"
        if seen.outcome is Outcome.SUCCEEDED
        else "can't be told"
        if seen.outcome is Outcome.UNKNOWN
        else "fails"
    )
    took = latency(seen.latency_s)
    more = f": {why}" if why else ""
    return Line(about, _RESULTS[seen.outcome], f"{name} ({seen.probe}) {said} after {took}{more}")


def _warnings(ground: Ground, about: str, seen: Observation) -> Iterator[Line]:
    """By the rules of the early warnings that need no history."""
    good = seen if seen.outcome is Outcome.SUCCEEDED else None
    state = ProbeState(seen.target, seen.probe, last=seen, last_good=good)
    name = seen.target.partition("/")[2] or seen.target
    watched = Watched(about, name, state, seen.latency_s, 0.0)
    scene = Scene(ground.clock.monotonic_s(), ground.clock.wall_s(), [watched])
    for sign in Watcher().signs(scene, ground.estate.warnings):
        if sign is not None and sign.passed:
            yield Line(about, Result.WARNING, f"{sign.key.code}: {sign.sentence}")
