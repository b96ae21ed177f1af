"""How a plain conversation is turned into TLS, for the protocols that begin in the clear."""

from __future__ import annotations

from typing import Final, Literal

from probes.sockets import receive
from probes.streams import Stream, TooLongError
from probes.texts import one_line
from probes.trace import note

StartTls = Literal["none", "postgresql", "smtp"]

_SSL_REQUEST: Final = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # length 8, code 80877103
_MOST_LINE = 1024
_MOST_LINES = 100


class NoStartTlsError(Exception):
    """The peer answered, and does not go on in TLS."""


async def begin(stream: Stream, protocol: StartTls) -> None:
    """Afterwards the peer expects the handshake. Raises NoStartTlsError, OSError."""
    match protocol:
        case "postgresql":
            await _postgresql(stream)
        case "smtp":
            await _smtp(stream)
        case "none":
            pass


async def _postgresql(stream: Stream) -> None:
    """https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL"""
    await stream.send(_SSL_REQUEST)
    # One byte and no more: what else had come in the clear would pass for what came in TLS (CVE-2021-23222).
    answer = await receive(stream.sock, 1)
    note("PostgreSQL answered %r to the request for TLS", answer)
    if not answer:
        raise ConnectionResetError("closed without a word")
    if answer == b"N":
        raise NoStartTlsError("the server offers no TLS (ssl = off)")
    if answer != b"S":
        raise NoStartTlsError(f"no PostgreSQL: answered {answer!r} to the request for TLS")


async def _smtp(stream: Stream) -> None:
    """RFC 3207."""
    await _smtp_reply(stream, "220", "greeting")
    await stream.send(b"EHLO bcm-failover\r\n")
    offered = await _smtp_reply(stream, "250", "answer to EHLO")
    if "STARTTLS" not in (line.upper() for line in offered):
        raise NoStartTlsError("the server does not offer STARTTLS")
    await stream.send(b"STARTTLS\r\n")
    await _smtp_reply(stream, "220", "answer to STARTTLS")


async def _smtp_reply(stream: Stream, code: str, what: str) -> list[str]:
    """The texts of its lines."""
    texts: list[str] = []
    while len(texts) < _MOST_LINES:
        try:
            line = (await stream.read_until(b"\n", _MOST_LINE)).decode("utf-8", "replace").rstrip("\r")
        except TooLongError as exc:
            raise NoStartTlsError(f"no SMTP: {exc}") from None
        note("heard %s", one_line(line))
        if line[:3] != code or line[3:4] not in ("", " ", "-"):
            raise NoStartTlsError(f"{what}: {one_line(line, 80)!r}, expected {code}")
        texts.append(line[4:])
        if line[3:4] != "-":
            return texts
    raise NoStartTlsError(f"no SMTP: over {_MOST_LINES} lines")
