"""`make bench-probes` measures checks that succeed, on both sides."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from bench import probes_blackbox
from bench.probes_report import Bar
from bench.probes_side_by_side import Ports, ours, peers, ten_times, theirs


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    with peers() as found:
        yield found


def mostly_succeeded(found: dict[str, Any]) -> bool:
    """On a machine with other work a check of either side may fail now and then."""
    return bool(sum(found["not_succeeded"].values()) < 0.5 * found["checks"])


@pytest.mark.parametrize("type_", ["tcp", "http"])
def test_our_checks_are_counted_with_what_they_cost(type_: str, ports: Ports) -> None:
    found = ours(type_, ports, targets=20, interval_s=0.1, seconds=0.5, delays=True)
    assert found["checks"] >= 10
    assert mostly_succeeded(found)
    assert found["cpu_us_per_check"] > 0
    assert found["delay_ms"].keys() == {"p50", "p99"}


@pytest.mark.skipif(shutil.which(probes_blackbox.PROGRAM) is None, reason="no prometheus-blackbox-exporter")
@pytest.mark.parametrize("type_", ["tcp", "http"])
def test_the_exporter_is_asked_at_the_same_rate(type_: str, ports: Ports) -> None:
    found = theirs(type_, ports, seconds=0.5, rate=100.0)
    assert found["checks"] >= 10
    assert mostly_succeeded(found)
    assert found["cpu_us_per_check"] > 0


def test_costs_are_compared_at_the_same_interval_only() -> None:
    few, many, slower = (
        {"targets": targets, "interval_s": interval_s, "cpu_s": cpu_s, "wall_s": 10.0}
        for targets, interval_s, cpu_s in ((100, 1.0, 1.0), (1000, 1.0, 8.0), (1000, 5.0, 2.0))
    )
    assert ten_times([few, many, slower]) == [8.0]


def test_a_bar_is_held_up_to_its_value() -> None:
    assert Bar("a", 0.5, 0.5).held
    assert not Bar("a", 0.51, 0.5).held
