"""One unary gRPC call over HTTP/2, and the two messages of grpc.health.v1 that a probe needs.

After https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md; HTTP/2 itself is the library h2's, which
touches no socket.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

from probes.streams import Stream
from probes.texts import one_line
from probes.trace import note

# A health answer takes 7 bytes. More is read only of a peer that talks and talks.
_MOST_MESSAGE_BYTES = 4096
_MOST_BYTES = 262_144
_HEAD_BYTES, _MOST_FRAME_BYTES = 9, 16_384  # as every HTTP/2 peer begins
_SETTINGS, _GOAWAY = 4, 7


class NoGrpcError(Exception):
    """Something answered, and it did not speak gRPC."""


class GoAwayError(Exception):
    """The server closes the connection in good order, before it answered: it is being stopped."""


@dataclass(frozen=True, slots=True)
class GoAway:
    """The server takes leave; calls up to `last_stream_id` it still answers."""

    last_stream_id: int
    code: int


@dataclass(slots=True)
class Answer:
    """`status` and `text` are gRPC's own; `status` is None as long as none has come."""

    http_status: int = 0
    content_type: str = ""
    status: int | None = None
    text: str = ""
    data: bytearray = field(default_factory=bytearray)

    @property
    def message(self) -> bytes:
        """The single message. Raises NoGrpcError."""
        if len(self.data) < 5:
            raise NoGrpcError("no message in the answer")
        packed, size = struct.unpack(">BI", self.data[:5])
        if packed or size != len(self.data) - 5:
            raise NoGrpcError("a message that is packed or cut off, which nobody asked for")
        return bytes(self.data[5:])


class Http2:
    """A client's side of one HTTP/2 connection over a stream. Methods raise NoGrpcError, OSError.

    `most_bytes`: what the peer may send in all.
    """

    def __init__(self, stream: Stream, most_bytes: float = _MOST_BYTES) -> None:
        self._stream = stream
        self._most_bytes = most_bytes
        self._bytes = 0
        self._connection = H2Connection(H2Configuration(client_side=True))
        # Nobody may push; and no more of an answer comes than the window lets through, which is never opened.
        self._connection.local_settings = Settings(
            client=True,
            initial_values={
                SettingCodes.ENABLE_PUSH: 0,
                SettingCodes.MAX_CONCURRENT_STREAMS: 1,
                SettingCodes.MAX_HEADER_LIST_SIZE: 16_384,
            },
        )
        self._connection.initiate_connection()

    async def call(self, headers: Mapping[str, str], message: bytes) -> Answer:
        """Raises GoAwayError too."""
        stream_id = self._connection.get_next_available_stream_id()
        self._connection.send_headers(stream_id, list(headers.items()))
        self._connection.send_data(stream_id, struct.pack(">BI", 0, len(message)) + message, end_stream=True)
        answer = Answer()
        while True:
            for event in await self.events():
                if _take(event, answer, stream_id):
                    return answer

    async def events(self) -> Sequence[Event | GoAway]:
        """What the next frame says, after all that is to be said was sent."""
        await self._stream.send(self._connection.data_to_send())
        kind, frame = await self._frame()
        if kind == _GOAWAY:
            # Not for h2, which takes nothing after it: a server that stops in good order first answers.
            last_stream_id, code = struct.unpack(">II", frame[9:17].ljust(8, b"\0"))
            note("GOAWAY: %s", _name(code))
            return [GoAway(last_stream_id & 0x7FFFFFFF, code)]
        try:
            return self._connection.receive_data(frame)
        except H2Error as exc:
            raise NoGrpcError(f"no HTTP/2: {one_line(str(exc), 80)}") from exc

    async def _frame(self) -> tuple[int, bytes]:
        """One at a time. h2 would wait for the whole of a frame of 16 MiB to say that it is too long."""
        head = await self._stream.peek(_HEAD_BYTES)
        size, kind = int.from_bytes(head[:3], "big"), head[3]
        if size > _MOST_FRAME_BYTES or (not self._bytes and kind != _SETTINGS):
            raise NoGrpcError(f"no HTTP/2: a frame that begins with {head!r}")
        self._bytes += _HEAD_BYTES + size
        if self._bytes > self._most_bytes:
            raise NoGrpcError(f"over {self._most_bytes} bytes, and no answer among them")
        return kind, await self._stream.read_exactly(_HEAD_BYTES + size)


def _take(event: Event | GoAway, answer: Answer, stream_id: int) -> bool:
    """Is that the end of the answer? Raises NoGrpcError, GoAwayError."""
    match event:
        case ResponseReceived() | TrailersReceived():
            _take_headers(
                {
                    name.decode("latin-1"): value.decode(errors="replace")
                    for name, value in event.headers or ()
                },
                answer,
            )
        case DataReceived():
            answer.data += event.data or b""
            if len(answer.data) > _MOST_MESSAGE_BYTES:
                raise NoGrpcError(f"a message of over {_MOST_MESSAGE_BYTES} bytes")
        case StreamEnded():
            return True
        case StreamReset():
            # A server that has answered need not hear us out, and says NO_ERROR.
            if answer.status is None:
                raise NoGrpcError(f"the call was reset: {_name(event.error_code)}")
            return True
        case GoAway(last_stream_id, code):
            if code != ErrorCodes.NO_ERROR:
                raise NoGrpcError(f"the server broke off: {_name(code)}")
            if last_stream_id < stream_id:
                raise GoAwayError("the server closes the connection before it answers")
        case _:
            pass
    return False


def _take_headers(headers: Mapping[str, str], answer: Answer) -> None:
    if ":status" in headers:
        answer.http_status = _code(headers[":status"]) or 0
        answer.content_type = headers.get("content-type", "")
    status = _code(headers.get("grpc-status", ""))
    if status is not None:
        answer.status = status
        answer.text = one_line(unquote(headers.get("grpc-message", "")))


def _code(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else None


def _name(code: int | None) -> str:
    return ErrorCodes(code).name if code in set(ErrorCodes) else str(code)


def health_request(service: str) -> bytes:
    """HealthCheckRequest {string service = 1}."""
    data = service.encode()
    return b"\x0a" + _varint(len(data)) + data if data else b""


def health_status(message: bytes) -> int:
    """Of HealthCheckResponse {ServingStatus status = 1}; 0, UNKNOWN, if left out. Raises NoGrpcError."""
    status, at = 0, 0
    while at < len(message):
        key, at = _read_varint(message, at)
        if key & 7 == 0:
            value, at = _read_varint(message, at)
            status = value if key >> 3 == 1 else status
        elif key & 7 == 2:
            size, at = _read_varint(message, at)
            at += size
        else:
            raise NoGrpcError("no health message")
    return status


def _varint(number: int) -> bytes:
    packed = bytearray()
    while number > 0x7F:
        packed.append(number & 0x7F | 0x80)
        number >>= 7
    packed.append(number)
    return bytes(packed)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            break
        number |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return number, at
    raise NoGrpcError("no health message: a number without an end")
