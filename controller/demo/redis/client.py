"""The demo's client of Redis: each write is a key of its own. READONLY and NOREPLICAS are errors as others
are."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from controller.demo.redis.cluster import RedisNode
from controller.demo.redis.resp import RedisWireError, Session
from controller.demo.verdict import Ack
from controller.demo.writer import DEADLINE_S, PACE_S, ROUND_WAIT_S, arguments_of

MODULE: Final = "controller.demo.redis.client"
_BATCH: Final = 500


def missing(survivor: RedisNode, acks: Sequence[Ack]) -> int:
    """How many of them are not on it."""
    return len(_missing(survivor.port, [key(a.writer, a.n) for a in acks]))


def key(writer: int, n: int) -> str:
    return f"app:{writer}:{n}"


def _missing(port: int, keys: Sequence[str]) -> list[str]:
    session = Session(port, 10.0)
    try:
        found: list[str] = []
        for at in range(0, len(keys), _BATCH):
            batch = keys[at : at + _BATCH]
            replies = session.ask_all([("EXISTS", k) for k in batch])
            found += [k for k, there in zip(batch, replies, strict=True) if there != 1]
        return found
    finally:
        session.close()


class _Writer(threading.Thread):
    """One session at a time."""

    def __init__(self, ports: Sequence[int], log: Callable[[str], None], end: threading.Event) -> None:
        super().__init__(name="writer", daemon=True)
        self._ports = ports
        self._log = log
        self._end = end
        self._n = 0

    def run(self) -> None:
        while not self._end.is_set():
            if not any(self._use(port) for port in self._ports):
                self._end.wait(ROUND_WAIT_S)

    def _use(self, port: int) -> bool:
        """Write to this server for as long as it works. Was anything acknowledged?"""
        session, worked = None, False
        try:
            session = Session(port, DEADLINE_S)
            self._log(f"C {time.monotonic_ns()} 1 {port}")
            while not self._end.is_set():
                self._n += 1
                session.ask("SET", key(1, self._n), "1")
                worked = True
                self._log(f"A {time.monotonic_ns()} 1 {self._n} {port}")
                self._end.wait(PACE_S)
        except RedisWireError as error:
            self._log(f"E {time.monotonic_ns()} 1 {error.kind} {port}")
        finally:
            if session is not None:
                session.close()
        return worked


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until standard input is closed."""
    ports, log = arguments_of(argv)
    end = threading.Event()
    writer = _Writer(ports, log, end)
    writer.start()
    sys.stdin.read()
    end.set()
    writer.join(2 * DEADLINE_S + 1)
    log(f"Q {time.monotonic_ns()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
