"""The daemon's metrics in Prometheus' text format, from a snapshot of plain values.

`render` keeps no state and touches nothing but its argument, so that it can run off the event loop: rendering
ten thousand probes takes tenths of a second. What is not known has no series, rather than a 0 that looks like
knowledge (S6): alert on `== 0` for what is known to be bad, on `absent()` for what is not seen. There are no
histograms: one for each target would be most of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from controller.metrics_families import families
from controller.metrics_probes import probes_text
from controller.metrics_values import Snapshot


def render(snapshot: Snapshot) -> bytes:
    """Text format 0.0.4, every family with its help and type, also one that has no series at present."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(snapshot))
    return generate_latest(registry) + probes_text(snapshot.probes)


class _Collected(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        yield from families(self._snapshot)
