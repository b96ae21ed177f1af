"""Runs every probe on one event loop, and owns the deadlines.

Each attempt is a task of its own. The verdict falls at the deadline whatever the attempt's library does; the
attempt may run on for a while, and a late answer is still told, because an answer is not death (S6). One task
keeps the time: it sleeps until the next start or deadline, and by how late it wakes it knows how late this
process itself is. Nothing here knows a probe type.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from functools import partial

import structlog

from model.errors import UsageError
from model.health import Profile
from model.observation import Failure, Observation, Outcome
from model.ports import Clock
from probes.awareness import ROUND_S, Awareness
from probes.base import Probe, Reading
from probes.scheduler_tasks import all_end, cancelled_by_us, report_death, spawn
from probes.scheduler_time import Timekeeper
from probes.scheduler_timing import OVERLAP_LAG_SHARE, Pace, own_lag_spoils
from probes.scheduler_watch import Attempt, Watch

# A cancelled attempt ends within a turn of the loop; one that does not has a library that waits for the peer.
LINGER_S = 0.1
# Most attempts have ended before this age, and only those that have not get timers, where these are due much
# later. It saves two timers for each check, and the garbage collector's work on them.
YOUNG_S = 0.05
CLOSE_S = 1.0  # the longest that closing waits for a task or a probe that does not end

log = structlog.get_logger(__name__)


class Scheduler:
    """All probes of one observer, which is named in each observation. awareness: how well this process is
    itself.

    `on_observation` is called on the loop, once for each reading, and must not block.
    """

    def __init__(self, clock: Clock, observer: str, on_observation: Callable[[Observation], None]) -> None:
        self._clock = clock
        self.observer = observer
        self._on_observation = on_observation
        self._watches: dict[tuple[str, str], Watch] = {}
        self._time = Timekeeper(clock)
        self._young: list[tuple[Watch, Attempt]] = []
        self._round_s = 0.0
        self._round_lag_s = 0.0
        self.awareness = Awareness()

    @property
    def progress_s(self) -> float:
        """Monotonic time of the last completed round, a fraction of a second old while the loop is alive: for
        a watchdog."""
        return self._time.progress_s

    @property
    def late_s(self) -> float:
        """What this process has been late by in all."""
        return self._time.late_s(self._clock.monotonic_s())

    def start(self) -> None:
        """Begin to keep time; `add` does it too. Needs a running loop."""
        if self._time.start():
            self._begin_round(self._clock.monotonic_s())

    def add(self, target: str, probe: Probe, profile: Profile, interval_s: float | None = None) -> None:
        """Watch `target` with `probe` until `remove`; the first attempt begins within one interval.

        The probe belongs to the scheduler from now on and is closed by it. `interval_s` replaces the
        profile's. Raises UsageError if the target is watched by a probe of this type already.
        """
        key = (target, probe.type)
        if key in self._watches:
            raise UsageError(
                f"a {probe.type} probe watches it already", where=target, hint="remove that probe first"
            )
        self.start()
        now_s = self._clock.monotonic_s()
        pace = Pace("/".join(key), profile, interval_s or profile.interval_s, max(1, probe.concurrent))
        watch = self._watches[key] = Watch(target, probe, pace, last_start_s=now_s)
        self._plan(watch, now_s)

    def watched(self) -> list[tuple[str, str]]:
        """(target, probe type) of all that is watched."""
        return list(self._watches)

    def suspect(self, target: str, type_: str | None = None) -> None:
        """Look at a target at once and in a burst, with one of its probes or with all."""
        for watch in list(self._watches.values()):
            if watch.target == target and type_ in (None, watch.type):
                self._look_now(watch, self._clock.monotonic_s())

    async def remove(self, target: str, type_: str) -> None:
        """Stop watching and close the probe. Nothing is observed of it after this call has begun."""
        watch = self._watches.pop((target, type_), None)
        if watch is not None:
            await self._close(watch)

    async def aclose(self) -> None:
        """Stop everything; no task and no socket is left behind."""
        watches = list(self._watches.values())
        self._watches.clear()
        await self._time.stop()
        await asyncio.gather(*(self._close(watch) for watch in watches))

    # --- own health

    def _begin_round(self, now_s: float) -> None:
        self._round_s, self._round_lag_s = now_s, self._time.late_s(now_s)
        self._time.at(now_s + ROUND_S, self._end_round)

    def _end_round(self, now_s: float) -> None:
        late_s = self._time.late_s(now_s) - self._round_lag_s
        self.awareness.end_round(now_s - self._round_s, late_s, awaited=self._time.awaited > 0)
        self._begin_round(now_s)

    # --- attempts

    def _plan(self, watch: Watch, now_s: float) -> None:
        """Settle when the next attempt begins; what was planned before is void."""
        due_s = watch.next_start_s(now_s, self.awareness.score)
        if due_s is None and watch.stuck:
            due_s = watch.pace.slots.after(now_s)
        if due_s != watch.due_s:
            timer = None
            if due_s is not None:
                slack_s = 0.0 if watch.bursting(now_s) else watch.pace.slack_s
                timer = self._time.at(due_s, partial(self._start_due, watch), slack_s)
            watch.start_at(due_s, timer)

    def _start_due(self, watch: Watch, now_s: float) -> None:
        watch.start_at(None, None)
        if watch.removed:
            return
        if watch.stuck:
            text = f"{len(watch.cancelled)} attempts do not end: the probe's library hangs"
            self._deliver(watch, Reading.unknown(Failure.LOCAL, text), now_s, now_s)
            self._plan(watch, now_s)
        elif watch.waiting and self._was_late_beside(watch, now_s):
            due_s = now_s + watch.waiting[-1].timeout_s / watch.pace.concurrent
            watch.start_at(due_s, self._time.at(due_s, partial(self._start_due, watch)))
        else:
            self._begin(watch, now_s)

    def _was_late_beside(self, watch: Watch, now_s: float) -> bool:
        """Was this process itself late since the last attempt began, or since this was asked last? The answer
        may be here, unread. To ask again beside it would make an overload several times worse."""
        since_s, mark_s = watch.postponed or (watch.waiting[-1].started_s, watch.waiting[-1].lag_mark_s)
        late_s = self._time.late_s(now_s)
        watch.postponed = (now_s, late_s)
        return late_s - mark_s > OVERLAP_LAG_SHARE * (now_s - since_s)

    def _begin(self, watch: Watch, now_s: float) -> None:
        timeout_s = watch.pace.timeout_s(watch.bursting(now_s), self.awareness.score)
        attempt = Attempt(now_s, timeout_s, self._time.late_s(now_s))
        watch.waiting.append(attempt)
        watch.last_start_s = now_s
        watch.postponed = None
        self._time.awaited += 1
        attempt.task = asyncio.create_task(self._attempt(watch, attempt), name=watch.name)
        attempt.task.add_done_callback(partial(self._ended, watch, attempt))
        if timeout_s / watch.pace.concurrent > 2 * YOUNG_S:
            watch.start_at(None, None)
            self._young.append((watch, attempt))
            if len(self._young) == 1:
                self._time.at(now_s + YOUNG_S, self._arm_young)
        else:
            self._arm(watch, attempt, now_s)

    def _arm_young(self, now_s: float) -> None:
        young, self._young = self._young, []
        for watch, attempt in young:
            if not watch.removed and attempt in watch.waiting:
                self._arm(watch, attempt, now_s)

    def _arm(self, watch: Watch, attempt: Attempt, now_s: float) -> None:
        """Set the deadline, and the start of an attempt that overlaps this one."""
        attempt.expiry = self._time.at(attempt.deadline_s, partial(self._expire, watch, attempt))
        self._plan(watch, now_s)

    async def _attempt(self, watch: Watch, attempt: Attempt) -> None:
        try:
            reading = await watch.probe.check()
        except asyncio.CancelledError:
            if cancelled_by_us():
                raise
            reading = Reading.unknown(Failure.LOCAL, "probe error: cancelled by its own library")
        except Exception as exc:  # noqa: BLE001  # a probe's fault is an observation, logged there
            reading = Reading.unknown(Failure.LOCAL, self._probe_error(watch, exc))
        if not watch.removed:
            self._answered(watch, attempt, reading, self._clock.monotonic_s())

    def _answered(self, watch: Watch, attempt: Attempt, reading: Reading, now_s: float) -> None:
        if attempt in watch.waiting:
            lag_s = self._time.late_s(now_s) - attempt.lag_mark_s
            if lag_s > attempt.timeout_s:
                # Frozen in the middle: what this attempt saw is of before the freeze, if anything.
                reading = _late_ourselves(lag_s)
            self._conclude(watch, attempt, reading, now_s)
        elif attempt in watch.overdue and reading.shows_life and attempt.started_s > watch.newest_life_s:
            watch.newest_life_s = attempt.started_s
            self.awareness.saw(watch.target, reading)
            self._deliver(watch, reading, attempt.started_s, now_s, late=True)

    def _expire(self, watch: Watch, attempt: Attempt, now_s: float) -> None:
        """The deadline: the verdict falls, whatever the attempt does."""
        if watch.removed or attempt not in watch.waiting:
            return
        lag_s = self._time.late_s(now_s) - attempt.lag_mark_s
        if own_lag_spoils(lag_s, attempt.timeout_s):
            self._let_go(watch, attempt, now_s)
            self._conclude(watch, attempt, _late_ourselves(lag_s), now_s)
            return
        if len(watch.overdue) < watch.most_overdue:
            watch.overdue.append(attempt)
            self._time.at(now_s + watch.pace.overdue_s, lambda at_s: self._give_up(watch, attempt, at_s))
        else:
            self._let_go(watch, attempt, now_s)
        silent = Reading.failed(Failure.SILENT, f"no answer within {attempt.timeout_s:g} s")
        self._conclude(watch, attempt, silent, now_s)

    def _conclude(self, watch: Watch, attempt: Attempt, reading: Reading, now_s: float) -> None:
        watch.waiting.remove(attempt)
        if attempt.expiry is not None:
            attempt.expiry.cancel()
        self._time.awaited -= 1
        watch.learn(reading, attempt.started_s, now_s)
        self.awareness.saw(watch.target, reading)
        self._deliver(watch, reading, attempt.started_s, now_s)
        if watch.removed:
            return
        if reading.outcome is Outcome.SUCCEEDED:
            self._hold(watch, now_s)
        self._plan(watch, now_s)

    def _give_up(self, watch: Watch, attempt: Attempt, now_s: float) -> None:
        if not watch.removed and attempt in watch.overdue:
            watch.overdue.remove(attempt)
            self._let_go(watch, attempt, now_s)

    def _let_go(self, watch: Watch, attempt: Attempt, now_s: float) -> None:
        watch.cancelled.append(attempt)
        if attempt.task is not None:
            attempt.task.cancel()
        self._time.at(now_s + LINGER_S, lambda _at_s: self._linger(watch, attempt))

    def _linger(self, watch: Watch, attempt: Attempt) -> None:
        if attempt in watch.cancelled:
            watch.probe.abandon()

    def _ended(self, watch: Watch, attempt: Attempt, task: asyncio.Task[None]) -> None:
        report_death(task)
        if attempt in watch.overdue:
            watch.overdue.remove(attempt)
        elif attempt in watch.cancelled:
            watch.cancelled.remove(attempt)
            if not watch.removed:  # it held a place
                self._plan(watch, self._clock.monotonic_s())

    # --- held connections

    def _hold(self, watch: Watch, now_s: float) -> None:
        """Hold a connection again, at most once an interval: a peer that closes each at once is no crash."""
        if (
            watch.probe.keeps_connection
            and watch.hold is None
            and now_s - watch.held_s >= watch.pace.interval_s
        ):
            watch.held_s = now_s
            watch.hold = spawn(self._holding(watch), f"{watch.name} hold")

    async def _holding(self, watch: Watch) -> None:
        reading = None
        try:
            reading = await watch.probe.hold()
        except asyncio.CancelledError:
            if cancelled_by_us():
                raise
        except Exception as exc:  # noqa: BLE001  # logged there
            self._probe_error(watch, exc)
        finally:
            watch.hold = None
        if reading is not None and not watch.removed:
            now_s = self._clock.monotonic_s()
            self._deliver(watch, reading, now_s, now_s)
            self._look_now(watch, now_s)

    def _look_now(self, watch: Watch, now_s: float) -> None:
        watch.suspect(now_s)
        if not watch.removed and len(watch.waiting) + len(watch.cancelled) < watch.pace.concurrent:
            self._begin(watch, now_s)

    # --- what leaves

    def _deliver(
        self, watch: Watch, reading: Reading, started_s: float, ended_s: float, *, late: bool = False
    ) -> None:
        seen = Observation(
            target=watch.target,
            probe=watch.type,
            observer=self.observer,
            outcome=reading.outcome,
            started_s=started_s,
            ended_s=ended_s,
            wall_s=self._clock.wall_s(),
            failure=reading.failure,
            detail=reading.detail,
            facts=reading.facts,
            late=late,
        )
        try:
            self._on_observation(seen)
        except Exception:
            log.exception("an observation could not be taken in", target=watch.target, probe=watch.type)

    def _probe_error(self, watch: Watch, exc: Exception) -> str:
        """A fault of the probe's code, for a person. Logged when it is new: it comes with every attempt."""
        frames = traceback.extract_tb(exc.__traceback__)
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        text = f"probe error: {type(exc).__name__}: {exc}"[:300]
        if text != watch.error_seen:
            watch.error_seen = text
            log.error("probe error", target=watch.target, probe=watch.type, error=text, where=where)
        return text

    async def _close(self, watch: Watch) -> None:
        watch.removed = True
        watch.start_at(None, None)
        self._time.awaited -= len(watch.waiting)
        attempts = [*watch.waiting, *watch.overdue, *watch.cancelled]
        tasks = [attempt.task for attempt in attempts if attempt.task is not None]
        tasks += [watch.hold] if watch.hold is not None else []
        for task in tasks:
            task.cancel()
        if not await all_end(tasks, self._clock, CLOSE_S):
            watch.probe.abandon()
        closing = spawn(watch.probe.aclose(), f"{watch.name} close")
        if not await all_end([*tasks, closing], self._clock, CLOSE_S):
            left = [task.get_name() for task in (*tasks, closing) if not task.done()]
            log.error("probe does not close", target=watch.target, probe=watch.type, tasks=left)


def _late_ourselves(lag_s: float) -> Reading:
    return Reading.unknown(Failure.LOCAL, f"this process was late by {lag_s * 1000:.0f} ms")
