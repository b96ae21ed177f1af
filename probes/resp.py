"""Just enough of the Redis protocol (RESP 2) to ask for a few things and read what is answered."""

from __future__ import annotations

from collections.abc import Sequence

from probes.streams import Stream, TooLongError
from probes.texts import one_line

_MOST_LINE_BYTES = 4096
_MOST_TEXT_BYTES = 262_144  # INFO is 5 KiB, or some tens with many databases
_MOST_ITEMS = 1024
_MOST_DEPTH = 4


class NoRedisError(Exception):
    """Something answered, and it did not speak the protocol."""


class RedisError(Exception):
    """What Redis refused; `code` is the first word, in capitals."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))
        code = text.partition(" ")[0]
        self.code = code if code.isupper() else "ERR"


Reply = str | int | RedisError | list["Reply"] | None


def command(*words: str) -> bytes:
    parts = [f"*{len(words)}\r\n".encode()]
    for word in words:
        data = word.encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)


async def read_replies(stream: Stream, count: int) -> Sequence[Reply]:
    """The next `count`. Raises NoRedisError, OSError."""
    return [await read_reply(stream) for _ in range(count)]


async def read_reply(stream: Stream, depth: int = 0) -> Reply:
    """An error is a value here: what comes after it is read too. Raises NoRedisError, OSError."""
    kind = await stream.peek(1)
    if kind not in b"+-:$*":
        # Said at once: a peer that speaks something else need never end its line.
        raise NoRedisError(f"no Redis: it begins with {await _beginning(stream)!r}")
    try:
        line = (await stream.read_until(b"\r\n", _MOST_LINE_BYTES))[1:].decode(errors="replace")
    except TooLongError as exc:
        raise NoRedisError(f"no Redis: a line of {exc}") from exc
    match kind:
        case b"+":
            return line
        case b"-":
            return RedisError(line)
        case b":":
            return _number(line)
        case b"$":
            return await _read_text(stream, _number(line))
        case _:
            return await _read_list(stream, _number(line), depth)


async def _read_text(stream: Stream, size: int) -> str | None:
    if size < 0:
        return None
    if size > _MOST_TEXT_BYTES:
        raise NoRedisError(f"an answer of {size} bytes")
    return (await stream.read_exactly(size + 2))[:-2].decode(errors="replace")


async def _read_list(stream: Stream, count: int, depth: int) -> list[Reply] | None:
    if count < 0:
        return None
    if count > _MOST_ITEMS or depth >= _MOST_DEPTH:
        raise NoRedisError(f"an answer of {count} parts, in {depth} others")
    return [await read_reply(stream, depth + 1) for _ in range(count)]


async def _beginning(stream: Stream) -> bytes:
    return (await stream.receive())[:16]


def _number(line: str) -> int:
    digits = line.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise NoRedisError(f"no number: {one_line(line, 40)!r}")
    return int(line)
