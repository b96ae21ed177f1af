"""What every probe type owes, whatever the target does: a verdict by the deadline, three values, no leak, and
no effect on the probes beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop

from model.observation import Failure, Observation, Outcome
from probes.base import Probe
from probes.registry import load_probe_type, probe_types
from tests.bad_servers import BAD_PEERS, LOOPBACK, in_a_process_of_their_own, serving, silent
from tests.contract import (
    Judged,
    Neighbour,
    lateness_of_the_machine,
    nothing_left,
    observe,
    on_the_daemons_loop,
    peak_memory,
    profile,
)
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

TIMEOUT_S = 0.2
TOLERANCE_S = 0.1  # the contract's own bound
ROUNDS = 1000
MOST_BYTES = 48 * 1024 * 1024  # for four attempts that read a flood; it would bring gigabytes

LOGIN = {"host": LOOPBACK, "user": "monitor", "sslmode": "disable"}
# How each type is pointed at a TCP peer; a type that speaks no TCP is tested for its own.
OPTIONS: dict[str, Callable[[int], dict[str, Any]]] = {
    "tcp": lambda port: {"host": LOOPBACK, "port": port, "send": "hello\n", "expect": "hello", "hold": True},
    "dns": lambda port: {"name": "shop.example", "server": LOOPBACK, "port": port, "transport": "tcp"},
    "tls": lambda port: {"host": LOOPBACK, "port": port},
    "http": lambda port: {"url": f"http://{LOOPBACK}:{port}/"},
    "redis": lambda port: {"host": LOOPBACK, "port": port},
    "grpc": lambda port: {"host": LOOPBACK, "port": port},
    "amqp": lambda port: {"host": LOOPBACK, "port": port, "user": "probe", "password": {"env": "HOME"}},
    "haproxy": lambda port: {"socket": f"{LOOPBACK}:{port}", "backend": "shop"},
    "mariadb": lambda port: {"host": LOOPBACK, "port": port, "user": "monitor"},
    "promql": lambda port: {"url": f"http://{LOOPBACK}:{port}", "query": "up"},
    "postgresql": lambda port: {**LOGIN, "port": port},
    "postgresql-canary": lambda port: {**LOGIN, "port": port},
    "ssh": lambda port: {"host": LOOPBACK, "port": port, "key": {"env": "BCM_NO_KEY"}},
    "host": lambda port: {"node_exporter": f"http://{LOOPBACK}:{port}/metrics"},
}
NOT_TCP = {"systemd", "heartbeat", "exec", "icmp", "backup", "path", "gateway"}

# What a flood begins with, and goes on with, so that a client of the protocol reads on. Others get `AAAA…`.
FLOODS: dict[str, tuple[bytes, bytes]] = {
    "http": (b"HTTP/1.1 200 OK\r\n", b"X-Flood: " + b"A" * 600 + b"\r\n"),
    "promql": (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    "host": (b"HTTP/1.1 200 OK\r\n\r\n", b"node_load1 0.5\n"),
    "haproxy": (b"", b"shop,web1,0,0,UP\n"),
    "redis": (b"$2147483647\r\n", b"A"),
    "mariadb": (b"\xff\xff\xff\x00\x0a", b"A"),
    "amqp": (b"\x01\x00\x00\x7f\xff\xff\xff", b"\0"),
    "ssh": (b"", b"Welcome to this server\r\n"),
    "postgresql": (b"S\x7f\xff\xff\xff", b"\0"),
    "postgresql-canary": (b"S\x7f\xff\xff\xff", b"\0"),
}

# What each peer may look like. A flood may hold what a type takes for an answer.
PEERS: dict[str, set[Failure | None]] = {
    "silent": {Failure.SILENT},
    "stalled": {Failure.SILENT},
    "black hole": {Failure.SILENT},
    "drips": {Failure.SILENT, Failure.BAD_ANSWER},
    "floods": {Failure.SILENT, Failure.BAD_ANSWER},
    "resets": {Failure.RESET},
    "closes": {Failure.RESET},
    "garbage": {Failure.BAD_ANSWER, Failure.SILENT},
    "refuses": {Failure.REFUSED},
}


@dataclass
class Watched:
    """What one probe type saw of all bad peers at once, beside a healthy target of another type."""

    seen: Mapping[str, list[Observation]]
    own_lateness_s: float
    machine_late_s: list[float]
    neighbour_late_s: list[float]


@pytest.fixture(scope="module")
def peers() -> Iterator[Mapping[str, int]]:
    """Port of each bad peer, and of each flood of FLOODS."""
    with in_a_process_of_their_own(FLOODS) as found:
        yield found


@pytest.fixture(scope="module")
def watched(peers: Mapping[str, int]) -> Callable[[str], Watched]:
    """What a type sees; looked at once for all tests."""
    known: dict[str, Watched] = {}

    def look(name: str) -> Watched:
        if name not in known:
            known[name] = uvloop.run(_watch(name, peers))
        return known[name]

    return look


async def _watch(name: str, peers: Mapping[str, int]) -> Watched:
    judged = Judged(wanted=6, targets=len(PEERS))
    async with nothing_left(), serving(silent) as port:
        neighbour = Neighbour(port)
        probes = [probe_of(name, peers[peer], peer) for peer in PEERS]
        with lateness_of_the_machine() as machine_late_s:
            own_lateness_s = await observe(probes, profile(TIMEOUT_S), judged, neighbour)
    return Watched(judged.seen, own_lateness_s, machine_late_s, neighbour.delays_s)


def probe_of(name: str, port: int, target: str = "shop/m1") -> Probe:
    cls = load_probe_type(name)
    return cls(target, cls.Options(**OPTIONS[name](port)), ports(RealClock()))


def high(seconds: list[float]) -> float:
    """What nine of ten stay below."""
    return sorted(seconds)[len(seconds) * 9 // 10]


def test_every_registered_type_is_under_this_contract() -> None:
    assert set(probe_types()) == set(OPTIONS) | NOT_TCP
    assert set(PEERS) == set(BAD_PEERS)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_verdict_falls_by_the_deadline(name: str, watched: Callable[[str], Watched]) -> None:
    look = watched(name)
    for peer, expected in PEERS.items():
        slowest_s = max(observation.latency_s for observation in look.seen[peer])
        assert slowest_s < TIMEOUT_S + TOLERANCE_S + look.own_lateness_s, peer
        # A busy machine may keep this process from its answers: that is unknown, and never a failure.
        kinds = {seen.failure for seen in look.seen[peer] if seen.failure is not Failure.LOCAL}
        assert kinds <= expected, peer
        assert kinds, peer
        assert {seen.outcome for seen in look.seen[peer]} <= {Outcome.FAILED, Outcome.UNKNOWN}, peer


@pytest.mark.parametrize("name", OPTIONS)
def test_the_probes_beside_it_keep_their_time(name: str, watched: Callable[[str], Watched]) -> None:
    """Compared with the sleeps of another process, for what the machine does is nobody's fault."""
    look = watched(name)
    assert len(look.neighbour_late_s) > 10
    assert high(look.neighbour_late_s) < Neighbour.INTERVAL_S + 2 * high(look.machine_late_s)


@pytest.mark.parametrize("name", OPTIONS)
@on_the_daemons_loop
async def test_a_thousand_rounds_leave_nothing_behind(name: str, peers: Mapping[str, int]) -> None:
    """With a time-out that falls at every point of an attempt; most of the verdicts do not matter here."""
    attempts = 0

    def enough(_observation: Observation) -> bool:
        nonlocal attempts
        attempts += 1
        return attempts >= ROUNDS

    async with nothing_left():
        kinds = [*PEERS] * 4
        probes = [probe_of(name, peers[peer], f"{peer} {number}") for number, peer in enumerate(kinds)]
        await observe(probes, profile(0.03, interval_s=0.05), enough)


@pytest.mark.parametrize("name", OPTIONS)
@on_the_daemons_loop
async def test_a_flood_does_not_fill_the_memory(name: str, peers: Mapping[str, int]) -> None:
    flood = peers[name if name in FLOODS else "floods"]
    async with nothing_left():
        with peak_memory() as grown:
            await observe([probe_of(name, flood)], profile(0.4), Judged(wanted=4, targets=1))
    assert grown[0] < MOST_BYTES


@pytest.mark.parametrize("name", OPTIONS)
@on_the_daemons_loop
async def test_an_attempt_that_is_cancelled_ends_at_once_and_closes_its_socket(
    name: str, peers: Mapping[str, int]
) -> None:
    async with nothing_left():
        probe = probe_of(name, peers["silent"])
        for turns in range(6):
            attempt = asyncio.create_task(probe.check())
            for _ in range(turns * 3):
                await asyncio.sleep(0)
            attempt.cancel()
            done, _pending = await asyncio.wait([attempt], timeout=1.0)
            assert done
        await probe.aclose()


@pytest.mark.parametrize("name", [*OPTIONS, *sorted(NOT_TCP)])
def test_unknown_options_are_refused(name: str) -> None:
    cls = load_probe_type(name)
    with pytest.raises(ValueError, match="nonsense"):
        cls.Options(nonsense=1)
