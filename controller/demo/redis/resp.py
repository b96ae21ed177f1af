"""A blocking session with a Redis server, as an application has one: every call has its deadline."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import BinaryIO

from controller.demo.settings import LOOPBACK
from probes.resp import command

Value = str | int | list["Value"] | None


class RedisWireError(Exception):
    """kind: `refused`, `silent`, `cut`, or the first word of what the server said, such as READONLY."""

    def __init__(self, kind: str, text: str = "") -> None:
        super().__init__(text or kind)
        self.kind = kind


class Session:
    """To a port of loopback. Raises RedisWireError."""

    def __init__(self, port: int, deadline_s: float) -> None:
        try:
            self._sock = socket.create_connection((LOOPBACK, port), timeout=deadline_s)
        except ConnectionRefusedError:
            raise RedisWireError("refused") from None
        except OSError as error:
            raise RedisWireError("silent", str(error)) from None
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file: BinaryIO = self._sock.makefile("rb")

    def ask(self, *words: str) -> Value:
        """One command; what the server refuses is an error."""
        return self.ask_all([words])[0]

    def ask_all(self, commands: Sequence[Sequence[str]]) -> list[Value]:
        """Sent together."""
        try:
            self._sock.sendall(b"".join(command(*words) for words in commands))
            return [self._read() for _ in commands]
        except TimeoutError:
            raise RedisWireError("silent") from None
        except OSError as error:
            raise RedisWireError("cut", str(error)) from None

    def close(self) -> None:
        self._file.close()
        self._sock.close()

    def _read(self) -> Value:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise RedisWireError("cut")
        kind, text = line[:1], line[1:-2].decode()
        match kind:
            case b"+":
                return text
            case b"-":
                raise RedisWireError(text.partition(" ")[0], text)
            case b":":
                return int(text)
            case b"$":
                return None if text == "-1" else self._file.read(int(text) + 2)[:-2].decode()
            case _:
                return [self._read() for _ in range(int(text))]
