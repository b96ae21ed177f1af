"""The contract of the types that speak no TCP: a verdict by the deadline though nothing answers, no leak."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from model.observation import Observation
from model.ports import CommandResult, Heartbeats, NodeAccess
from probes.base import Probe
from probes.registry import load_probe_type
from tests.contract import Judged, nothing_left, observe, on_the_daemons_loop, profile
from tests.probes.test_contract import NOT_TCP
from tests.scripted_probe import ports
from tests.virtual_clock import RealClock

TIMEOUT_S = 0.2
TOLERANCE_S = 0.1  # the contract's own bound
ROUNDS = 1000

NOWHERE = "192.0.2.1"  # for documentation (RFC 5737): nobody answers
# How each type is made to wait for what does not come; the node access below never answers either.
SETTINGS: dict[str, dict[str, Any]] = {
    "exec": {"command": ["/bin/sleep", "60"]},
    "heartbeat": {"within": "1h"},
    "icmp": {"host": NOWHERE},
    "path": {"host": NOWHERE},
    "gateway": {"address": NOWHERE},
    "systemd": {"unit": "shop.service"},
    "backup": {"max_age": "1h", "files": "/backups/*/backup_manifest"},
}


class DeadNode(NodeAccess):
    """Takes every command, and never answers."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("not reached")

    def describe(self, argv: Sequence[str], *, user: str | None = None) -> str:
        return " ".join(argv)


class Nothing(Heartbeats):
    """Nothing was ever pushed."""

    def last(self, name: str) -> tuple[float, str] | None:
        return None


def probe_of(name: str, target: str = "probe/it") -> Probe:
    cls = load_probe_type(name)
    given = replace(ports(RealClock()), node=DeadNode(), heartbeats=Nothing())
    return cls(target, cls.Options.model_validate(SETTINGS[name]), given)


def test_every_type_that_speaks_no_tcp_is_here() -> None:
    assert set(SETTINGS) == NOT_TCP


@pytest.mark.parametrize("name", SETTINGS)
@on_the_daemons_loop
async def test_the_verdict_falls_by_the_deadline_though_nothing_answers(name: str) -> None:
    judged = Judged(wanted=6, targets=1)
    async with nothing_left():
        own_lateness_s = await observe([probe_of(name)], profile(TIMEOUT_S), judged)
    slowest_s = max(seen.latency_s for seen in judged.seen["probe/it"])
    assert slowest_s < TIMEOUT_S + TOLERANCE_S + own_lateness_s


@pytest.mark.parametrize("name", SETTINGS)
@on_the_daemons_loop
async def test_a_thousand_rounds_leave_nothing_behind(name: str) -> None:
    left = ROUNDS

    def enough(_observation: Observation) -> bool:
        nonlocal left
        left -= 1
        return left <= 0

    async with nothing_left():
        probes = [probe_of(name, f"probe/{number}") for number in range(40)]
        await observe(probes, profile(0.03, interval_s=0.05), enough)


@pytest.mark.parametrize("name", SETTINGS)
@on_the_daemons_loop
async def test_an_attempt_that_is_cancelled_ends_at_once(name: str) -> None:
    async with nothing_left():
        probe = probe_of(name)
        for turns in range(6):
            attempt = asyncio.create_task(probe.check())
            for _ in range(turns * 3):
                await asyncio.sleep(0)
            attempt.cancel()
            done, _pending = await asyncio.wait([attempt], timeout=1.0)
            assert done
        await probe.aclose()
