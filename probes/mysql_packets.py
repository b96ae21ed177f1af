"""The bytes of the MySQL protocol, as MariaDB speaks it: pure functions of bytes.

Source: MariaDB's "Client/Server Protocol" pages. Numbers are little-endian. Every function raises
ProtocolError for what can't be read, so that a peer which speaks something else is told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

# A greeting or an answer of a status statement is far shorter; a peer that announces more speaks no MySQL.
MOST_PACKET_BYTES = 1024 * 1024

OK, MORE, NULL, EOF, ERROR = 0x00, 0x01, 0xFB, 0xFE, 0xFF

_LONG_FLAG = 0x4
_PROTOCOL_41 = 0x200
SSL = 0x800
_TRANSACTIONS = 0x2000
_SECURE_CONNECTION = 0x8000
_PLUGIN_AUTH = 0x80000
_CONNECT_ATTRIBUTES = 0x100000
_AUTH_LENENC = 0x200000
_NEEDED = _PROTOCOL_41 | _SECURE_CONNECTION
_WANTED = (
    _LONG_FLAG | _PROTOCOL_41 | _TRANSACTIONS | _SECURE_CONNECTION | _PLUGIN_AUTH | _CONNECT_ATTRIBUTES
    | _AUTH_LENENC
)  # fmt: skip
_UTF8MB4 = 45  # utf8mb4_general_ci: every version has it


class ProtocolError(Exception):
    """What came is not MySQL's protocol, or not as it should be."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """The server's first packet. `nonce` has 20 bytes."""

    version: str
    connection: int
    capabilities: int
    nonce: bytes
    plugin: str


@dataclass(frozen=True, slots=True)
class ServerError:
    """`sqlstate` is empty in an error before the login."""

    code: int
    sqlstate: str
    text: str


class Cursor:
    """Reads a packet from its start to its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def at_end(self) -> bool:
        return self._at >= len(self._data)

    def take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._data):
            raise ProtocolError("a packet ends too early")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def until_nul(self) -> bytes:
        """To the next NUL, or to the end: some servers leave out the last one."""
        end = self._data.find(b"\0", self._at)
        end = len(self._data) if end < 0 else end
        taken, self._at = self._data[self._at : end], end + 1
        return taken

    def rest(self) -> bytes:
        taken, self._at = self._data[self._at :], len(self._data)
        return taken

    def counted(self) -> int:
        """A length-encoded number."""
        first = self.number(1)
        if first < NULL:
            return first
        size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first)
        if size is None:
            raise ProtocolError("no length")
        return self.number(size)

    def text(self) -> str | None:
        """A length-encoded text; None for NULL."""
        if not self.at_end and self._data[self._at] == NULL:
            self._at += 1
            return None
        return self.take(self.counted()).decode(errors="replace")


def read_greeting(packet: bytes) -> Greeting:
    cursor = Cursor(packet)
    protocol = cursor.number(1)
    if protocol != 10:
        raise ProtocolError(f"no MySQL: protocol version {protocol}")
    version = cursor.until_nul().decode("ascii", "replace")
    connection = cursor.number(4)
    nonce = cursor.take(8)
    cursor.take(1)
    capabilities = cursor.number(2)
    cursor.take(3)
    capabilities |= cursor.number(2) << 16
    length = cursor.number(1)
    cursor.take(10)
    if capabilities & _NEEDED != _NEEDED:
        raise ProtocolError("a server older than MySQL 4.1")
    nonce += cursor.take(max(13, length - 8))[:12]
    plugin = cursor.until_nul().decode("ascii", "replace") if capabilities & _PLUGIN_AUTH else ""
    # "5.5.5-" stands before the versions of MariaDB 10, for replicas that took 10 for older than 5.
    return Greeting(version.removeprefix("5.5.5-"), connection, capabilities, nonce, plugin)


def login_head(greeting: Greeting, *, tls: bool) -> bytes:
    """The beginning of the login; also the request for TLS by itself."""
    capabilities = _capabilities(greeting) | (SSL if tls else 0)
    return (
        capabilities.to_bytes(4, "little")
        + MOST_PACKET_BYTES.to_bytes(4, "little")
        + bytes([_UTF8MB4])
        + bytes(23)
    )


def login(greeting: Greeting, user: str, answer: bytes, plugin: str, *, tls: bool) -> bytes:
    capabilities = _capabilities(greeting)
    # An answer is at most 64 bytes long: its length takes one byte in either encoding.
    packet = login_head(greeting, tls=tls) + user.encode() + b"\0" + bytes([len(answer)]) + answer
    if capabilities & _PLUGIN_AUTH:
        packet += plugin.encode() + b"\0"
    if capabilities & _CONNECT_ATTRIBUTES:
        attributes = b"".join(bytes([len(text)]) + text for text in (b"program_name", b"bcm-failover"))
        packet += bytes([len(attributes)]) + attributes
    return packet


def read_error(packet: bytes) -> ServerError:
    cursor = Cursor(packet)
    cursor.take(1)
    code = cursor.number(2)
    text = cursor.rest().decode(errors="replace")
    if text.startswith("#"):
        return ServerError(code, text[1:6], text[6:])
    return ServerError(code, "", text)


def read_switch(packet: bytes) -> tuple[str, bytes]:
    """The plugin that the server wants instead, and its nonce."""
    cursor = Cursor(packet)
    cursor.take(1)
    plugin = cursor.until_nul().decode("ascii", "replace")
    nonce = cursor.rest()
    return plugin, nonce.removesuffix(b"\0")


def read_column(packet: bytes) -> str:
    """A column's name."""
    cursor = Cursor(packet)
    for _ in range(4):
        cursor.text()
    return cursor.text() or ""


def read_row(packet: bytes, columns: list[str]) -> dict[str, str | None]:
    cursor = Cursor(packet)
    return {name: cursor.text() for name in columns}


def is_end(packet: bytes) -> bool:
    """The end of the columns, or of the rows."""
    return packet[0] == EOF and len(packet) < 9


def _capabilities(greeting: Greeting) -> int:
    return _WANTED & (greeting.capabilities | _PROTOCOL_41)
