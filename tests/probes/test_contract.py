"""What every probe type owes, whatever the target does: a verdict by the deadline, three values, no leak."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import uvloop

from model.health import PROFILES
from model.observation import Failure, Observation, Outcome
from probes.base import Probe
from probes.registry import load_probe_type, probe_types
from probes.scheduler import Scheduler
from tests.bad_servers import (
    LOOPBACK,
    black_hole,
    closes,
    drips,
    garbage,
    nobody,
    open_sockets,
    reset,
    serving,
    silent,
    stalled,
)
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

Peer = Callable[[], AbstractAsyncContextManager[int]]

TIMEOUT_S = 0.3
TOLERANCE_S = 0.1  # the contract's own bound
PROFILE = replace(
    PROFILES["fast"], interval_s=0.1, timeout_s=TIMEOUT_S, burst_timeout_s=TIMEOUT_S, burst_interval_s=0.02
)

LOGIN = {"host": LOOPBACK, "user": "monitor", "sslmode": "disable"}
# How each type is pointed at a TCP peer; a type that speaks no TCP is tested for its own.
OPTIONS: dict[str, Callable[[int], dict[str, Any]]] = {
    "tcp": lambda port: {"host": LOOPBACK, "port": port, "send": "hello\n", "expect": "hello", "hold": True},
    "http": lambda port: {"url": f"http://{LOOPBACK}:{port}/"},
    "postgresql": lambda port: {**LOGIN, "port": port},
    "postgresql-canary": lambda port: {**LOGIN, "port": port},
}
NOT_TCP = {"heartbeat", "exec", "icmp"}

PEERS: dict[str, tuple[Peer, set[Failure]]] = {
    "silent": (lambda: serving(silent), {Failure.SILENT}),
    "stalled": (stalled, {Failure.SILENT}),
    "black hole": (black_hole, {Failure.SILENT}),
    "drips": (lambda: serving(drips), {Failure.SILENT, Failure.BAD_ANSWER}),
    "resets": (lambda: serving(reset), {Failure.RESET}),
    "closes": (lambda: serving(closes), {Failure.RESET}),
    "garbage": (lambda: serving(garbage), {Failure.BAD_ANSWER, Failure.SILENT}),
    "refuses": (nobody, {Failure.REFUSED}),
}


def on_the_daemons_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """uvloop; the types' own tests run on asyncio's."""

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        uvloop.run(test(**arguments))

    return run


def probe_of(name: str, port: int) -> Probe:
    cls = load_probe_type(name)
    return cls("shop/m1", cls.Options(**OPTIONS[name](port)), ports(RealClock()))


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """No task and no socket may outlive the block. The peer's own take a moment to see the end."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    yield
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while asyncio.all_tasks() - tasks or open_sockets() - sockets:
                await asyncio.sleep(0.01)
    assert {task.get_name() for task in asyncio.all_tasks() - tasks} == set()
    assert open_sockets() - sockets == set()


async def observe(probe: Probe, clock: RealClock, count: int) -> list[Observation]:
    seen: list[Observation] = []
    enough = asyncio.Event()

    def told(observation: Observation) -> None:
        seen.append(observation)
        if len(seen) >= count:
            enough.set()

    scheduler = Scheduler(clock, "ops1", told)
    scheduler.add(probe.target, probe, PROFILE)
    try:
        await asyncio.wait_for(enough.wait(), 20)
    finally:
        await scheduler.aclose()
    return seen


def test_every_registered_type_is_under_this_contract() -> None:
    assert set(probe_types()) == set(OPTIONS) | NOT_TCP


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("name", OPTIONS)
@on_the_daemons_loop
async def test_the_verdict_falls_by_the_deadline_and_nothing_is_left(name: str, peer: str) -> None:
    start, expected = PEERS[peer]
    clock = RealClock()
    async with start() as port, nothing_left():
        seen = await observe(probe_of(name, port), clock, count=10)
    judged = [observation for observation in seen if not observation.late]
    slowest_s = max(observation.latency_s for observation in judged)
    assert slowest_s < TIMEOUT_S + TOLERANCE_S + clock.worst_late_s
    # A busy machine may keep this process from its answers: that is unknown, and never a failure.
    kinds = {observation.failure for observation in judged if observation.failure is not Failure.LOCAL}
    assert kinds <= expected
    assert kinds
    assert {observation.outcome for observation in judged} <= {Outcome.FAILED, Outcome.UNKNOWN}


@pytest.mark.parametrize("name", OPTIONS)
@on_the_daemons_loop
async def test_an_attempt_that_is_cancelled_ends_at_once_and_closes_its_socket(name: str) -> None:
    async with serving(silent) as port, nothing_left():
        probe = probe_of(name, port)
        for turns in range(6):
            attempt = asyncio.create_task(probe.check())
            for _ in range(turns * 3):
                await asyncio.sleep(0)
            attempt.cancel()
            done, _pending = await asyncio.wait([attempt], timeout=1.0)
            assert done
        await probe.aclose()


@pytest.mark.parametrize("name", [*OPTIONS, *NOT_TCP])
def test_unknown_options_are_refused(name: str) -> None:
    cls = load_probe_type(name)
    with pytest.raises(ValueError, match="nonsense"):
        cls.Options(nonsense=1)
