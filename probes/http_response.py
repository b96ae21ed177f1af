"""Just enough of HTTP/1.1 to read one response: status, headers, and a body of bounded size."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

MOST_BODY_BYTES = 262_144  # the expected text must come within these
_MARK = b"HTTP/"


class BadAnswerError(Exception):
    """Something answered, and it was no HTTP response."""


@dataclass(frozen=True, slots=True)
class Response:
    """Header names are in small letters; of one that is repeated the last counts."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


async def read_response(reader: asyncio.StreamReader, *, want_body: bool) -> Response:
    """The final response, past informational ones (1xx).

    Raises BadAnswerError; ConnectionResetError where the peer closed before it had answered.
    """
    try:
        response = await _read_head(reader)
        while 100 <= response.status < 200:
            response = await _read_head(reader)
        if not want_body or response.status in (204, 304):
            return response
        return Response(response.status, response.headers, await _read_body(reader, response.headers))
    except asyncio.IncompleteReadError as exc:
        raise ConnectionResetError("closed before the answer was complete") from exc
    except asyncio.LimitOverrunError as exc:
        raise BadAnswerError("a header line without an end") from exc


async def _read_head(reader: asyncio.StreamReader) -> Response:
    mark = await reader.readexactly(len(_MARK))
    if mark != _MARK:
        # Said at once: a peer that speaks something else need never end its line.
        raise BadAnswerError(f"no HTTP: it begins with {mark!r}")
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(maxsplit=2)
    if len(words) < 2 or not words[1].isdigit() or len(words[1]) != 3:
        raise BadAnswerError(f"no HTTP status: {first[:60]!r}")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return Response(int(words[1]), headers)


async def _read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _read_chunks(reader)
    length = headers.get("content-length", "")
    if length:
        size = _size(length, 10)
        return await reader.readexactly(min(size, MOST_BODY_BYTES))
    body = b""
    while len(body) < MOST_BODY_BYTES and (chunk := await reader.read(65536)):
        body += chunk
    return body


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while len(body) < MOST_BODY_BYTES:
        line = await reader.readuntil(b"\r\n")
        size = _size(line.decode("latin-1").partition(";")[0], 16)
        if size == 0:
            break
        body += await reader.readexactly(min(size, MOST_BODY_BYTES))
        if size <= MOST_BODY_BYTES:
            await reader.readexactly(2)
    return body


def _size(text: str, base: int) -> int:
    try:
        size = int(text.strip(), base)
    except ValueError:
        size = -1
    if size < 0:
        raise BadAnswerError(f"no length: {text[:60]!r}")
    return size
