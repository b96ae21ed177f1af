"""The state of a host from its node_exporter: where one runs already, nobody needs to log in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from probes.host_state import ClockOffset, FileSystem, HostState, TimeService, clock_offset
from probes.streams import Stream, TooLongError

MOST_BYTES = 16 * 1024 * 1024  # with --collector.systemd, some hosts say several million bytes
_MOST_HEAD_BYTES = 65536
_MOST_KEPT = 20_000  # lines: 128 processors and a thousand mounts are a tenth of it
_WANTED = (
    b"node_filesystem_",
    b"node_memory_Mem",
    b"node_load1 ",
    b"node_cpu_seconds_total",
    b"node_time_seconds",
    b"node_timex_",
)
_SAMPLE = re.compile(r"([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*")
_LABEL = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')
_ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class NoExporterError(Exception):
    """Something answered, and it was no node_exporter."""


class Sample(NamedTuple):
    name: str
    labels: Mapping[str, str]
    value: float


def request_of(url: str) -> bytes:
    """HTTP/1.0: the body is what comes until the end, and never in chunks."""
    parts = urlsplit(url)
    target = (parts.path or "/metrics") + (f"?{parts.query}" if parts.query else "")
    lines = (
        f"GET {target} HTTP/1.0",
        f"Host: {parts.netloc}",
        "User-Agent: bcm-failover",
        "Accept: text/plain",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


async def read_metrics(stream: Stream) -> list[str]:
    """The lines that matter here. Raises NoExporterError, OSError."""
    mark = await stream.peek(5)
    if mark != b"HTTP/":
        raise NoExporterError(f"no HTTP: it begins with {mark!r}")
    try:
        head = (await stream.read_until(b"\r\n\r\n", _MOST_HEAD_BYTES)).decode("latin-1").split("\r\n")
    except TooLongError:
        raise NoExporterError("the head of its answer has no end") from None
    words = head[0].split()
    if len(words) < 2 or words[1] != "200":
        raise NoExporterError(f"it answered {' '.join(words[1:4])}")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head)
    }
    if "transfer-encoding" in headers or headers.get("content-encoding", "identity") != "identity":
        raise NoExporterError("it answered in an encoding that was not asked for")
    kept: list[str] = []
    rest, size = b"", 0
    while chunk := await stream.receive():
        size += len(chunk)
        if size > MOST_BYTES:
            raise NoExporterError(f"it says more than {MOST_BYTES} bytes")
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _MOST_HEAD_BYTES:
            raise NoExporterError("a line of its answer has no end")
        kept += (line.decode(errors="replace") for line in lines if _matters(line))
        if len(kept) > _MOST_KEPT:
            raise NoExporterError(f"it says more than {_MOST_KEPT} of the values that matter here")
    length = headers.get("content-length", "")
    if length.isdigit() and size < int(length):
        raise ConnectionResetError("closed before the answer was complete")
    return kept


def _matters(line: bytes) -> bool:
    """Reading the others would cost the loop tens of milliseconds where a host has thousands of units."""
    if line.startswith(b"node_systemd_unit_state"):
        return b'state="failed"' in line
    return line.startswith(_WANTED)


def samples_of(lines: list[str]) -> Iterator[Sample]:
    """As the text format of Prometheus has them; what is no sample is passed over."""
    for line in lines:
        match = _SAMPLE.fullmatch(line)
        if match is None:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        labels = {
            name: re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), text)
            for name, text in _LABEL.findall(match[2] or "")
        }
        yield Sample(match[1], labels, value)


def read_samples(lines: list[str], *, asked_s: float, answered_s: float) -> HostState:
    """asked_s, answered_s: our wall clock, whose difference must come from the monotonic one. Raises
    NoExporterError."""
    plain: dict[str, float] = {}
    mounts: dict[str, dict[str, Sample]] = {}
    cpus: set[str] = set()
    units: set[str] | None = None
    for sample in samples_of(lines):
        if sample.name.startswith("node_filesystem_") and "mountpoint" in sample.labels:
            mounts.setdefault(sample.labels["mountpoint"], {})[
                sample.name.removeprefix("node_filesystem_")
            ] = sample
        elif sample.name == "node_cpu_seconds_total":
            cpus.add(sample.labels.get("cpu", ""))
        elif sample.name == "node_systemd_unit_state":
            units = set() if units is None else units
            if sample.labels.get("state") == "failed" and sample.value == 1:
                units.add(sample.labels.get("name", "?"))
        elif not sample.labels:
            plain[sample.name] = sample.value
    if not plain and not mounts:
        raise NoExporterError("there is no metric of a node_exporter in its answer")
    load1 = plain.get("node_load1")
    return HostState(
        file_systems={mount: _file_system(found) for mount, found in sorted(mounts.items())},
        memory_bytes=_whole(plain.get("node_memory_MemTotal_bytes")),
        memory_available_bytes=_whole(plain.get("node_memory_MemAvailable_bytes")),
        load1_milli=None if load1 is None else _whole(load1 * 1000),
        cpus=len(cpus) or None,
        clock=_clock(plain.get("node_time_seconds"), asked_s, answered_s),
        time_service=_time_service(
            plain.get("node_timex_sync_status"), plain.get("node_timex_offset_seconds")
        ),
        failed_units=None if units is None else tuple(sorted(units)),
    )


def _file_system(found: Mapping[str, Sample]) -> FileSystem | None:
    """None: the exporter itself could not read it."""

    def number(name: str) -> int:
        return (_whole(found[name].value) or 0) if name in found else 0

    if number("device_error") or not {"size_bytes", "avail_bytes"} <= found.keys():
        return None
    return FileSystem(
        kind=found["size_bytes"].labels.get("fstype", ""),
        size_bytes=number("size_bytes"),
        free_bytes=number("avail_bytes"),
        inodes=number("files"),
        free_inodes=number("files_free"),
        read_only=number("readonly") == 1,
    )


def _clock(theirs_s: float | None, asked_s: float, answered_s: float) -> ClockOffset | None:
    if theirs_s is None or not _whole(theirs_s):
        return None
    return clock_offset(theirs_s=theirs_s, asked_s=asked_s, answered_s=answered_s)


def _time_service(synchronized: float | None, offset_s: float | None) -> TimeService | None:
    """As the kernel has it (adjtimex(2))."""
    if synchronized is None or offset_s is None or not abs(offset_s) < 1e9:
        return None
    return TimeService(synchronized == 1, round(offset_s * 1000))


def _whole(value: float | None) -> int | None:
    """None for NaN and for what is no amount."""
    return round(value) if value is not None and 0 <= value < 2**63 else None
