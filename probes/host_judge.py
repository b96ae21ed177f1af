"""Is the state of a host within the limits that were set for it?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from config.durations import PositiveSeconds, format_duration
from model.observation import Failure
from probes.base import ProbeOptions, Reading
from probes.host_state import FileSystem, HostState
from probes.trace import note

Percent = Annotated[float, Field(ge=0, le=100)]
_MOST_NAMED = 5
Fault = tuple[Failure, str]


class Limits(ProbeOptions):
    """What is still right. Without limits everything is a fact, and only a file system that became read-only
    is a fault."""

    mounts: tuple[str, ...] = Field(
        (), description="Mount points to look at, which must be mounted; all disks of the host, if none."
    )
    min_free_percent: Percent = Field(0, description="Least free space of each, as a share of its size.")
    min_free_inodes_percent: Percent = Field(0, description="Least free inodes of each.")
    read_only_allowed: tuple[str, ...] = Field((), description="Mount points that may be read-only.")
    min_memory_percent: Percent = Field(0, description="Least memory that programs can still get.")
    max_load_per_cpu: float | None = Field(
        None, gt=0, description="Most load (average of one minute) for each processor."
    )
    max_clock_offset: PositiveSeconds | None = Field(
        None,
        description="Most that its clock may be off from this host's, whatever the uncertainty of the "
        "measurement hides.",
    )
    ntp_must_be_synchronized: bool = Field(
        False, description="It must think itself that its clock follows a source of time."
    )
    units_must_not_fail: bool = Field(False, description="No systemd unit may be in state failed.")


def judge(state: HostState, limits: Limits) -> Reading:
    """Faults make it failed; where a limit can't be checked, and there is no fault, it is unknown."""
    shown, faults, unread = _chosen(state, limits)
    for mount in sorted(shown):
        faults += _file_system_faults(mount, shown[mount], limits)
    for check in (_memory, _load, _clock, _time_service, _units):
        fault = check(state, limits)
        if isinstance(fault, str):
            unread.append(fault)
        elif fault is not None:
            faults.append(fault)
    facts = state.facts(shown)
    for name, value in facts.items():
        note("%s: %s", name, value)
    if faults:
        named = [text for _, text in faults[:_MOST_NAMED]]
        more = [f"and {len(faults) - _MOST_NAMED} more"] if len(faults) > _MOST_NAMED else []
        # One that became read-only has an error behind it; a full one comes next.
        first = min((failure for failure, _ in faults), key=_GRAVEST.index)
        return Reading.failed(first, "; ".join(named + more), **facts)
    if unread:
        return Reading.unknown(None, "not to be found out: " + ", ".join(unread), **facts)
    return Reading.ok(f"{len(shown)} file systems within their limits", **facts)


_GRAVEST = (Failure.READ_ONLY, Failure.DISK_FULL, Failure.BAD_ANSWER)


def _chosen(state: HostState, limits: Limits) -> tuple[dict[str, FileSystem], list[Fault], list[str]]:
    """The file systems to look at, those that are missing, and those that could not be read."""
    if not limits.mounts:
        disks = state.disks()
        wanted = limits.min_free_percent or limits.min_free_inodes_percent
        return disks, [], [] if disks or not wanted else ["the file systems"]
    shown, faults, unread = {}, [], []
    for mount in limits.mounts:
        found = state.file_systems.get(mount)
        if found is not None:
            shown[mount] = found
        elif mount in state.file_systems:
            unread.append(f"the space on {mount}, which is no local file system")
        else:
            faults.append((Failure.BAD_ANSWER, f"{mount} is not mounted"))
    return shown, faults, unread


def _file_system_faults(mount: str, found: FileSystem, limits: Limits) -> Iterator[Fault]:
    if found.read_only and mount not in limits.read_only_allowed:
        yield Failure.READ_ONLY, f"{mount} is read-only"
    for name, free, size, least in (
        ("space", found.free_bytes, found.size_bytes, limits.min_free_percent),
        ("inodes", found.free_inodes, found.inodes, limits.min_free_inodes_percent),
    ):
        if size > 0 and free * 100 < least * size:
            text = f"{mount} has {free * 100 / size:.1f} % of its {name} free, {least:g} % are required"
            yield Failure.DISK_FULL, text


def _memory(state: HostState, limits: Limits) -> Fault | str | None:
    if not limits.min_memory_percent:
        return None
    if state.memory_available_bytes is None or not state.memory_bytes:
        return "the memory"
    share = state.memory_available_bytes * 100 / state.memory_bytes
    if share >= limits.min_memory_percent:
        return None
    return (
        Failure.BAD_ANSWER,
        f"{share:.1f} % of memory are free, {limits.min_memory_percent:g} % are required",
    )


def _load(state: HostState, limits: Limits) -> Fault | str | None:
    if limits.max_load_per_cpu is None:
        return None
    if state.load1_milli is None or state.cpus is None:
        return "the load"
    load = state.load1_milli / 1000 / state.cpus
    if load <= limits.max_load_per_cpu:
        return None
    return Failure.BAD_ANSWER, f"load per processor is {load:.2f}, {limits.max_load_per_cpu:g} is allowed"


def _clock(state: HostState, limits: Limits) -> Fault | str | None:
    if limits.max_clock_offset is None:
        return None
    if state.clock is None:
        return "the clock"
    if state.clock.at_least_ms <= limits.max_clock_offset * 1000:
        return None
    text = (
        f"its clock is off from this host's by {state.clock.offset_ms} ± {state.clock.uncertainty_ms} ms, "
        f"{format_duration(limits.max_clock_offset)} are allowed"
    )
    return Failure.BAD_ANSWER, text


def _time_service(state: HostState, limits: Limits) -> Fault | str | None:
    if not limits.ntp_must_be_synchronized:
        return None
    if state.time_service is None:
        return "whether its clock is synchronized"
    if state.time_service.synchronized:
        return None
    return Failure.BAD_ANSWER, "its clock follows no source of time"


def _units(state: HostState, limits: Limits) -> Fault | str | None:
    if not limits.units_must_not_fail:
        return None
    if state.failed_units is None:
        return "the state of its units"
    if not state.failed_units:
        return None
    named = ", ".join(state.failed_units[:_MOST_NAMED])
    more = len(state.failed_units) - _MOST_NAMED
    return Failure.BAD_ANSWER, f"failed units: {named}" + (f" and {more} more" if more > 0 else "")
