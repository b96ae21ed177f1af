"""One output stream, bounded: what floods us must not take our memory."""

from __future__ import annotations

# Of each stream: its first and its last half.
OUTPUT_BYTES = 256 * 1024


class Captured:
    """The first and the last half of what was added. `total_bytes` counts all of it."""

    def __init__(self, limit_bytes: int = OUTPUT_BYTES) -> None:
        self.total_bytes = 0
        self._half = limit_bytes // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def add(self, chunk: bytes) -> None:
        self.total_bytes += len(chunk)
        room = self._half - len(self._head)
        self._head += chunk[:room]
        self._tail += chunk[room:]
        too_much = len(self._tail) - self._half
        if too_much > 0:
            del self._tail[:too_much]
            self._left_out += too_much

    def text(self) -> str:
        gap = f"\n[… {self._left_out} bytes left out …]\n".encode() if self._left_out else b""
        return bytes(self._head + gap + self._tail).decode(errors="replace")
