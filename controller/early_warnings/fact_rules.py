"""Rules over the facts of one probe: disks, certificates, clocks, backups. Pure.

A probe of any type may tell these facts (docs/adding-a-probe.md); a rule that finds none says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from config.schema import WarningThresholds
from controller.early_warnings.filling import Forecast, FreeHistory
from controller.early_warnings.scene import Watched
from controller.early_warnings.spoken import apart, size, span
from controller.early_warnings.words import Key, Sign

# Between the threshold and this much above it nothing changes: a disk that breathes would flap.
_CLEAR_SHARE: Final = 1.1
_MEMBER_DISKS: Final = {"data": "data directory", "wal": "WAL"}

Histories = Callable[[str, str], FreeHistory]


def disks(watched: Watched, limits: WarningThresholds, histories: Histories) -> Iterator[Sign]:
    """histories: (about, file system) → its history."""
    for part, what, free, size_bytes in _file_systems(watched.facts):
        history = histories(watched.about, part)
        history.add(watched.read_s, free)
        yield _disk(watched, limits, (part, what), (free, size_bytes), history.forecast)
    for mount, facts in _mounts(watched.facts).items():
        free_inodes, inodes = facts.get("free_inodes"), facts.get("inodes")
        if isinstance(free_inodes, int) and isinstance(inodes, int) and inodes > 0:
            left = free_inodes * 100 / inodes
            text = f"{watched.name}: {mount} has {left:.0f} % of its inodes free ({free_inodes})"
            passed = _below(left, limits.disk_free_percent)
            yield _sign("DiskFilling", watched, f"{mount} inodes", passed, text, readings=2)


def certificate(watched: Watched, limits: WarningThresholds, wall_s: float) -> Iterator[Sign]:
    ends_s = watched.facts.get("certificate_ends_s")
    if isinstance(ends_s, int) and not isinstance(ends_s, bool):
        left_s = ends_s - wall_s
        day = datetime.fromtimestamp(ends_s, UTC).strftime("%Y-%m-%d")
        when = f"ends in {span(left_s)}" if left_s >= 0 else f"ended {span(-left_s)} ago"
        text = f"the certificate that {watched.name} shows {when} ({day})"
        yield _sign("CertificateExpiring", watched, watched.name, left_s < limits.certificate_within, text)


def clock(watched: Watched, limits: WarningThresholds) -> Iterator[Sign]:
    offset_ms = watched.facts.get("clock_offset_ms")
    if not isinstance(offset_ms, int):
        return
    unsure_ms = watched.facts.get("clock_uncertainty_ms")
    unsure_ms = unsure_ms if isinstance(unsure_ms, int) else 0
    off_s, unsure_s = abs(offset_ms) / 1000, abs(unsure_ms) / 1000
    way = "ahead of" if offset_ms > 0 else "behind"
    text = f"the clock of {watched.name} is {apart(off_s)} {way} this host's (± {apart(unsure_s)})"
    passed: bool | None = off_s - unsure_s > limits.clock_skew
    if not passed and off_s + unsure_s > limits.clock_skew:
        passed = None
    yield _sign("ClockSkew", watched, "", passed, text, readings=2)


def backup(watched: Watched, limits: WarningThresholds) -> Iterator[Sign]:
    age_s = watched.facts.get("backup_age_s")
    if isinstance(age_s, int):
        text = f"the newest good backup that {watched.name} finds is {span(age_s)} old"
        text += f"; it should be no older than {span(limits.backup_age)}"
        yield _sign("BackupStale", watched, watched.name, age_s > limits.backup_age, text)


def _disk(
    watched: Watched,
    limits: WarningThresholds,
    named: tuple[str, str],
    space: tuple[int, int],
    forecast: Forecast | None,
) -> Sign:
    (part, what), (free, size_bytes) = named, space
    left = free * 100 / size_bytes
    passed = _below(left, limits.disk_free_percent)
    if forecast is not None and forecast.full_in_s < limits.disk_full_within:
        passed = True
        when = f"will be full in about {span(forecast.full_in_s)}"
        text = f"{watched.name}: {what} {when} ({left:.0f} % free, {size(forecast.rate * 3600)} an hour)"
    else:
        text = f"{watched.name}: {what} has {left:.0f} % free ({size(free)} of {size(size_bytes)})"
    return _sign("DiskFilling", watched, part, passed, text, readings=2)


def _file_systems(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, int, int]]:
    """(part, what a person calls it, free bytes, whole size)."""
    for part, what in _MEMBER_DISKS.items():
        free, whole = facts.get(f"{part}_free_bytes"), facts.get(f"{part}_size_bytes")
        shared = part == "wal" and (free, whole) == (
            facts.get("data_free_bytes"),
            facts.get("data_size_bytes"),
        )
        if isinstance(free, int) and isinstance(whole, int) and whole > 0 and not shared:
            yield part, what, free, whole
    for mount, told in _mounts(facts).items():
        free, whole = told.get("free_bytes"), told.get("size_bytes")
        # What can't be written can't fill up.
        if (
            isinstance(free, int)
            and isinstance(whole, int)
            and whole > 0
            and told.get("read_only") is not True
        ):
            yield mount, mount, free, whole


def _mounts(facts: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    mounts = facts.get("file_systems")
    if not isinstance(mounts, Mapping):
        return {}
    return {str(mount): told for mount, told in mounts.items() if isinstance(told, Mapping)}


def _below(left: float, limit: float) -> bool | None:
    if left < limit:
        return True
    return None if left < limit * _CLEAR_SHARE else False


def _sign(
    code: str, watched: Watched, part: str, passed: bool | None, text: str, *, readings: int = 1
) -> Sign:
    key = Key(code, watched.about, part)
    return Sign(key, passed, watched.read_s, text, readings=readings, keep_s=watched.keep_s)
