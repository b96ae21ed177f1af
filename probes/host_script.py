"""What is asked of a host over node access: one script, so that it costs one round trip.

It is fed to `sh` on its standard input, always the same text; nothing of the options is in it. It changes
nothing, and needs no rights beyond those of any account.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from probes.host_state import ClockOffset, FileSystem, HostState, TimeService, clock_offset

# `df -l` asks no remote file system: a dead NFS server would hold it for ever. Mounts of containers are left
# out where they are listed, for there may be thousands of them.
SCRIPT = rb"""
LC_ALL=C
export LC_ALL
echo "@began $(date +%s.%N)"
echo '@mounts'
grep -Ev '^([^ ]+ ){4}/[^ ]+ .* - (overlay|nsfs|proc|sysfs|cgroup2?|mqueue|devpts|fuse\.lxcfs) ' \
  /proc/self/mountinfo
echo '@space'
df -P -k -l 2>/dev/null
echo '@inodes'
df -P -i -l 2>/dev/null
echo '@memory'
grep -E '^Mem(Total|Available):' /proc/meminfo
echo "@load $(cat /proc/loadavg)"
echo "@cpus $(getconf _NPROCESSORS_ONLN 2>/dev/null || nproc)"
if command -v chronyc >/dev/null 2>&1; then
  echo "@chrony $(chronyc -c -n tracking 2>/dev/null)"
fi
if command -v systemctl >/dev/null 2>&1; then
  echo '@units'
  systemctl list-units --state=failed --plain --no-legend --no-pager --full 2>/dev/null && echo '@units-known'
fi
echo "@ended $(date +%s.%N)"
exit 0
"""

_DF = re.compile(r"(.+?)\s+(\d+|-)\s+(\d+|-)\s+(-?\d+|-)\s+(\d+%|-)\s+(/.*)")
# proc(5), mountinfo: … mount point, options of the mount, … - type, source, options of the file system.
_MOUNT = re.compile(r"(?:\S+ ){4}(\S+) .*? - (\S+) \S+ (\S+)")
_TIME = re.compile(r"(\d+)(?:\.(\d{1,9}))?")
_ESCAPE = re.compile(r"\\([0-7]{3})")
_MEMORY = re.compile(r"Mem(Total|Available):\s+(\d+) kB")


class NotUnderstoodError(Exception):
    """What came back is not what the script prints."""


def read_output(output: str, *, asked_s: float, answered_s: float) -> HostState:
    """asked_s, answered_s: our wall clock, whose difference must come from the monotonic one. Raises
    NotUnderstoodError."""
    words, lines = _sections(output)
    if "began" not in words or "ended" not in words:
        raise NotUnderstoodError("the script did not run to its end")
    memory = dict(_MEMORY.findall("\n".join(lines.get("memory", ()))))
    load = words.get("load", "").split()
    return HostState(
        file_systems=_file_systems(lines),
        memory_bytes=_kib(memory.get("Total")),
        memory_available_bytes=_kib(memory.get("Available")),
        load1_milli=milli(load[0]) if load else None,
        cpus=_number(words.get("cpus", "")),
        clock=_clock(words["began"], words["ended"], asked_s, answered_s),
        time_service=_chrony(words.get("chrony", "")),
        failed_units=_units(lines) if "units-known" in words else None,
    )


def milli(text: str) -> int | None:
    """Thousandths of a decimal number."""
    match = re.fullmatch(r"(\d+)(?:\.(\d+))?", text)
    return None if match is None else int(match[1]) * 1000 + int(f"{match[2] or ''}000"[:3])


def _sections(output: str) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The words after each `@name`, and the lines below it. What a login prints before is passed over."""
    words: dict[str, str] = {}
    lines: dict[str, list[str]] = {}
    below: list[str] = []
    for line in output.splitlines():
        if line.startswith("@"):
            name, _, rest = line[1:].partition(" ")
            words[name] = rest
            below = lines.setdefault(name, [])
        else:
            below.append(line)
    return words, lines


def _file_systems(lines: Mapping[str, list[str]]) -> dict[str, FileSystem | None]:
    space, inodes = _df(lines.get("space", ())), _df(lines.get("inodes", ()))
    found: dict[str, FileSystem | None] = {}
    for line in lines.get("mounts", ()):
        match = _MOUNT.fullmatch(line)
        if match is None:
            continue
        mount = _ESCAPE.sub(lambda escape: chr(int(escape[1], 8)), match[1])
        if mount not in space:
            found[mount] = None
            continue
        size, free = space[mount]
        all_inodes, free_inodes = inodes.get(mount, (0, 0))
        # What the kernel did to the file system itself. A mere mount of it may be read-only by design: so are
        # all of them in the sandbox that the daemon runs in.
        read_only = "ro" in match[3].split(",")
        # Mounted over one another: the last one is the one that is seen.
        found[mount] = FileSystem(match[2], size * 1024, free * 1024, all_inodes, free_inodes, read_only)
    return found


def _df(lines: list[str] | tuple[()]) -> dict[str, tuple[int, int]]:
    """Mount point → (all, free). A reserve that is used up makes `df` say less than 0."""
    found = {}
    for line in lines:
        match = _DF.fullmatch(line)
        if match is not None and match[2] != "-":
            found[match[6]] = (int(match[2]), max(int(match[4]), 0) if match[4] != "-" else 0)
    return found


def _clock(began: str, ended: str, asked_s: float, answered_s: float) -> ClockOffset | None:
    first, last = _TIME.match(began), _TIME.match(ended)
    if first is None or last is None:
        return None
    # A `date` that knows no parts of a second is right to half of one.
    whole = first[2] is None or last[2] is None
    begun_s, end_s = (int(time[1]) + float(f"0.{time[2] or 5}") for time in (first, last))
    if end_s < begun_s:
        return None  # their clock was set in between
    return clock_offset(
        theirs_s=(begun_s + end_s) / 2,
        asked_s=asked_s,
        answered_s=answered_s,
        busy_s=0.0 if whole else end_s - begun_s,
        resolution_s=0.5 if whole else 0.001,
    )


def _chrony(report: str) -> TimeService | None:
    """`chronyc -c tracking`: the fifth field is what the clock is slow by, the last one its leap status."""
    fields = report.split(",")
    try:
        slow_s = float(fields[4])
    except (IndexError, ValueError):
        return None  # chronyd does not run
    return TimeService(fields[-1].strip() != "Not synchronised", round(-slow_s * 1000))


def _units(lines: Mapping[str, list[str]]) -> tuple[str, ...]:
    """The name is the first word; some versions put a mark before it."""
    names = (line.replace("●", " ").replace("*", " ").split() for line in lines.get("units", ()))
    return tuple(words[0] for words in names if words)


def _kib(text: str | None) -> int | None:
    return None if text is None else int(text) * 1024


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else None
