"""Counts unguarded commits: acknowledged while no standby was attached to the node that acknowledged.

Method: one connection to each node, asked every `PERIOD_S` (5 ms) whether it is a primary and whether a
standby streams from it, synchronously where it says so. An acknowledgement by a node at time t is

- *unguarded* if neither the last sample that ended before t nor the first that began after t shows one,
- *undecided* if only one of the two shows one: the standby came or went between them, before or after t,
- *unobserved* if its node gave no sample after t (it was killed, or the watch had ended),
- guarded otherwise.

Error bound: the undecided ones all lie within one period of a standby's coming or going (the first commits
after a promotion wait for just that, so one or two are usual). A standby that came and left again between two
samples is taken for absent.
"""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from controller.demo.cluster import Cluster
from controller.demo.node import Node
from controller.demo.verdict import Ack

PERIOD_S = 0.005
RECONNECT_S = 0.05  # to a node that does not answer
_SAMPLE = (
    b"SELECT NOT pg_is_in_recovery(), EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND"
    b" (sync_state IN ('sync', 'quorum') OR current_setting('synchronous_standby_names') = ''))"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one node said, between two moments of CLOCK_MONOTONIC."""

    begun_ns: int
    ended_ns: int
    primary: bool
    attached: bool


@dataclass(frozen=True, slots=True)
class GuardVerdict:
    """Counts of acknowledgements, by the method above."""

    unguarded: int
    undecided: int
    unobserved: int
    first_attached_ns: dict[str, int]  # member → first sample that shows it as primary with a standby


class GuardWatch:
    """Samples all nodes from `start` to `stop`."""

    def __init__(self, cluster: Cluster) -> None:
        self._end = threading.Event()
        self._samples: dict[str, list[Sample]] = {node.name: [] for node in cluster.nodes}
        self._ports = {node.port: node.name for node in cluster.nodes}
        self._threads = [
            threading.Thread(target=self._watch, args=(node,), name=f"guard-{node.name}", daemon=True)
            for node in cluster.nodes
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """A thread that waits on a hung node is left behind; it ends with the process."""
        self._end.set()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def verdict(self, acks: Iterable[Ack], *, since_ns: int = 0) -> GuardVerdict:
        """Of the acknowledgements from `since_ns` on."""
        by_member: dict[str, list[int]] = {name: [] for name in self._samples}
        for ack in acks:
            if ack.ns >= since_ns:
                by_member[self._ports[ack.port]].append(ack.ns)
        counts = [count_unguarded(times, self._samples[name]) for name, times in by_member.items()]
        first = {
            name: next((s.ended_ns for s in samples if s.primary and s.attached), None)
            for name, samples in self._samples.items()
        }
        return GuardVerdict(
            unguarded=sum(c[0] for c in counts),
            undecided=sum(c[1] for c in counts),
            unobserved=sum(c[2] for c in counts),
            first_attached_ns={name: ns for name, ns in first.items() if ns is not None},
        )

    def _watch(self, node: Node) -> None:
        while not self._end.is_set():
            if not node.frozen() and node.ready():
                with suppress(psycopg.Error):
                    self._sample(node)
            self._end.wait(RECONNECT_S)

    def _sample(self, node: Node) -> None:
        with psycopg.connect(node.dsn(), connect_timeout=2, autocommit=True) as connection:
            while not self._end.wait(PERIOD_S):
                begun_ns = time.monotonic_ns()
                row = connection.execute(_SAMPLE, prepare=True).fetchone()
                if row is not None:
                    self._samples[node.name].append(
                        Sample(begun_ns, time.monotonic_ns(), bool(row[0]), bool(row[1]))
                    )


def count_unguarded(ack_times_ns: Sequence[int], samples: Sequence[Sample]) -> tuple[int, int, int]:
    """(unguarded, undecided, unobserved) of one node's acknowledgements; `samples` in order of time."""
    begun = [sample.begun_ns for sample in samples]
    ended = [sample.ended_ns for sample in samples]
    unguarded = undecided = unobserved = 0
    for time_ns in ack_times_ns:
        after = bisect.bisect_right(begun, time_ns)
        before = bisect.bisect_left(ended, time_ns) - 1
        if after == len(samples):
            unobserved += 1
            continue
        neighbours = [samples[after]] if before < 0 else [samples[before], samples[after]]
        guarded = [sample.primary and sample.attached for sample in neighbours]
        unguarded += not any(guarded)
        undecided += any(guarded) and not all(guarded)
    return unguarded, undecided, unobserved
