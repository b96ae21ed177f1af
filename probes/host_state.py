"""The state of a host, from wherever it was read. What could not be read is None, and never 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_LISTED = 100  # file systems and units; a host that has more of them would fill the journal
# Held in memory, or read-only and full by their nature: none of them fills up or breaks as a disk does.
_NO_DISK = frozenset(
    {
        "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
        "efivarfs", "erofs", "fusectl", "hugetlbfs", "iso9660", "mqueue", "nsfs", "proc", "pstore", "ramfs",
        "rpc_pipefs", "securityfs", "squashfs", "sysfs", "tmpfs", "tracefs", "udf",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class FileSystem:
    """`free_bytes` is what an ordinary account may still write. `inodes` is 0 where it has no such limit."""

    kind: str
    size_bytes: int
    free_bytes: int
    inodes: int
    free_inodes: int
    read_only: bool

    def facts(self) -> dict[str, Any]:
        return {
            "size_bytes": self.size_bytes,
            "free_bytes": self.free_bytes,
            "inodes": self.inodes,
            "free_inodes": self.free_inodes,
            "read_only": self.read_only,
        }


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The host's wall clock minus ours, right to `uncertainty_ms` either way: half the time that the question
    and the answer were under way, since nobody knows how it was shared."""

    offset_ms: int
    uncertainty_ms: int

    @property
    def at_least_ms(self) -> int:
        """It is off by so much, whatever the uncertainty hides."""
        return max(abs(self.offset_ms) - self.uncertainty_ms, 0)


@dataclass(frozen=True, slots=True)
class TimeService:
    """What the host itself thinks of its clock: compared with its sources of time, not with us."""

    synchronized: bool
    offset_ms: int


@dataclass(frozen=True, slots=True)
class HostState:
    """`file_systems`: mount point → what was read of it, None where it is mounted and could not be read."""

    file_systems: Mapping[str, FileSystem | None] = field(default_factory=dict)
    memory_bytes: int | None = None
    memory_available_bytes: int | None = None
    load1_milli: int | None = None
    cpus: int | None = None
    clock: ClockOffset | None = None
    time_service: TimeService | None = None
    failed_units: tuple[str, ...] | None = None

    def disks(self) -> dict[str, FileSystem]:
        """What is on a disk of the host's own; an overlay only where it is the root of a container."""
        return {
            mount: found
            for mount, found in self.file_systems.items()
            if found is not None
            and found.kind not in _NO_DISK
            and not found.kind.startswith("fuse.")
            and (found.kind != "overlay" or mount == "/")
        }

    def facts(self, shown: Mapping[str, FileSystem]) -> dict[str, Any]:
        """For `Reading`; of the file systems those that are `shown`. What is not known is left out."""
        facts: dict[str, Any] = {
            "file_systems": {mount: shown[mount].facts() for mount in sorted(shown)[:MOST_LISTED]},
            "memory_bytes": self.memory_bytes,
            "memory_available_bytes": self.memory_available_bytes,
            "load1_milli": self.load1_milli,
            "cpus": self.cpus,
            "clock_offset_ms": None if self.clock is None else self.clock.offset_ms,
            "clock_uncertainty_ms": None if self.clock is None else self.clock.uncertainty_ms,
            "ntp_synchronized": None if self.time_service is None else self.time_service.synchronized,
            "ntp_offset_ms": None if self.time_service is None else self.time_service.offset_ms,
            "failed_units": None if self.failed_units is None else list(self.failed_units[:MOST_LISTED]),
        }
        return {name: value for name, value in facts.items() if value is not None}


def clock_offset(
    *, theirs_s: float, asked_s: float, answered_s: float, busy_s: float = 0.0, resolution_s: float = 0.001
) -> ClockOffset:
    """theirs_s: their wall clock in the middle of their work, which took them `busy_s`; asked_s, answered_s:
    ours before the question and after the answer. As NTP reckons it (RFC 5905, 8)."""
    offset_s = theirs_s - (asked_s + answered_s) / 2
    way_s = max(answered_s - asked_s - busy_s, 0.0)
    return ClockOffset(round(offset_s * 1000), round((way_s / 2 + resolution_s) * 1000))
