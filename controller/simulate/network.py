"""Hosts and the ways between them: delay, loss, cuts in one direction or both. TCP as its users see it.

What is sent over a way that is cut is not lost: TCP sends it again until the way is whole. A host that is
paused takes it when it goes on. One that has lost its power forgets everything, and says nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from controller.simulate.chance import Chance
from controller.simulate.timeline import Timeline

Happening = Callable[[], None]
# What ends a fault.
Heal = Callable[[], None]

# The first retransmission of a lost packet; the next come after twice as long each.
RETRANSMIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 3.2


@dataclass(eq=False, slots=True)
class Host:
    """A machine at a site. up: it has power. paused: it stands still (a snapshot, a live migration).

    fate: counts its losses of power, so that what was on its way to it before is known to be for nobody.
    """

    name: str
    site: str
    up: bool = True
    paused: bool = False
    fate: int = 0
    number: int = 0
    parked: list[Happening] = field(default_factory=list)

    def do(self, work: Happening) -> None:
        """On this host: now, when it goes on, or never."""
        if not self.up:
            return
        if self.paused:
            self.parked.append(work)
        else:
            work()


@dataclass(frozen=True, slots=True)
class Delays:
    """One-way delays in seconds, without jitter."""

    local_s: float = 0.0001
    site_s: float = 0.0003
    far_s: float = 0.004


# Between two keepalives of a connection.
KEEPALIVE_S: Final = 5.0


class Network:
    """cut: (from, to) by host name."""

    def __init__(self, timeline: Timeline, chance: Chance, delays: Delays) -> None:
        self._timeline = timeline
        self._chance = chance
        self._delays = delays
        self.hosts: dict[str, Host] = {}
        self.cut: dict[tuple[str, str], int] = {}
        self.mended_s: dict[tuple[str, str], float] = {}
        self.slow_s: dict[tuple[str, str], float] = {}
        self.loss: dict[tuple[str, str], float] = {}
        self._waiting: dict[tuple[str, str], list[tuple[Host, int, Happening]]] = defaultdict(list)
        self._base: dict[tuple[str, str], float] = {}
        self._last: dict[tuple[str, str], float] = {}

    def add(self, host: Host) -> Host:
        host.number = len(self.hosts)
        self.hosts[host.name] = host
        return host

    def open(self, source: str, target: str) -> bool:
        """Does a packet get from one to the other now?"""
        return (source, target) not in self.cut and self.hosts[target].up

    def kept_alive(self, source: str, target: str, missed: int) -> tuple[bool, int]:
        """A keepalive of the kernel's: (answered now, unanswered in a row, `missed` before). Two end the
        connection, and so does the first that is answered by a host that has forgotten it (`Host.fate`)."""
        there = self.both_ways(source, target)
        return there, 0 if there else missed + 1

    def both_ways(self, one: str, other: str) -> bool:
        return self.open(one, other) and self.open(other, one)

    @property
    def now_s(self) -> float:
        return self._timeline.now_s

    def delay_s(self, source: str, target: str) -> float:
        """Of one packet that is sent now. Packets of one way do not overtake each other."""
        way = (source, target)
        base = self._base.get(way)
        if base is None:
            base = self._base[way] = self._base_s(source, target)
        hosts = self.hosts
        jitter = self._chance.quick(hosts[source].number, hosts[target].number, self._timeline.now_s)
        delay = base * (1.0 + jitter)
        if self.slow_s:
            delay += self.slow_s.get(way, 0.0)
        return delay

    def send(self, source: str, target: str, arrive: Happening) -> None:
        """A message of a connection: it arrives once, if it ever does; in order, unless it is lost and sent
        again. Others do not wait for it then: most are of other connections, and in a stream what comes later
        holds what came before."""
        host = self.hosts[target]
        self._send(source, host, host.fate, arrive, RETRANSMIT_S)

    def _send(self, source: str, host: Host, fate: int, arrive: Happening, wait_s: float) -> None:
        """wait_s: so long after it was sent it is sent again, if it is lost."""
        way = (source, host.name)
        if way in self.cut:
            self._waiting[way].append((host, fate, arrive))
        elif self.loss and self._loses(way, wait_s):
            longer_s = min(2 * wait_s, _LONGEST_WAIT_S)
            self._timeline.after(wait_s, lambda: self._send(source, host, fate, arrive, longer_s))
        else:
            at_s = max(self._timeline.now_s + self.delay_s(source, host.name), self._last.get(way, 0.0))
            self._last[way] = at_s
            self._timeline.at(at_s, lambda: self._arrived(host, fate, arrive))

    def cut_way(self, source: str, target: str) -> None:
        self.cut[source, target] = self.cut.get((source, target), 0) + 1

    def mend_way(self, source: str, target: str) -> None:
        """What waited is sent again."""
        way = (source, target)
        left = self.cut.get(way, 0) - 1
        if left > 0:
            self.cut[way] = left
            return
        self.cut.pop(way, None)
        self.mended_s[way] = self._timeline.now_s
        waiting = self._waiting.pop(way, [])
        for host, fate, arrive in waiting:
            again = self._resend(host, fate, arrive)
            self._timeline.after(RETRANSMIT_S + self.delay_s(source, target), again)

    def drained(self, way: tuple[str, str]) -> None:
        """A way that was slow or lossy is well again: once what is on it has arrived."""
        self.mended_s[way] = max(self._timeline.now_s, self._last.get(way, 0.0))

    def cut_off(self, group: Iterable[str], others: Iterable[str], *, both: bool = True) -> Heal:
        """Every way from one of `group` to one of `others`, and back if `both`. Returns what mends them."""
        one, other = list(group), list(others)
        ways = self.ways(one, other) + (self.ways(other, one) if both else [])
        for way in ways:
            self.cut_way(*way)

        def heal() -> None:
            for way in ways:
                self.mend_way(*way)

        return heal

    def ways(self, group: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
        """Every way from one of `group` to one of `others`."""
        inside = list(others)
        return [(a, b) for a in group for b in inside if a != b]

    def _resend(self, host: Host, fate: int, arrive: Happening) -> Happening:
        return lambda: self._arrived(host, fate, arrive)

    def _arrived(self, host: Host, fate: int, arrive: Happening) -> None:
        if host.fate == fate:
            host.do(arrive)

    def _loses(self, way: tuple[str, str], wait_s: float) -> bool:
        """Is a packet lost that is sent now, for the first time or after `wait_s`?"""
        rate = self.loss.get(way, 0.0)
        return rate > 0 and self._chance.of("loss", way, self._timeline.now_s, wait_s) < rate

    def _base_s(self, source: str, target: str) -> float:
        if source == target:
            return self._delays.local_s
        near = self.hosts[source].site == self.hosts[target].site
        return self._delays.site_s if near else self._delays.far_s
