"""One question to one name server, over sockets of our own: an attempt ends at once when it is cancelled.

dnspython makes and reads the messages. Its own queries are not used: what anybody may send to an open UDP
port must neither end an attempt nor pass for the answer, and there are no time-outs here.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Sequence
from typing import Literal

import dns.exception
import dns.flags
import dns.message

from probes.addresses import Address
from probes.os_errors import own_error
from probes.sockets import connect, ready, receive, send
from probes.staggered import first_to_answer
from probes.trace import note

Transport = Literal["udp", "tcp"]

_LENGTH = struct.Struct("!H")  # before each message over TCP (RFC 1035, 4.2.2)
_MOST_BYTES = 65535


class NoAnswerError(Exception):
    """What came over TCP is no answer to the question."""


async def ask(query: dns.message.Message, addresses: Sequence[Address], transport: Transport) -> Answered:
    """What the first of the addresses to answer says. Raises OSError, NoAnswerError.

    A truncated answer over UDP is asked for again over TCP, as RFC 7766 wants it.
    """
    if transport == "tcp":
        return await _ask_tcp(query, addresses)
    answer = await _ask_udp(query, addresses)
    if not answer.message.flags & dns.flags.TC:
        return answer
    note("the answer is truncated: asking again over TCP")
    return await _ask_tcp(query, addresses)


class Answered:
    """A message, who sent it, and over what."""

    __slots__ = ("message", "server", "transport")

    def __init__(self, message: dns.message.Message, server: str, transport: Transport) -> None:
        self.message = message
        self.server = server
        self.transport = transport


async def _ask_udp(query: dns.message.Message, addresses: Sequence[Address]) -> Answered:
    async def ask_one(address: Address) -> Answered:
        with _udp(address) as sock:
            return Answered(await _converse_udp(query, sock), address.host, "udp")

    return await first_to_answer(addresses, ask_one)


def _udp(address: Address) -> socket.socket:
    """Connected: the kernel drops what others send, and tells of a port that nobody listens on."""
    sock = socket.socket(address.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect(address.sockaddr)
    except OSError as exc:
        sock.close()
        raise own_error(exc) from exc
    return sock


async def _converse_udp(query: dns.message.Message, sock: socket.socket) -> dns.message.Message:
    await send(sock, query.to_wire())
    note("asked %s over UDP", sock.getpeername()[0])
    while True:
        wire = await _datagram(sock)
        message = _parsed(query, wire)
        if message is not None:
            return message
        note("dropped %d bytes that are no answer to the question", len(wire))


async def _datagram(sock: socket.socket) -> bytes:
    """Unlike on a stream, an empty one is no end."""
    while True:
        try:
            return sock.recv(_MOST_BYTES)
        except BlockingIOError:
            await ready(sock)


async def _ask_tcp(query: dns.message.Message, addresses: Sequence[Address]) -> Answered:
    sock = await connect(addresses)
    try:
        server = str(sock.getpeername()[0])
        wire = query.to_wire()
        await send(sock, _LENGTH.pack(len(wire)) + wire)
        note("asked %s over TCP", server)
        (length,) = _LENGTH.unpack(await _exactly(sock, _LENGTH.size))
        message = _parsed(query, await _exactly(sock, length))
    finally:
        sock.close()
    if message is None:
        raise NoAnswerError("what came over TCP is no answer to the question")
    return Answered(message, server, "tcp")


async def _exactly(sock: socket.socket, count: int) -> bytes:
    """At most 64 KiB: the length has two bytes."""
    data = bytearray()
    while len(data) < count:
        chunk = await receive(sock, count - len(data))
        if not chunk:
            raise ConnectionResetError(errno.ECONNRESET, "closed before the answer was complete")
        data += chunk
    return bytes(data)


def _parsed(query: dns.message.Message, wire: bytes) -> dns.message.Message | None:
    """The message, if it answers the query: its number and its question."""
    try:
        message = dns.message.from_wire(wire, ignore_trailing=True)
        return message if query.is_response(message) else None
    except (dns.exception.DNSException, ValueError, struct.error, IndexError):
        # A message that was cut off may end in the middle of a record; its header says so.
        return _truncated(query, wire)


def _truncated(query: dns.message.Message, wire: bytes) -> dns.message.Message | None:
    try:
        message = dns.message.from_wire(wire, question_only=True, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError, struct.error, IndexError):
        return None
    cut_off = bool(message.flags & dns.flags.TC)
    return message if cut_off and query.is_response(message) else None
