"""Just enough of AMQP 0-9-1 to log in: frames, the methods of a connection, and tables of properties.

After the specification's sections 2.3 (frames) and 4.2 (grammar), with RabbitMQ's types in tables
(https://www.rabbitmq.com/amqp-0-9-1-errata.html, section 3).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from probes.streams import Stream

HEADER = b"AMQP\x00\x00\x09\x01"
METHOD, CONTENT_HEADER, CONTENT_BODY, HEARTBEAT = 1, 2, 3, 8
_END = 0xCE
_MOST_FRAME_BYTES = 131_072  # what RabbitMQ offers; a start with its properties is 500 bytes
_MOST_DEPTH = 8


class NoAmqpError(Exception):
    """Something answered, and it did not speak the protocol."""


@dataclass(frozen=True, slots=True)
class Method:
    """`name` is (class, method), as in the specification; `rest` its arguments, still packed."""

    channel: int
    name: tuple[int, int]
    rest: bytes


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([_END])


def method(channel: int, name: tuple[int, int], arguments: bytes = b"") -> bytes:
    return frame(METHOD, channel, struct.pack(">HH", *name) + arguments)


def short_text(text: str) -> bytes:
    """Raises ValueError for more than 255 bytes."""
    data = text.encode()
    if len(data) > 255:
        raise ValueError(f"over 255 bytes: {text[:20]!r}…")
    return bytes([len(data)]) + data


def long_bytes(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def table(entries: dict[str, str | bool | dict[str, bool]]) -> bytes:
    packed = b""
    for key, value in entries.items():
        packed += short_text(key)
        match value:
            case bool():
                packed += b"t" + bytes([value])
            case str():
                packed += b"S" + long_bytes(value.encode())
            case dict():
                packed += b"F" + table(dict(value))
    return long_bytes(packed)


async def read_method(stream: Stream) -> Method:
    """The next method, past heartbeats. Raises NoAmqpError, OSError."""
    while True:
        kind = (await stream.peek(1))[0]
        if kind not in (METHOD, HEARTBEAT):
            # Said at once: a peer that speaks something else need never send as much as a frame.
            raise NoAmqpError(f"no AMQP 0-9-1: it begins with {(await stream.receive())[:16]!r}")
        head = await stream.read_exactly(7)
        channel, size = struct.unpack(">HI", head[1:])
        if size > _MOST_FRAME_BYTES:
            raise NoAmqpError(f"no AMQP 0-9-1: a frame of {size} bytes")
        payload = await stream.read_exactly(size + 1)
        if payload[-1] != _END:
            raise NoAmqpError("no AMQP 0-9-1: a frame without its end")
        if kind == METHOD and size >= 4:
            return Method(channel, struct.unpack(">HH", payload[:4]), payload[4:-1])


class Arguments:
    """Reads packed arguments one after the other. Raises NoAmqpError where they end too early."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise NoAmqpError("no AMQP 0-9-1: a method that ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, form: str) -> Any:
        """`form` as in `struct`, big-endian."""
        return struct.unpack(f">{form}", self.take(struct.calcsize(f">{form}")))[0]

    def short_text(self) -> str:
        return self.take(self.number("B")).decode(errors="replace")

    def long_bytes(self) -> bytes:
        return self.take(self.number("I"))

    def table(self, depth: int = 0) -> dict[str, Any]:
        within = Arguments(self.long_bytes())
        found: dict[str, Any] = {}
        while within.left:
            key = within.short_text()
            found[key] = within._value(depth)
        return found

    def _value(self, depth: int) -> Any:
        if depth >= _MOST_DEPTH:
            raise NoAmqpError("no AMQP 0-9-1: tables within tables without end")
        kind = self.take(1).decode("latin-1")
        match kind:
            case "t":
                return self.number("B") != 0
            case "S" | "x":
                return self.long_bytes().decode(errors="replace")
            case "F":
                return self.table(depth + 1)
            case "A":
                within = Arguments(self.long_bytes())
                values = []
                while within.left:
                    values.append(within._value(depth + 1))
                return values
            case "V":
                return None
            case "D":
                return self.take(5)
            case _:
                return self._number_value(kind)

    def _number_value(self, kind: str) -> Any:
        forms = {
            "b": "b",
            "B": "B",
            "s": "h",
            "u": "H",
            "I": "i",
            "i": "I",
            "l": "q",
            "f": "f",
            "d": "d",
            "T": "Q",
        }
        if kind not in forms:
            raise NoAmqpError(f"no AMQP 0-9-1: a value of type {kind!r}")
        return self.number(forms[kind])
