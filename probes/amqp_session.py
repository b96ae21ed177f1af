"""A login to an AMQP 0-9-1 broker, as far as a probe goes: in, one message if it is asked for, and out."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from probes.amqp_frames import (
    CONTENT_HEADER,
    HEADER,
    Arguments,
    Method,
    NoAmqpError,
    frame,
    long_bytes,
    method,
    read_method,
    short_text,
    table,
)
from probes.streams import Stream
from probes.texts import one_line
from probes.trace import note

START, START_OK = (10, 10), (10, 11)
TUNE, TUNE_OK = (10, 30), (10, 31)
OPEN, OPEN_OK = (10, 40), (10, 41)
CLOSE, CLOSE_OK = (10, 50), (10, 51)
BLOCKED, UNBLOCKED = (10, 60), (10, 61)
CHANNEL_OPEN, CHANNEL_OPEN_OK, CHANNEL_CLOSE = (20, 10), (20, 11), (20, 40)
CONFIRM_SELECT, CONFIRM_SELECT_OK = (85, 10), (85, 11)
PUBLISH, ACK, NACK = (60, 40), (60, 80), (60, 120)

_CHANNEL = 1
_BASIC = 60
# A key that no queue has: the default exchange drops the message.
_NOWHERE = "bcm-failover.probe.nowhere"
# A broker that closes a connection says why, and one that runs short says that it blocks publishers.
_CAPABILITIES = {"authentication_failure_close": True, "connection.blocked": True}


class ClosedByBrokerError(Exception):
    """It closed the connection or channel and said why: `code` and `text` are its own."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {one_line(text)}")
        self.code = code
        self.text = one_line(text)


@dataclass(frozen=True, slots=True)
class Broker:
    """What it says of itself at the start."""

    product: str
    version: str
    cluster_name: str
    mechanisms: tuple[str, ...] = field(default=())


class AmqpSession:
    """Over a connected stream, which the caller closes. Methods raise ClosedByBrokerError, NoAmqpError,
    OSError."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    async def start(self) -> Broker:
        await self._stream.send(HEADER)
        arguments = Arguments((await self._expect(START)).rest)
        arguments.take(2)  # the version of the protocol, which the header has settled
        properties = arguments.table()
        mechanisms = arguments.long_bytes().decode(errors="replace").split()
        broker = Broker(
            _text(properties, "product"),
            _text(properties, "version"),
            _text(properties, "cluster_name"),
            tuple(mechanisms),
        )
        note("it is %s %s, cluster %s", broker.product, broker.version, broker.cluster_name)
        return broker

    async def log_in(self, user: str, password: str) -> None:
        properties = table({"product": "bcm-failover", "capabilities": _CAPABILITIES})
        response = long_bytes(f"\0{user}\0{password}".encode())
        await self._send(START_OK, properties + short_text("PLAIN") + response + short_text("en_US"))
        arguments = Arguments((await self._expect(TUNE)).rest)
        channels, frame_bytes = arguments.number("H"), arguments.number("I")
        # No heartbeats: an attempt is over before one is due, and keepalives watch what is held.
        await self._send(TUNE_OK, struct.pack(">HIH", channels, frame_bytes, 0))
        note("logged in as %s", user)

    async def open(self, vhost: str) -> None:
        await self._send(OPEN, short_text(vhost) + short_text("") + b"\0")
        await self._expect(OPEN_OK)
        note("opened the virtual host %s", vhost)

    async def publish(self) -> str | None:
        """One empty message to nowhere: None once it is confirmed, or why publishers are blocked."""
        await self._send(CHANNEL_OPEN, short_text(""), _CHANNEL)
        await self._expect(CHANNEL_OPEN_OK)
        await self._send(CONFIRM_SELECT, b"\0", _CHANNEL)
        await self._expect(CONFIRM_SELECT_OK)
        arguments = struct.pack(">H", 0) + short_text("") + short_text(_NOWHERE) + b"\0"
        header = struct.pack(">HHQH", _BASIC, 0, 0, 0)
        await self._send(PUBLISH, arguments, _CHANNEL, frame(CONTENT_HEADER, _CHANNEL, header))
        answer = await self._expect(ACK, NACK, BLOCKED)
        if answer.name == BLOCKED:
            reason = one_line(Arguments(answer.rest).short_text())
            note("publishers are blocked: %s", reason)
            return reason
        note("a message was %s", "confirmed" if answer.name == ACK else "refused")
        return None if answer.name == ACK else "the message was refused"

    async def close(self) -> None:
        """Says goodbye, and waits for the answer: the last sign that the broker works."""
        await self._send(CLOSE, struct.pack(">H", 200) + short_text("") + struct.pack(">HH", 0, 0))
        await self._expect(CLOSE_OK)

    async def until_closed(self) -> ClosedByBrokerError:
        """What the broker says at the end of a held connection. Raises OSError where it says nothing."""
        while True:
            try:
                await self._expect()
            except ClosedByBrokerError as exc:
                return exc

    async def _send(
        self, name: tuple[int, int], arguments: bytes, channel: int = 0, after: bytes = b""
    ) -> None:
        await self._stream.send(method(channel, name, arguments) + after)

    async def _expect(self, *names: tuple[int, int]) -> Method:
        """The next method of these names, past notices of being blocked or not; without names, whatever."""
        while True:
            heard = await read_method(self._stream)
            if heard.name in (CLOSE, CHANNEL_CLOSE):
                arguments = Arguments(heard.rest)
                raise ClosedByBrokerError(arguments.number("H"), arguments.short_text())
            if not names or heard.name in names:
                return heard
            if heard.name not in (BLOCKED, UNBLOCKED):
                raise NoAmqpError(f"an unexpected method {heard.name[0]}.{heard.name[1]}")


def _text(properties: dict[str, Any], key: str) -> str:
    value = properties.get(key, "")
    return one_line(value, 100) if isinstance(value, str) else ""
