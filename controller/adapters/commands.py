"""What local and remote commands have in common: their environment, their words, their bounded output."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

# Of each stream: its first and its last half. A command that floods us must not take our memory.
OUTPUT_BYTES = 256 * 1024

# Nothing of ours is handed on: a PGDATA or LC_ALL of the daemon's must not change what is run. Texts are in
# English, so that what is read from them can be relied on.
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class Captured:
    """One output stream, bounded."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def add(self, chunk: bytes) -> None:
        half = OUTPUT_BYTES // 2
        room = half - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        too_much = len(self._tail) - half
        if too_much > 0:
            del self._tail[:too_much]
            self._left_out += too_much

    def text(self) -> str:
        gap = f"\n[… {self._left_out} bytes left out …]\n".encode() if self._left_out else b""
        return bytes(self._head + gap + self._tail).decode(errors="replace")


def as_user(argv: Sequence[str], user: str | None, env: Mapping[str, str] | None) -> list[str]:
    """argv for a host where this process is not root: `sudo` changes the user, `env` sets what sudo would
    drop. Never with a prompt."""
    command = list(argv)
    if env:
        command = ["env", *(f"{name}={value}" for name, value in env.items()), *command]
    return command if user is None else ["sudo", "-n", "-u", user, "--", *command]


def typed(argv: Sequence[str], user: str | None = None) -> str:
    """As a person would type it."""
    return shlex.join(as_user(argv, user, None))
