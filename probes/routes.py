"""This host's default routes and its neighbours, as the kernel has them (rtnetlink(7), proc_net(5))."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Of this thread: a network namespace belongs to a thread.
_NET = Path("/proc/thread-self/net")
_UP, _REJECT = 0x1, 0x200  # RTF_*, <linux/route.h>
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # ndmsg: family, interface, state, flags, type
_ATTRIBUTE = struct.Struct("=HH")
_GET_NEIGHBOURS, _NEW_NEIGHBOUR, _ERROR, _DONE = 30, 28, 2, 3
_REQUEST_DUMP = 0x301
_DESTINATION = 1  # NDA_DST
_MOST_BYTES = 65536
_MOST_MESSAGES = 4096  # a table that is larger than this is read no further

# NUD_*, <linux/neighbour.h>
_STATES: Final = {
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    0x80: "permanent",
}
# The kernel has the neighbour's address, and no sign yet that it is gone.
USABLE: Final = frozenset({"reachable", "stale", "delay", "probe", "permanent", "noarp"})


@dataclass(frozen=True, slots=True)
class Route:
    """A default route. gateway: "" where it leads to an interface without one, such as a tunnel."""

    family: int
    interface: str
    gateway: str
    metric: int


def default_routes(interface: str = "") -> list[Route]:
    """The best of each family, IPv4 first; only over `interface`, if one is named. Raises OSError."""
    found = [*_ipv4_routes(_read("route")), *_ipv6_routes(_read("ipv6_route"))]
    best: dict[int, Route] = {}
    for route in sorted(found, key=lambda one: one.metric):
        if not interface or route.interface == interface:
            best.setdefault(route.family, route)
    return [best[family] for family in (socket.AF_INET, socket.AF_INET6) if family in best]


def _read(name: str) -> str:
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        return (_NET / name).read_text(encoding="ascii", errors="replace")
    return ""


def _ipv4_routes(table: str) -> Iterator[Route]:
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) < 8 or int(words[1], 16) or int(words[7], 16):
            continue
        flags = int(words[3], 16)
        if flags & _UP and not flags & _REJECT:
            gateway = int(words[2], 16)  # as this host's processor keeps four bytes of the network's order
            address = socket.inet_ntop(socket.AF_INET, struct.pack("=I", gateway)) if gateway else ""
            yield Route(socket.AF_INET, words[0], address, int(words[6]))


def _ipv6_routes(table: str) -> Iterator[Route]:
    for line in table.splitlines():
        words = line.split()
        if len(words) < 10 or words[1] != "00" or words[9] == "lo":
            continue
        flags = int(words[8], 16)
        if flags & _UP and not flags & _REJECT:
            gateway = bytes.fromhex(words[4])
            address = socket.inet_ntop(socket.AF_INET6, gateway) if any(gateway) else ""
            yield Route(socket.AF_INET6, words[9], address, int(words[5], 16))


def neighbour_state(address: str, interface: str = "") -> str:
    """What the kernel knows of a neighbour: one of `_STATES`; "none" if it has no entry. Raises OSError."""
    plain = address.partition("%")[0]
    family = socket.AF_INET6 if ":" in plain else socket.AF_INET
    wanted = socket.inet_pton(family, plain)
    index = socket.if_nametoindex(interface) if interface else 0
    for number, state, destination in _neighbours(family):
        if destination == wanted and index in (0, number):
            return _STATES.get(state, "none")
    return "none"


def _neighbours(family: int) -> Iterator[tuple[int, int, bytes]]:
    """(interface, state, address) of each. The kernel answers within the call: nothing is waited for."""
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
    ) as sock:
        body = _NEIGHBOUR.pack(family, 0, 0, 0, 0)
        head = _HEADER.pack(_HEADER.size + len(body), _GET_NEIGHBOURS, _REQUEST_DUMP, 1, 0)
        sock.send(head + body)
        for _ in range(_MOST_MESSAGES):
            ended = yield from _entries(sock.recv(_MOST_BYTES))
            if ended:
                return


def _entries(data: bytes) -> Generator[tuple[int, int, bytes], None, bool]:
    """Of one packet of netlink messages; True if it was the last. Raises OSError."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if kind == _DONE or length < _HEADER.size:
            return True
        if kind == _ERROR:
            (code,) = struct.unpack_from("=i", data, at + _HEADER.size)
            raise OSError(-code, os.strerror(-code))
        if kind == _NEW_NEIGHBOUR:
            _family, interface, state, *_ = _NEIGHBOUR.unpack_from(data, at + _HEADER.size)
            attributes = data[at + _HEADER.size + _NEIGHBOUR.size : at + length]
            yield interface, state, _destination(attributes)
        at += -length % 4 + length
    return False


def _destination(attributes: bytes) -> bytes:
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, at)
        if kind == _DESTINATION:
            return attributes[at + _ATTRIBUTE.size : at + length]
        at += max(_ATTRIBUTE.size, -length % 4 + length)
    return b""
