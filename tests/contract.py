"""How the contract of the probe types is tested: short times, and what must not be left behind."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import uvloop

from model.health import PROFILES, Profile
from model.observation import Observation
from probes.base import Probe, Reading
from probes.scheduler import Scheduler
from probes.scheduler_timing import next_slot_s
from probes.tcp import TcpOptions, TcpProbe
from tests.bad_servers import LOOPBACK, open_sockets
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

# Sleeps of 2 ms, and by how much each was late: what the machine adds, whatever this process does.
METRONOME = """
import json, sys, threading, time
late, ended = [], threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
print(flush=True)
while not ended.is_set():
    due = time.monotonic() + 0.002
    time.sleep(0.002)
    late.append(time.monotonic() - due)
print(json.dumps(late))
"""


def profile(timeout_s: float, interval_s: float = 0.1) -> Profile:
    """Attempts end soon after they are judged, for a test has many of them."""
    return replace(
        PROFILES["fast"],
        interval_s=interval_s,
        timeout_s=timeout_s,
        burst_timeout_s=timeout_s,
        burst_interval_s=0.02,
        silence_s=2 * timeout_s,
    )


def on_the_daemons_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """uvloop; the types' own tests run on asyncio's."""

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        uvloop.run(test(**arguments))

    return run


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """No task, socket, pipe, thread or child process may outlive the block. What happens in threads and in
    peers of this process takes a moment to see the end."""
    before = _alive()
    yield
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            while any(_left(before)):
                await asyncio.sleep(0.01)
    assert _left(before) == [set(), set(), set(), set(), set()]


def _alive() -> tuple[set[Any], ...]:
    return asyncio.all_tasks(), open_sockets(), open_sockets("pipe:"), set(threading.enumerate()), children()


def _left(before: Sequence[set[Any]]) -> list[set[Any]]:
    return [now - then for then, now in zip(before, _alive(), strict=True)]


def children() -> set[int]:
    """Process ids of this process's children, the dead that nobody waited for among them."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in (thread / "children").read_text().split()}
    return found


async def observe(
    probes: Sequence[Probe],
    kind: Profile,
    enough: Callable[[Observation], bool],
    neighbour: Neighbour | None = None,
) -> float:
    """Watch all of `probes`, each as a target of its own, until `enough` was seen of them. By how much this
    process's own sleeps were late at most."""
    ended = asyncio.Event()
    clock = RealClock()

    def told(observation: Observation) -> None:
        if observation.target != Neighbour.NAME and enough(observation):
            ended.set()

    scheduler = Scheduler(clock, "ops1", told)
    for probe in probes:
        scheduler.add(probe.target, probe, kind)
    if neighbour is not None:
        scheduler.add(neighbour.target, neighbour, kind, Neighbour.INTERVAL_S)
    try:
        await asyncio.wait_for(ended.wait(), 40)
    finally:
        await scheduler.aclose()
    return clock.worst_late_s


@dataclass
class Judged:
    """What was seen of each target, until there is `wanted` of each."""

    wanted: int
    targets: int
    seen: dict[str, list[Observation]] = field(default_factory=dict)

    def __call__(self, observation: Observation) -> bool:
        if not observation.late:
            self.seen.setdefault(observation.target, []).append(observation)
        counts = [len(seen) for seen in self.seen.values()]
        return len(counts) == self.targets and min(counts) >= self.wanted


class Neighbour(TcpProbe):
    """A healthy target, and by how much each of its attempts began after its time."""

    NAME = "neighbour"
    INTERVAL_S = 0.02

    def __init__(self, port: int) -> None:
        self.delays_s: list[float] = []
        self._last_s: float | None = None
        super().__init__(self.NAME, TcpOptions(host=LOOPBACK, port=port), ports(RealClock()))

    async def check(self) -> Reading:
        now_s = time.monotonic()
        if self._last_s is not None:
            due_s = next_slot_s(f"{self.target}/{self.type}", self._last_s, self.INTERVAL_S)
            self.delays_s.append(max(0.0, now_s - due_s))
        self._last_s = now_s
        return await super().check()


@contextmanager
def lateness_of_the_machine() -> Iterator[list[float]]:
    """Filled at the end: by how much the sleeps of another process were late meanwhile."""
    late_s: list[float] = []
    command = [sys.executable, "-c", METRONOME]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as metronome:
        assert metronome.stdout is not None
        metronome.stdout.readline()
        yield late_s
        answer, _nothing = metronome.communicate()
        late_s += json.loads(answer)


@contextmanager
def peak_memory() -> Iterator[list[int]]:
    """Filled at the end: bytes by which the resident memory of this process rose at its peak."""
    grown: list[int] = []
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the earlier peak
    before = _status_bytes("VmRSS")
    yield grown
    grown.append(_status_bytes("VmHWM") - before)


def _status_bytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise AssertionError(key)
