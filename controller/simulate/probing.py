"""Probes as events of the world: the pace and the verdicts of the real scheduler, without a task for each.

When an attempt begins, bursts, overlaps and relaxes is the real `probes.scheduler_watch`; what the attempt
sees is asked of the simulated servers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from controller.simulate.loop import VirtualLoop
from controller.simulate.network import Host
from controller.simulate.timeline import Entry, Rhythm
from model.health import Profile
from model.observation import Failure, Observation, Outcome
from probes.awareness import Awareness
from probes.base import Probe, Reading
from probes.scheduler_timing import Pace, own_lag_spoils
from probes.scheduler_watch import Attempt, Watch

if TYPE_CHECKING:
    from controller.simulate.world import World

# Of what is planned anew after a jump (`quiet`).
PLANNED: Final = Rhythm()

Answer = Callable[[Reading], None]


class _Kind:
    """Of a watch, all that it asks of its probe."""

    def __init__(self, type_: str) -> None:
        self.type = type_


class Prober:
    """One probe of one target, by one observer."""

    concurrent = 4
    holds = False

    def __init__(
        self, probing: Probing, target: str, type_: str, profile: Profile, interval_s: float
    ) -> None:
        self.probing = probing
        now_s = probing.now_s()
        pace = Pace(f"{target}/{type_}", profile, interval_s, self.concurrent)
        self.watch = Watch(target, cast("Probe", _Kind(type_)), pace, last_start_s=now_s)
        self._start: Entry | None = None
        self._plans = 0
        self._paused = False
        self._expiries: dict[int, Entry] = {}
        self._holding = False
        self._held_s = float("-inf")
        self.plan(now_s)

    # --- what a kind of probe does

    def begin(self, answer: Answer) -> None:
        """Look, and give the reading when it has come back, if it ever does."""
        raise NotImplementedError

    def hold(self, ended: Callable[[Reading], None], lost: Callable[[], None]) -> None:
        """Hold a connection. lost: it could not be opened."""

    def dropped(self) -> None:
        """An attempt was let go of."""

    # --- as the scheduler does

    def plan(self, now_s: float) -> None:
        if self._paused:
            return
        watch = self.watch
        due_s = watch.next_start_s(now_s, self.probing.awareness.score)
        if due_s == watch.due_s and self._start is not None:
            return
        if self._start is not None:
            self._start.cancel()
            self._start = None
        watch.due_s = due_s
        if due_s is not None:
            self._plans += 1
            self._start = self.probing.at(due_s, partial(self._started, self._plans), PLANNED)

    def _started(self, plan: int) -> None:
        """Of a plan that was given up while the process stood still nothing comes."""
        if plan != self._plans or self._start is None or self.watch.removed:
            return
        self._start = None
        self.watch.due_s = None
        self._begin(self.probing.now_s())

    def _begin(self, now_s: float) -> None:
        watch = self.watch
        timeout_s = watch.pace.timeout_s(watch.bursting(now_s), self.probing.awareness.score)
        attempt = Attempt(now_s, timeout_s, self.probing.late_s)
        watch.waiting.append(attempt)
        watch.last_start_s = now_s
        expire = partial(self._expire, attempt)
        self._expiries[id(attempt)] = self.probing.at(attempt.deadline_s, expire, PLANNED)
        self.begin(partial(self._answered, attempt))
        self.plan(now_s)

    def _answered(self, attempt: Attempt, reading: Reading) -> None:
        """Called in the observer's process."""
        watch, now_s = self.watch, self.probing.now_s()
        if watch.removed:
            return
        if attempt in watch.waiting:
            lag_s = self.probing.late_s - attempt.lag_mark_s
            if lag_s > attempt.timeout_s:
                reading = _late_ourselves(lag_s)
            self._conclude(attempt, reading, now_s)
        elif attempt in watch.overdue:
            watch.overdue.remove(attempt)
            self._take_back_expiry(attempt)
            if reading.shows_life and attempt.started_s > watch.newest_life_s:
                watch.newest_life_s = attempt.started_s
                self.probing.awareness.saw(watch.target, reading)
                self.probing.deliver(self, reading, attempt.started_s, now_s, late=True)

    def _expire(self, attempt: Attempt) -> None:
        watch, now_s = self.watch, self.probing.now_s()
        if watch.removed or attempt not in watch.waiting:
            return
        lag_s = self.probing.late_s - attempt.lag_mark_s
        if own_lag_spoils(lag_s, attempt.timeout_s):
            self.dropped()
            self._conclude(attempt, _late_ourselves(lag_s), now_s)
            return
        if len(watch.overdue) < watch.most_overdue:
            watch.overdue.append(attempt)
            give_up = partial(self._give_up, attempt)
        else:
            self.dropped()
            give_up = None
        silent = Reading.failed(Failure.SILENT, f"no answer within {attempt.timeout_s:g} s")
        self._conclude(attempt, silent, now_s)
        if give_up is not None:
            self._expiries[id(attempt)] = self.probing.at(now_s + watch.pace.overdue_s, give_up)

    def _give_up(self, attempt: Attempt) -> None:
        self._expiries.pop(id(attempt), None)
        if attempt in self.watch.overdue:
            self.watch.overdue.remove(attempt)
            self.dropped()

    def _conclude(self, attempt: Attempt, reading: Reading, now_s: float) -> None:
        watch = self.watch
        watch.waiting.remove(attempt)
        self._take_back_expiry(attempt)
        watch.learn(reading, attempt.started_s, now_s)
        self.probing.awareness.saw(watch.target, reading)
        self.probing.deliver(self, reading, attempt.started_s, now_s)
        if watch.removed:
            return
        if reading.outcome is Outcome.SUCCEEDED:
            self._hold(now_s)
        self.plan(now_s)

    def _take_back_expiry(self, attempt: Attempt) -> None:
        expiry = self._expiries.pop(id(attempt), None)
        if expiry is not None:
            expiry.cancel()

    def _hold(self, now_s: float) -> None:
        if self.holds and not self._holding and now_s - self._held_s >= self.watch.pace.interval_s:
            self._held_s = now_s
            self._holding = True
            self.hold(self._hold_ended, self._hold_lost)

    def _hold_lost(self) -> None:
        self._holding = False

    def _hold_ended(self, reading: Reading) -> None:
        self._holding = False
        now_s = self.probing.now_s()
        if not self.watch.removed:
            self.probing.deliver(self, reading, now_s, now_s)
            self.look_now(now_s)

    def look_now(self, now_s: float) -> None:
        watch = self.watch
        watch.suspect(now_s)
        if not watch.removed and len(watch.waiting) < watch.pace.concurrent:
            self._begin(now_s)

    # --- a quiet stretch

    @property
    def at_rest(self) -> bool:
        """Nothing of it is under way, and the next attempt is one of its calm series."""
        return self.calm and not self.watch.waiting

    @property
    def calm(self) -> bool:
        """It does what it always does."""
        watch = self.watch
        return watch.burst_since_s is None and not watch.overdue and (self._holding or not self.holds)

    def facts_now(self) -> dict[str, Any]:
        """What an attempt that succeeds now would read."""
        return {}

    def pause(self) -> None:
        """Begin nothing."""
        self._paused = True
        if self._start is not None:
            self._start.cancel()
            self._start = self.watch.due_s = None

    def go_on(self, from_s: float) -> int:
        """After a pause that began at `from_s`, of the monotonic clock: how many attempts that left out."""
        self._paused = False
        now_s, slots = self.probing.now_s(), self.watch.pace.slots
        self.plan(now_s)
        return slots.number_after(now_s) - slots.number_after(from_s)

    def remove(self) -> None:
        self.watch.removed = True
        if self._start is not None:
            self._start.cancel()


class Probing:
    """All probes of one observer, on one host, in one process."""

    def __init__(
        self, world: World, loop: VirtualLoop, host: Host, name: str, seen: Callable[[Observation], None]
    ) -> None:
        self.world = world
        self.loop = loop
        self.host = host
        self.name = name
        self.awareness = Awareness()
        self.late_s = 0.0
        self._seen = seen
        self._probers: dict[tuple[str, str], Prober] = {}

    def now_s(self) -> float:
        """Monotonic, of the process."""
        return self.loop.time()

    def at(self, at_s: float, do: Callable[[], None], rhythm: Rhythm | None = None) -> Entry:
        """In the process, at a moment of its monotonic clock."""
        return self.world.timeline.at(at_s - self.loop.offset_s, lambda: self.loop.hear(do), rhythm)

    def ask(self, server_host: str, arrive: Callable[[], None]) -> None:
        self.world.network.send(self.host.name, server_host, arrive)

    def tell(self, server_host: str, hear: Callable[[], None]) -> None:
        """Back from there to the process."""
        self.world.network.send(server_host, self.host.name, lambda: self.loop.hear(hear))

    def add(self, prober: Prober) -> None:
        self._probers[prober.watch.target, prober.watch.type] = prober

    def all(self) -> list[Prober]:
        return list(self._probers.values())

    def of(self, target: str, type_: str) -> Prober | None:
        return self._probers.get((target, type_))

    def watches(self, target: str, type_: str) -> bool:
        return (target, type_) in self._probers

    def suspect(self, target: str) -> None:
        """Look at once, and in a burst."""
        for (watched, _type), prober in list(self._probers.items()):
            if watched == target:
                prober.look_now(self.now_s())

    def remove(self, target: str, type_: str) -> None:
        prober = self._probers.pop((target, type_), None)
        if prober is not None:
            prober.remove()

    def deliver(
        self, prober: Prober, reading: Reading, started_s: float, ended_s: float, *, late: bool = False
    ) -> None:
        self._seen(
            Observation(
                target=prober.watch.target,
                probe=prober.watch.type,
                observer=self.name,
                outcome=reading.outcome,
                started_s=started_s,
                ended_s=ended_s,
                wall_s=0.0,
                failure=reading.failure,
                detail=reading.detail,
                facts=reading.facts,
                late=late,
            )
        )


def _late_ourselves(lag_s: float) -> Reading:
    return Reading.unknown(Failure.LOCAL, f"this process was late by {lag_s * 1000:.0f} ms")
