"""Just enough of HTTP/1.1 to read one response: status, headers, and a body of bounded size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from probes.streams import Stream, TooLongError
from probes.texts import one_line

MOST_BODY_BYTES = 262_144  # what is expected must come within these
_MOST_HEAD_BYTES = 65_536
_MOST_LINE_BYTES = 1024  # of a chunk's size, with its extensions
_MOST_INFORMATIONAL = 10
_MOST_CHUNKS = 4096
_MARK = b"HTTP/"


class BadAnswerError(Exception):
    """Something answered, and it was no HTTP response."""


@dataclass(frozen=True, slots=True)
class Response:
    """`complete`: `body` is all of it, and not only its beginning. `version`: as `1.1`."""

    status: int
    header_lines: bytes = b""
    body: bytes = b""
    complete: bool = True
    version: str = ""

    @property
    def content_length(self) -> int | None:
        """What the server says that the body is long; None if it does not. Found without taking the headers
        apart."""
        _, found, rest = (b"\r\n" + self.header_lines).lower().partition(b"\r\ncontent-length:")
        text = rest.partition(b"\r\n")[0].strip()
        return int(text) if found and text.isdigit() and len(text) < 19 else None

    @property
    def headers(self) -> dict[str, str]:
        """Names in small letters; of one that is repeated the values are joined by ", ". Taken apart when
        somebody asks: most checks never do."""
        headers: dict[str, str] = {}
        for line in self.header_lines.decode("latin-1").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon:
                key = name.strip().lower()
                headers[key] = f"{headers[key]}, {value.strip()}" if key in headers else value.strip()
        return headers


async def read_response(
    stream: Stream, *, want_body: bool, head_came: Callable[[], None] | None = None
) -> Response:
    """The final response, past informational ones (1xx). `head_came` is called once its head has been read.

    Raises BadAnswerError; ConnectionResetError where the peer closed before it had answered; other OSErrors.
    """
    try:
        for _ in range(_MOST_INFORMATIONAL):
            response = await _read_head(stream)
            if response.status >= 200:
                break
        else:
            raise BadAnswerError(f"over {_MOST_INFORMATIONAL} informational answers, and no final one")
        if head_came is not None:
            head_came()
        if not want_body or response.status in (204, 304):
            return response
        body, complete = await _read_body(stream, response.headers)
        return Response(response.status, response.header_lines, body, complete, response.version)
    except TooLongError as exc:
        raise BadAnswerError(f"a head or a line of {exc}") from exc


async def _read_head(stream: Stream) -> Response:
    mark = await stream.peek(len(_MARK))
    if mark != _MARK:
        # Said at once: a peer that speaks something else need never end its line.
        raise BadAnswerError(f"no HTTP: it begins with {mark!r}")
    head = await stream.read_until(b"\r\n\r\n", _MOST_HEAD_BYTES)
    first, _, lines = head.partition(b"\r\n")
    words = first.split(maxsplit=2)
    if len(words) < 2 or len(words[1]) != 3 or not words[1].isdigit():
        raise BadAnswerError(f"no HTTP status: {one_line(first.decode('latin-1'), 60)!r}")
    return Response(int(words[1]), lines, version=words[0][len(_MARK) :].decode("latin-1")[:3])


async def _read_body(stream: Stream, headers: dict[str, str]) -> tuple[bytes, bool]:
    """The body, and whether that is all of it."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _read_chunks(stream)
    length = headers.get("content-length", "")
    if length:
        size = _size(length, 10)
        return await stream.read_exactly(min(size, MOST_BODY_BYTES)), size <= MOST_BODY_BYTES
    body = bytearray()
    while len(body) <= MOST_BODY_BYTES:
        chunk = await stream.receive()
        if not chunk:
            return bytes(body), True
        body += chunk
    return bytes(body[:MOST_BODY_BYTES]), False


async def _read_chunks(stream: Stream) -> tuple[bytes, bool]:
    """Of bounded number too: a quarter of a million chunks of one byte took 1.6 s of the loop."""
    body = bytearray()
    for _ in range(_MOST_CHUNKS):
        line = await stream.read_until(b"\r\n", _MOST_LINE_BYTES)
        size = _size(line.decode("latin-1").partition(";")[0], 16)
        if size == 0:
            return bytes(body), True
        room = MOST_BODY_BYTES - len(body)
        body += await stream.read_exactly(min(size, room))
        if size > room:
            return bytes(body), False
        await stream.read_exactly(2)
    return bytes(body), False


def _size(text: str, base: int) -> int:
    try:
        size = int(text.strip(), base)
    except ValueError:
        size = -1
    if size < 0:
        raise BadAnswerError(f"no length: {one_line(text, 60)!r}")
    return size
