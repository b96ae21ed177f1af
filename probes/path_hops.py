"""Packets that live for a number of hops, and who told of their end.

No privileges are needed: the kernel hands the routers' ICMP errors to the socket whose packet caused them
(IP_RECVERR, ip(7)). One socket for each number of hops, so that an error belongs to one packet.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from time import monotonic_ns
from typing import Final, Literal

from probes.addresses import Address
from probes.os_errors import OwnError, own_error
from probes.sockets import RST_ON_CLOSE, ready
from probes.trace import note

Method = Literal["udp", "tcp", "icmp"]

_IP_RECVERR, _IPV6_RECVERR = 11, 25  # <linux/in.h>, <linux/in6.h>; not in Python's module
_MSG_ERRQUEUE: Final = socket.MSG_ERRQUEUE
_ERROR = struct.Struct("=IBBBBII")  # sock_extended_err: errno, origin, type, code, pad, info, data
_LOCAL = 1  # its origin: this host itself
_ECHO_REQUEST = {socket.AF_INET: 8, socket.AF_INET6: 128}
_PROTOCOL = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}


@dataclass(frozen=True, slots=True)
class Hop:
    """Who answered a packet that could live for `ttl` hops. address: "" for this host itself. reached: it was
    the target. error: what it said where that was not the end of the packet's life, such as EHOSTUNREACH."""

    ttl: int
    address: str
    rtt_ms: int
    reached: bool
    error: str = ""


async def trace(address: Address, method: Method, most_hops: int, wait_s: float) -> list[Hop]:
    """Whoever answered within `wait_s`, in the order of hops, up to the target. Raises OSError of ours."""
    async with _tasks(address, method, most_hops, wait_s) as tasks:
        deadline_s = asyncio.get_running_loop().time() + wait_s
        while True:
            left_s = deadline_s - asyncio.get_running_loop().time()
            pending = [task for task in tasks if not task.done()]
            if left_s <= 0 or not pending or _complete(tasks):
                break
            await asyncio.wait(pending, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        hops = [task.result() for task in tasks if task.done()]
    ends = [hop.ttl for hop in hops if hop.reached] or [hop.ttl for hop in hops if hop.error]
    return [hop for hop in hops if hop.ttl <= min(ends, default=most_hops)]


def _complete(tasks: Sequence[asyncio.Task[Hop]]) -> bool:
    """The way's end has answered, and everybody before it: what lives longer is not waited for."""
    for task in tasks:
        if not task.done():
            return False
        if task.result().reached or task.result().error:
            return True
    return True


@asynccontextmanager
async def _tasks(
    address: Address, method: Method, most_hops: int, wait_s: float
) -> AsyncIterator[list[asyncio.Task[Hop]]]:
    tasks = [asyncio.create_task(_hop(address, method, ttl, wait_s / 2)) for ttl in range(1, most_hops + 1)]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hop(address: Address, method: Method, ttl: int, again_after_s: float) -> Hop:
    """Who answers; sent once more after a while, for routers limit how often they answer."""
    with _socket(address, method, ttl) as sock:
        start_ns = monotonic_ns()
        _begin(sock, address, method)
        try:
            async with asyncio.timeout(again_after_s):
                await ready(sock, write=method == "tcp")
        except TimeoutError:
            if method != "tcp":  # there the kernel repeats it
                start_ns = monotonic_ns()
                _begin(sock, address, method)
            await ready(sock, write=method == "tcp")
        rtt_ms = (monotonic_ns() - start_ns) // 1_000_000
        hop = _answer(sock, address, ttl, rtt_ms)
    note("%d: %s%s, %d ms", ttl, hop.address, f" ({hop.error})" if hop.error else "", rtt_ms)
    return hop


def _socket(address: Address, method: Method, ttl: int) -> socket.socket:
    """Raises OSError."""
    family = socket.AddressFamily(address.family)
    kind = socket.SOCK_STREAM if method == "tcp" else socket.SOCK_DGRAM
    try:
        sock = socket.socket(
            family, kind | socket.SOCK_NONBLOCK, _PROTOCOL[family] if method == "icmp" else 0
        )
    except PermissionError as exc:
        text = "net.ipv4.ping_group_range is without this group: use `method: udp` or `tcp`"
        raise OwnError(errno.EPERM, text) from exc
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    if method == "tcp":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)
    return sock


def _begin(sock: socket.socket, address: Address, method: Method) -> None:
    """Send the packet. Raises OSError of this host."""
    try:
        if method == "tcp":
            code = sock.connect_ex(address.sockaddr)
            if code not in (0, errno.EINPROGRESS, errno.ECONNREFUSED):
                raise own_error(OSError(code, os.strerror(code)))
            return
        sock.connect(address.sockaddr)
        family = socket.AddressFamily(address.family)
        # The kernel writes the number and the checksum of a ping.
        sock.send(bytes([_ECHO_REQUEST[family], *bytes(7)]) if method == "icmp" else b"bcm-failover path")
    except OSError as exc:
        raise exc if isinstance(exc, OwnError) else OwnError(exc.errno, exc.strerror) from exc


def _answer(sock: socket.socket, address: Address, ttl: int, rtt_ms: int) -> Hop:
    """What made `sock` ready: an error of a router or of the target, or an answer. Raises OSError."""
    try:
        _data, ancillary, _flags, _from = sock.recvmsg(512, 512, _MSG_ERRQUEUE)
    except BlockingIOError:
        return _answer_of_target(sock, address, ttl, rtt_ms)
    for _level, _type, data in ancillary:
        if len(data) >= _ERROR.size:
            code, origin, kind, number, *_ = _ERROR.unpack_from(data)
            offender = _address(data[_ERROR.size :])
            reached = origin != _LOCAL and offender == _plain(address.host)
            if not reached and offender == _plain(str(sock.getsockname()[0])):
                offender = ""  # no neighbour answered: this host reports that to itself, by ICMP too
            silent = reached or _is_end_of_life(origin, kind, number)
            return Hop(ttl, offender, rtt_ms, reached, "" if silent else errno.errorcode.get(code, str(code)))
    return _answer_of_target(sock, address, ttl, rtt_ms)


def _answer_of_target(sock: socket.socket, address: Address, ttl: int, rtt_ms: int) -> Hop:
    """A reply, a connection or a refusal. Raises OSError."""
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code in (0, errno.ECONNREFUSED, errno.ECONNRESET):
        return Hop(ttl, _plain(address.host), rtt_ms, reached=True)
    return Hop(ttl, "", rtt_ms, reached=False, error=errno.errorcode.get(code, str(code)))


def _is_end_of_life(origin: int, kind: int, number: int) -> bool:
    """Time exceeded in transit (RFC 792: 11; RFC 4443: 3)."""
    return (origin, kind, number) in ((2, 11, 0), (3, 3, 0))


def _address(sockaddr: bytes) -> str:
    """Of a struct sockaddr_in or sockaddr_in6."""
    (family,) = struct.unpack_from("=H", sockaddr)
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, sockaddr[4:8])
    if family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, sockaddr[8:24])
    return ""


def _plain(host: str) -> str:
    """Without the interface of a link-local address."""
    return str(ip_address(host.partition("%")[0]))
