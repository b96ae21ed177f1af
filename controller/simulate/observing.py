"""Controllers that only observe, at other places, and what carries what they see to the one that acts.

A batch goes over the simulated network like everything else: a cut holds it up, a slow way delays it. Whoever
carries it gives it up after a second, as `controller.arrivals` asks for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from controller.arrivals import Batch
from controller.observer import PREFIX
from controller.simulate.network import Host, Network
from controller.simulate.watcher import Watcher
from model.observation import Observation

if TYPE_CHECKING:
    from controller.simulate.world import World

# What is seen within so short a time goes together.
TOGETHER_S: Final = 0.02
# So often it says at least how it is itself.
AT_LEAST_S: Final = 0.5
GIVEN_UP_S: Final = 1.0
# Their clocks began at other times.
_UPTIME_S: Final = 40_000.137

Carry = Callable[[Batch], None]


class ObservingController(Watcher):
    """number: among the other observers, from 1. start: which one of this name it is, from 1. carry: takes
    each batch on its way."""

    def __init__(self, world: World, host: Host, name: str, *, number: int, start: int, carry: Carry) -> None:
        super().__init__(world, host, name, _UPTIME_S * number)
        self.number = number
        self.starts = start
        self._boot = f"boot-{host.name}-{start}"
        self._carry = carry
        self._sent = 0
        self._seen: list[Observation] = []
        self._planned = False

    def begin(self) -> None:
        self._watch()
        self._regularly()

    def _observed(self, seen: Observation) -> None:
        self.observer.observe(seen)
        if seen.target.startswith(PREFIX):
            return
        self._seen.append(seen)
        if not self._planned:
            self._planned = True
            self.probing.at(self.loop.time() + TOGETHER_S, self._send)

    def _send(self) -> None:
        self._planned = False
        seen, self._seen = tuple(self._seen), []
        now_s = self.loop.time()
        self._sent += 1
        sane, why = self.observer.judge(now_s)
        self._carry(Batch(self.name, self._boot, self._sent, now_s, sane, why, seen))

    def _regularly(self) -> None:
        self._send()
        self.probing.at(self.loop.time() + AT_LEAST_S, self._regularly)

    def world_s(self, at_s: float) -> float:
        """A moment of its monotonic clock, in the world's time."""
        return at_s - self.loop.offset_s


def carry(network: Network, source: str, target: str, deliver: Callable[[], None]) -> None:
    """From one host to another; what takes too long is given up."""
    sent_s = network.now_s

    def arrived() -> None:
        if network.now_s - sent_s <= GIVEN_UP_S:
            deliver()

    network.send(source, target, arrived)
