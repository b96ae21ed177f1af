"""What fails on this host says nothing of the target: unknown, with the name of what failed (S6)."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import resource
import socket
import subprocess
from collections.abc import Iterator

import pytest
from test_contract import OPTIONS, probe_of

from model.observation import Failure, Outcome
from probes.base import Probe, Reading
from probes.icmp import IcmpOptions, IcmpProbe
from probes.os_errors import LOCAL_ERROR, OwnError, own_error, reading_of_os_error
from probes.tcp import TcpOptions, TcpProbe
from tests.bad_servers import LOOPBACK, serving, silent
from tests.network_namespace import in_namespace
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

ELSEWHERE = "192.0.2.1"  # TEST-NET-1: nobody


def tcp(host: str, port: int = 5432) -> TcpProbe:
    return TcpProbe("shop/m1", TcpOptions(host=host, port=port), ports(RealClock()))


def is_ours(reading: Reading, *names: str) -> None:
    assert (reading.outcome, reading.failure) == (Outcome.UNKNOWN, Failure.LOCAL), reading
    assert reading.facts[LOCAL_ERROR] in names, reading


async def checked(probe: Probe, within_s: float = 5.0) -> Reading:
    try:
        async with asyncio.timeout(within_s):
            return await probe.check()
    finally:
        await probe.aclose()


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (OSError(errno.EMFILE, "Too many open files"), "EMFILE"),
        (OSError(errno.ENFILE, "Too many open files in system"), "ENFILE"),
        (OSError(errno.ENOBUFS, "No buffer space available"), "ENOBUFS"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "ENOMEM"),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), "EADDRNOTAVAIL"),
        (OSError(errno.ENETDOWN, "Network is down"), "ENETDOWN"),
        (OSError(errno.EPERM, "Operation not permitted"), "EPERM"),
        (own_error(OSError(errno.ENETUNREACH, "Network is unreachable")), "ENETUNREACH"),
        (own_error(OSError(errno.EHOSTUNREACH, "No route to host")), "EHOSTUNREACH"),
        (OwnError(errno.ETIMEDOUT, "looking up the name takes too long"), "ETIMEDOUT"),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "EAI_AGAIN"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "EAI_NONAME"),
        (OSError("no errno at all"), "EIO"),
    ],
)
def test_an_error_of_this_host_is_unknown(error: OSError, name: str) -> None:
    is_ours(reading_of_os_error(error), name)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), Failure.REFUSED),
        (own_error(OSError(errno.ECONNREFUSED, "refused")), Failure.REFUSED),
        (ConnectionResetError(), Failure.RESET),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Failure.UNREACHABLE),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), Failure.UNREACHABLE),
        (OSError(errno.ETIMEDOUT, "timed out"), Failure.SILENT),
    ],
)
def test_an_error_of_the_target_or_the_way_is_its_failure(error: OSError, failure: Failure) -> None:
    reading = reading_of_os_error(error)
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)
    assert LOCAL_ERROR not in reading.facts


@contextlib.contextmanager
def no_file_descriptor_left() -> Iterator[None]:
    """Nothing more can be opened by this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("type_", sorted(OPTIONS))
async def test_without_a_file_descriptor_no_type_takes_a_healthy_target_for_dead(type_: str) -> None:
    async with serving(silent) as port:
        probe = probe_of(type_, port)
        with no_file_descriptor_left():
            reading = await checked(probe)
    is_ours(reading, "EMFILE")  # by name, so that own health counts it


async def test_a_ping_without_a_file_descriptor_is_no_dead_host() -> None:
    icmp = IcmpProbe("node/db1", IcmpOptions(host=LOOPBACK), ports(RealClock()))
    with no_file_descriptor_left():
        is_ours(await checked(icmp), "EMFILE")


def test_without_a_route_from_this_host_the_target_was_never_asked() -> None:
    async def main() -> None:
        is_ours(await checked(tcp(ELSEWHERE)), "ENETUNREACH")
        icmp = IcmpProbe("node/db1", IcmpOptions(host=ELSEWHERE), ports(RealClock()))
        is_ours(await checked(icmp), "ENETUNREACH")

    in_namespace(main, {})


def test_an_own_link_that_goes_down_makes_silence_unknown() -> None:
    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    async def main() -> None:
        try:
            ip("link", "add", "up0", "type", "veth", "peer", "name", "up1")
        except (OSError, subprocess.CalledProcessError) as exc:
            pytest.skip(f"no link can be made here: {exc}")
        ip("address", "add", "192.0.2.2/24", "dev", "up0")
        ip("link", "set", "up0", "up")
        ip("link", "set", "up1", "up")
        with pytest.raises(TimeoutError):  # the way is there, and nobody answers: that is silence
            await checked(tcp(ELSEWHERE), within_s=0.2)
        ip("link", "set", "up0", "down")
        is_ours(await checked(tcp(ELSEWHERE)), "ENETUNREACH", "ENETDOWN")

    in_namespace(main, {})


def test_without_a_port_of_its_own_left_it_is_unknown() -> None:
    async def main() -> None:
        with socket.create_server((LOOPBACK, 5432)), socket.create_connection((LOOPBACK, 5432)):
            is_ours(await checked(tcp(LOOPBACK, 5432)), "EADDRNOTAVAIL")

    in_namespace(main, {"ipv4/ip_local_port_range": "45000 45000"})


def test_a_name_that_no_server_can_be_asked_for_is_unknown() -> None:
    async def main() -> None:
        is_ours(await checked(tcp("db1.example.net")), "EAI_AGAIN", "ETIMEDOUT")

    in_namespace(main, {})
