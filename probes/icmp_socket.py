"""One ping socket for each address family, shared by all probes on the loop.

A socket per target would see every other target's replies: n² packets (486 µs a ping against 55 µs). Replies
are told apart by a token in the payload, because the kernel replaces the id on a datagram socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import socket
import struct
from typing import Any

from probes.os_errors import OwnError

_HEADER = struct.Struct("!BBHHH")  # type, code, checksum, id, sequence
_ECHO = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}  # request, reply (RFC 792, RFC 4443)
_PROTOCOL = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
_TOKEN_BYTES = 16
_PACKETS_AT_ONCE = 64  # read per wake-up, so that a flood of pings does not starve the loop
_SOL_RAW, _ICMP_FILTER, _ICMP6_FILTER = 255, 1, 1  # <linux/icmp.h>, <linux/icmpv6.h>; not in Python's module

_PINGERS: dict[tuple[asyncio.AbstractEventLoop, int], Pinger] = {}


class Pinger:
    """Sends echo requests and hands each reply to the one who waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, family: int) -> None:
        """Raises OSError, an OwnError where this process may not ping."""
        self.users = 0
        self.loop = loop
        self.family = family
        self._sock, self._raw = _open(family)
        self._request, self._reply = _ECHO[socket.AddressFamily(family)]
        self._id = int.from_bytes(os.urandom(2))
        # Random, so that nobody who does not see our packets can answer them.
        self._secret = os.urandom(_TOKEN_BYTES - 8)
        self._numbers = itertools.count(1)
        self._waiting: dict[bytes, asyncio.Future[None]] = {}
        loop.add_reader(self._sock.fileno(), self._read)

    async def ping(self, sockaddr: Any) -> None:
        """Returns when the reply has come. Raises OwnError if the request can't be sent from here."""
        number = next(self._numbers)
        token = self._secret + number.to_bytes(8)
        self._waiting[token] = waiter = self.loop.create_future()
        try:
            self._send(number, token, sockaddr)
            await waiter
        finally:
            del self._waiting[token]

    def close(self) -> None:
        self.loop.remove_reader(self._sock.fileno())
        self._sock.close()

    def _send(self, number: int, token: bytes, sockaddr: Any) -> None:
        sequence = number & 0xFFFF
        header = _HEADER.pack(self._request, 0, 0, self._id, sequence)
        # For IPv6, and on a datagram socket, the kernel writes the checksum itself.
        header = _HEADER.pack(self._request, 0, _checksum(header + token), self._id, sequence)
        try:
            self._sock.sendto(header + token, sockaddr)
        except OSError as exc:
            raise OwnError(exc.errno, exc.strerror or "the ping could not be sent") from exc

    def _read(self) -> None:
        # An error of one packet (an earlier destination was unreachable) says nothing of the others.
        with contextlib.suppress(OSError):
            for _ in range(_PACKETS_AT_ONCE):
                self._take(self._sock.recv(2048))

    def _take(self, packet: bytes) -> None:
        if self._raw and self.family == socket.AF_INET and packet:
            packet = packet[(packet[0] & 0x0F) * 4 :]  # the IP header; its length is in 32-bit words
        if len(packet) < _HEADER.size or packet[0] != self._reply:
            return
        waiter = self._waiting.get(packet[_HEADER.size : _HEADER.size + _TOKEN_BYTES])
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def acquire(family: int) -> Pinger:
    """The running loop's pinger for `family`; to be released once. Raises OSError."""
    key = (asyncio.get_running_loop(), family)
    if key not in _PINGERS:
        _PINGERS[key] = Pinger(*key)
    _PINGERS[key].users += 1
    return _PINGERS[key]


def release(pinger: Pinger) -> None:
    """The last user closes it."""
    pinger.users -= 1
    if pinger.users == 0:
        del _PINGERS[pinger.loop, pinger.family]
        pinger.close()


def _open(family: int) -> tuple[socket.socket, bool]:
    """A datagram socket where the group may ping, else a raw one with CAP_NET_RAW. Is it raw?"""
    protocol = _PROTOCOL[socket.AddressFamily(family)]
    with contextlib.suppress(PermissionError):
        return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol), False
    try:
        sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
    except PermissionError as exc:
        text = "pings are not permitted: no CAP_NET_RAW, and net.ipv4.ping_group_range is without this group"
        raise OwnError(errno.EPERM, text) from exc
    if family == socket.AF_INET:
        sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("I", ~(1 << 0) & 0xFFFFFFFF))
    else:
        words = [0xFFFFFFFF] * 8
        words[129 >> 5] &= ~(1 << (129 & 31))
        sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("8I", *words))
    return sock, True


def _checksum(data: bytes) -> int:
    """RFC 1071, of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
