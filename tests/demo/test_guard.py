"""Unguarded commits are counted by sampling, with a stated error bound."""

from __future__ import annotations

import time

import pytest

from controller.demo import processes
from controller.demo.client import ClientProcess
from controller.demo.guard import GuardWatch, Sample, count_unguarded
from controller.demo.verdict import read_log


def sample(at: int, *, primary: bool = True, attached: bool) -> Sample:
    return Sample(at, at + 2, primary, attached)


ALONE_THEN_NOT = [
    sample(10, primary=False, attached=False),
    sample(20, attached=False),
    sample(30, attached=True),
]


@pytest.mark.parametrize(
    ("ack", "samples", "expected"),
    [
        (15, ALONE_THEN_NOT, (1, 0, 0)),
        (25, ALONE_THEN_NOT, (0, 1, 0)),
        (35, [*ALONE_THEN_NOT, sample(40, attached=True)], (0, 0, 0)),
        (35, ALONE_THEN_NOT, (0, 0, 1)),
        (35, [sample(30, attached=True), sample(40, attached=False)], (0, 1, 0)),
        (5, [sample(10, attached=False)], (1, 0, 0)),
        (5, [], (0, 0, 1)),
    ],
)
def test_an_acknowledgement_is_judged_by_the_samples_around_it(
    ack: int, samples: list[Sample], expected: tuple[int, int, int]
) -> None:
    assert count_unguarded([ack], samples) == expected


@pytest.mark.postgres
def test_commits_of_a_primary_without_standbys_are_seen_as_unguarded(cluster) -> None:
    nodes = cluster(synchronous_standby_names="")
    watch = GuardWatch(nodes)
    watch.start()
    client = ClientProcess(nodes, nodes.base / "client.log")
    client.wait_writes(20)
    alone_ns = time.monotonic_ns()
    for name in ("pg2", "pg3"):
        nodes.node(name).kill_tree()
    primary = nodes.node("pg1")
    assert processes.wait_until(lambda: not primary.query("SELECT FROM pg_stat_replication"), timeout_s=5)
    client.wait_writes(50)
    client.stop()
    watch.stop()
    acks = read_log(client.log).acks
    assert watch.verdict(acks, since_ns=alone_ns).unguarded >= 45
    assert watch.verdict([ack for ack in acks if ack.ns < alone_ns]).unguarded == 0
    assert set(watch.verdict(acks).first_attached_ns) == {"pg1"}
