"""The demo's client of a pool: it asks all the time, each time on a connection of its own, and counts."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass

from controller.demo.settings import LOOPBACK

DEADLINE_S = 1.0  # for one request, as the clients of the other demos have it
PACE_S = 0.005
INTERVAL_S = 1.0
"""Whatever fails within one such stretch counts once."""


@dataclass(frozen=True, slots=True)
class Request:
    """began_ns: of CLOCK_MONOTONIC. fault: '' where it was answered with 200. server: who answered."""

    began_ns: int
    ended_ns: int
    fault: str
    server: str


@dataclass(frozen=True, slots=True)
class Counted:
    """failed_s: from the first failure to the end of the last; 0 without any."""

    requests: int
    failed: int
    failed_intervals: int
    failed_s: float
    faults: tuple[str, ...]


class PoolClient:
    """Several threads, so that a request that waits keeps no other from being made."""

    def __init__(self, port: int, *, threads: int = 3) -> None:
        self._port = port
        self._end = threading.Event()
        self._seen: list[Request] = []  # appending is atomic
        self._threads = [
            threading.Thread(target=self._ask, name=f"client-{n}", daemon=True) for n in range(threads)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Idempotent."""
        self._end.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(2 * DEADLINE_S)

    def answered(self) -> int:
        """So far."""
        return sum(not r.fault for r in tuple(self._seen))

    def servers_since(self, since_ns: int) -> set[str]:
        """Who has answered requests that began after it."""
        return {r.server for r in tuple(self._seen) if r.began_ns >= since_ns and not r.fault}

    def counted(self, since_ns: int, until_ns: int) -> Counted:
        """Of the requests that were under way between the two."""
        found = [r for r in tuple(self._seen) if r.ended_ns >= since_ns and r.began_ns <= until_ns]
        bad = [r for r in found if r.fault]
        return Counted(
            requests=len(found),
            failed=len(bad),
            failed_intervals=len({int((r.ended_ns - since_ns) / 1e9 // INTERVAL_S) for r in bad}),
            failed_s=(max(r.ended_ns for r in bad) - min(r.began_ns for r in bad)) / 1e9 if bad else 0.0,
            faults=tuple(sorted({r.fault for r in bad})),
        )

    def _ask(self) -> None:
        while not self._end.is_set():
            began_ns = time.monotonic_ns()
            fault, server = self._one()
            self._seen.append(Request(began_ns, time.monotonic_ns(), fault, server))
            self._end.wait(PACE_S)

    def _one(self) -> tuple[str, str]:
        """(what went wrong or '', who answered)"""
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=DEADLINE_S)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            body = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__, ""
        finally:
            connection.close()
        return ("", body) if answer.status == 200 else (f"status {answer.status}", "")
