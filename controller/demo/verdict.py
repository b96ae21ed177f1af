"""What the client saw, and whether the surviving primary has all that was acknowledged to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psycopg

from controller.demo.settings import APP_TABLE

READ_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Ack:
    """One acknowledged row. `ns`: CLOCK_MONOTONIC when the client had the answer."""

    ns: int
    writer: int
    n: int
    port: int


@dataclass(frozen=True, slots=True)
class ClientLog:
    """The client's log, parsed. `end_ns` is the end of the client, or its last line if it was killed."""

    acks: tuple[Ack, ...]
    errors: tuple[tuple[int, str, int], ...]  # (ns, kind, port)
    end_ns: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Between two acknowledgements of whatever writer. `open`: none came any more before the end."""

    start_ns: int
    end_ns: int
    open: bool

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class ClientVerdict:
    """lost: acknowledged rows that the surviving primary lacks. duplicated: rows that it has twice.
    gap: the longest one that ended after the fault; None without two events to measure between."""

    acknowledged: int
    lost: int
    duplicated: int
    gap: Gap | None
    errors: dict[str, int]
    lost_rows: tuple[tuple[int, int], ...] = ()  # (writer, n), the first ones

    @property
    def gap_s(self) -> float | None:
        return self.gap.seconds if self.gap else None


LOST_ROWS_SHOWN = 20


def read_log(path: Path) -> ClientLog:
    """A last line that was cut off (the client was killed) is passed over."""
    acks: list[Ack] = []
    errors: list[tuple[int, str, int]] = []
    end_ns = 0
    for line in path.read_text(encoding="ascii").splitlines(keepends=True):
        if not line.endswith("\n"):
            break
        match line.split():
            case ["A", ns, writer, n, port]:
                acks.append(Ack(int(ns), int(writer), int(n), int(port)))
            case ["E", ns, _writer, kind, port]:
                errors.append((int(ns), kind, int(port)))
            case [_, ns, *_]:
                pass
            case _:
                continue
        end_ns = max(end_ns, int(ns))
    return ClientLog(tuple(sorted(acks, key=lambda ack: ack.ns)), tuple(errors), end_ns)


def longest_gap(log: ClientLog, after_ns: int = 0) -> Gap | None:
    """The longest time without an acknowledgement, of those that ended at or after `after_ns`."""
    times = [ack.ns for ack in log.acks]
    if not times:
        return None
    gaps = [Gap(a, b, open=False) for a, b in pairwise(times) if b >= after_ns]
    gaps.append(Gap(times[-1], max(log.end_ns, times[-1]), open=True))
    return max(gaps, key=lambda gap: gap.end_ns - gap.start_ns)


def judge(client_log: Path, surviving_dsn: str, *, after_ns: int = 0) -> ClientVerdict:
    """Count on the surviving primary what the client was told is safe. `after_ns`: when the fault was made.

    To be called after the client has stopped. Raises psycopg.Error if the survivor can't be read.
    """
    log = read_log(client_log)
    with psycopg.connect(surviving_dsn, connect_timeout=READ_TIMEOUT_S, autocommit=True) as connection:
        rows = connection.execute(
            f"SELECT writer, n, count(*) FROM {APP_TABLE} GROUP BY writer, n"
        ).fetchall()
    present = {(writer, n) for writer, n, _count in rows}
    missing = sorted({(ack.writer, ack.n) for ack in log.acks} - present)
    return ClientVerdict(
        acknowledged=len(log.acks),
        lost=len(missing),
        duplicated=sum(count - 1 for _writer, _n, count in rows),
        gap=longest_gap(log, after_ns),
        errors=dict(Counter(kind for _ns, kind, _port in log.errors)),
        lost_rows=tuple(missing[:LOST_ROWS_SHOWN]),
    )
