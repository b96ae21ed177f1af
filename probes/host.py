"""Probe type `host`: has a host room, memory and time left, and is its clock right?

Asked over node access, in one round trip, or of a node_exporter that runs there already. Nearly everything
here warns before it hurts: a disk that fills up, a clock that drifts, a file system that the kernel made
read-only.
"""

from __future__ import annotations

import ssl
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from model.observation import Failure, Layer
from probes.addresses import Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.host_exporter import NoExporterError, read_metrics, read_samples, request_of
from probes.host_judge import Limits, judge
from probes.host_script import SCRIPT, NotUnderstoodError, read_output
from probes.node_command import run_on_node
from probes.streams import open_stream, reading_of_stream_error
from probes.texts import one_line
from probes.tls_settings import TlsOptions, tls_context
from probes.trace import note

_PORTS = {"http": 80, "https": 443}


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if not url:
        return url
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"not the URL of a node_exporter: {url!r}; write http://HOST:9100/metrics")
    if "@" in parts.netloc:
        raise ValueError("no user and password in a URL: it would be shown in logs and reports")
    if any(character <= " " for character in url):
        raise ValueError(f"a URL has no spaces or control characters: {url!r}")
    assert parts.port != 0  # noqa: S101  # reading it raises ValueError for a port out of range
    return url


class HostOptions(TlsOptions, Limits):
    """Where it is asked, and what is still right."""

    node_exporter: Annotated[str, AfterValidator(_checked_url)] = Field(
        "", description="URL of its metrics, such as http://db1:9100/metrics; without it node access is used."
    )


class HostProbe(Probe):
    """A host: disks, memory, load, clock, failed units.

    Facts: `file_systems` (mount point → {`size_bytes`, `free_bytes`, `inodes`, `free_inodes`, `read_only`}),
    `memory_bytes`, `memory_available_bytes`, `load1_milli` (thousandths), `cpus`, `clock_offset_ms` (its
    clock minus ours, signed) and `clock_uncertainty_ms` (either way), `ntp_synchronized` and `ntp_offset_ms`
    (as chrony, or the kernel by way of the exporter, has them), `failed_units`. What could not be read is
    missing.

    Faults are `read_only`, `disk_full`, else `bad_answer`. A host that node access can't ask is unknown.
    """

    type: ClassVar[str] = "host"
    layer: ClassVar[Layer] = Layer.SERVER
    Options = HostOptions

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, HostOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._tls: ssl.SSLContext | None = None
        self._host = ""
        if options.node_exporter:
            parts = urlsplit(options.node_exporter)
            self._host = parts.hostname or ""
            self._addresses = Addresses(self._host, parts.port or _PORTS[parts.scheme], ports.clock)
            if parts.scheme == "https":
                self._tls = tls_context(options, target)

    async def check(self) -> Reading:
        return await (self._ask_exporter() if self._options.node_exporter else self._ask_node())

    async def _ask_node(self) -> Reading:
        clock = self.ports.clock
        asked_s, asked_mono_s = clock.wall_s(), clock.monotonic_s()
        result = await run_on_node(self.ports, ["sh"], stdin=SCRIPT)
        answered_s = asked_s + clock.monotonic_s() - asked_mono_s
        if isinstance(result, Reading):
            return result
        try:
            state = read_output(result.stdout, asked_s=asked_s, answered_s=answered_s)
        except NotUnderstoodError as exc:
            said = one_line(result.stderr or result.stdout)
            return Reading.unknown(None, f"{exc} (exit status {result.exit_code}): {said}")
        return judge(state, self._options)

    async def _ask_exporter(self) -> Reading:
        clock = self.ports.clock
        try:
            stream = await open_stream(
                await self._addresses.get(), self._tls, self._options.server_name or self._host
            )
        except OSError as exc:
            return reading_of_stream_error(exc)
        try:
            asked_s, asked_mono_s = clock.wall_s(), clock.monotonic_s()
            await stream.send(request_of(self._options.node_exporter))
            lines = await read_metrics(stream)
            answered_s = asked_s + clock.monotonic_s() - asked_mono_s
            note("it said %d lines that matter", len(lines))
            state = read_samples(lines, asked_s=asked_s, answered_s=answered_s)
        except NoExporterError as exc:
            return Reading.failed(Failure.BAD_ANSWER, one_line(str(exc)))
        except OSError as exc:
            return reading_of_stream_error(exc)
        finally:
            stream.close()
        return judge(state, self._options)
