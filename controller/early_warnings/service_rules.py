"""Rules over a service and over how fast its probes are answered. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from config.schema import WarningThresholds
from controller.early_warnings.lag import CanaryTimes
from controller.early_warnings.latency import LatencyHistory
from controller.early_warnings.scene import Copy, ServiceScene, Watched
from controller.early_warnings.spoken import latency, size, span
from controller.early_warnings.words import Key, Sign
from controller.primary_rules import SLOW_ANSWERS
from controller.redundancy_rules import LAG_WARN_BYTES
from model.observation import Outcome

# A standby that is restarted or brought back within this is no news.
MISSING_S: Final = 30.0
# One vacuum, one backup's start: slow for a moment.
SLOW_S: Final = 60.0
_CLEAR_SHARE: Final = 0.8


def lagging(service: ServiceScene, times: CanaryTimes, limits: WarningThresholds) -> Iterator[Sign]:
    """Age of the newest canary on each standby, against the RPO; and by how much log it is behind."""
    rpo_s = service.rpo_s
    limit_s = rpo_s * limits.lag_percent_of_rpo / 100 if rpo_s > 0 else limits.lag_without_rpo
    for copy in service.copies:
        lag_s = None if copy.canary_n is None else times.lag_s(copy.canary_n, copy.read_s)
        behind = copy.behind_bytes
        if lag_s is None and behind is None:
            continue
        key = Key("StandbyLagging", f"service/{service.name}/{copy.member}")
        passed: bool | None = (lag_s or 0) > limit_s or (behind or 0) > LAG_WARN_BYTES
        if not passed and ((lag_s or 0) > _CLEAR_SHARE * limit_s or (behind or 0) > LAG_WARN_BYTES / 2):
            passed = None
        yield Sign(key, passed, copy.read_s, _lag_text(copy, lag_s, rpo_s), readings=2)


def _lag_text(copy: Copy, lag_s: float | None, rpo_s: float) -> str:
    told = []
    if lag_s is not None:
        share = f", {lag_s * 100 / rpo_s:.0f} % of the RPO" if rpo_s > 0 else ""
        told.append(f"its data is {span(lag_s)} older than the primary's{share}")
    if copy.behind_bytes is not None:
        told.append(f"it is {size(copy.behind_bytes)} of log behind")
    return f"{copy.member}: {'; '.join(told)}"


def redundancy(service: ServiceScene, now_s: float) -> Iterator[Sign]:
    if service.missing is None:
        return
    text = f"{service.name} has fewer copies than it should: {'; '.join(service.missing)}"
    key = Key("RedundancyLost", f"service/{service.name}")
    yield Sign(key, bool(service.missing), now_s, text, readings=2, after_s=MISSING_S)


def canary(service: ServiceScene, limits: WarningThresholds) -> Iterator[Sign]:
    """The share of its time-out that an acknowledged write takes. One that fails is no warning but a
    diagnosis."""
    watched = service.canary
    last = watched.state.last if watched is not None else None
    if watched is None or last is None or last.outcome is not Outcome.SUCCEEDED:
        return
    limit_s = watched.timeout_s * limits.canary_share_percent / 100
    took_s = last.latency_s
    passed: bool | None = took_s >= limit_s
    if not passed and took_s >= _CLEAR_SHARE * limit_s:
        passed = None
    share = took_s * 100 / watched.timeout_s
    text = (
        f"a small write on {watched.name} takes {latency(took_s)}, {share:.0f} % of the "
        f"{latency(watched.timeout_s)} after which it counts as failed"
    )
    yield Sign(Key("CanarySlow", watched.about), passed, last.ended_s, text, readings=SLOW_ANSWERS)


def slow(watched: Watched, history: LatencyHistory, limits: WarningThresholds) -> Iterator[Sign]:
    """Against its own history; or near its time-out, which needs none. history: with the last answer."""
    last = watched.state.last
    if last is None or last.outcome is not Outcome.SUCCEEDED:
        return
    key = Key("LatencyDegraded", watched.about, watched.state.probe)
    answers = f"{watched.name} answers the probe {watched.state.probe!r} in {latency(last.latency_s)}"
    if watched.state.slow >= SLOW_ANSWERS:
        text = f"{answers}, more than half of its time-out ({latency(watched.timeout_s)})"
        yield Sign(key, True, last.ended_s, text, keep_s=watched.keep_s)
        return
    pace = history.pace(limits.latency_factor)
    if pace is None:
        # Slow from the beginning, and now no more: that is all that can be told without a history.
        yield Sign(key, None if watched.state.slow else False, last.ended_s, keep_s=watched.keep_s)
        return
    times = pace.now_s / pace.usual_s if pace.usual_s > 0 else 0.0
    text = (
        f"{watched.name} answers the probe {watched.state.probe!r} in {latency(pace.now_s)}, "
        f"{times:.0f} times what is usual ({latency(pace.usual_s)})"
    )
    # Several readings beside the time: two answers ten minutes apart would be no duration.
    yield Sign(
        key, pace.slow, last.ended_s, text, readings=SLOW_ANSWERS, after_s=SLOW_S, keep_s=watched.keep_s
    )
