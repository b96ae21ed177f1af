"""Planned work at a site: who leaves it, who comes back, in which order, by which gates."""

from __future__ import annotations

from pathlib import Path

import pytest
from disaster_bench import Disaster, disaster

from controller.supervisor.requests import Requests
from controller.supervisor.switch_gates import Wish
from model.errors import UsageError

CHAIN = {"db": {}, "app": {"depends_on": ["db"]}, "wiki": {"mode": "observe"}}


async def carry_out(bench: Disaster, *, back: bool) -> list[str]:
    """As the command line does it; the services in the order in which they moved."""
    moved = []
    for step in bench.incidents.site_plan("dc1", back=back, person="wang")["steps"]:
        supervisor = bench.supervisors[step["service"]]
        await Requests(supervisor).switchover(Wish(step["to"], "wang"), dry_run=False)
        await bench.live()
        moved.append(step["service"])
    return moved


async def test_a_site_is_left_in_order_and_come_back_to_without_a_disaster(tmp_path: Path) -> None:
    async with disaster(tmp_path, CHAIN) as bench:
        plan = bench.incidents.site_plan("dc1", back=False, person="wang")
        assert [(s["service"], s["wave"], s["to"]) for s in plan["steps"]] == [
            ("db", 1, "pg3"),
            ("app", 2, "pg3"),
        ]
        assert [s["service"] for s in plan["staying"]] == ["wiki"]
        assert await carry_out(bench, back=False) == ["db", "app"]
        assert bench.primaries() == {"db": "pg3", "app": "pg3", "wiki": "pg1"}
        assert bench.incidents.site_plan("dc1", back=False, person="wang")["steps"] == []
        back = bench.incidents.site_plan("dc1", back=True, person="wang")
        assert [(s["service"], s["from"], s["to"]) for s in back["steps"]] == [
            ("db", "pg3", "pg1"),
            ("app", "pg3", "pg1"),
        ]
        assert await carry_out(bench, back=True) == ["db", "app"]
        assert bench.primaries() == {"db": "pg1", "app": "pg1", "wiki": "pg1"}
        assert bench.incidents.declared() == []


async def test_nobody_comes_back_to_a_site_that_is_nobodys_home(tmp_path: Path) -> None:
    async with disaster(tmp_path, CHAIN) as bench:
        with pytest.raises(UsageError, match="no service is at home at dc2"):
            bench.incidents.site_plan("dc2", back=True, person="wang")
        with pytest.raises(UsageError, match="no site 'dc9'"):
            bench.incidents.site_plan("dc9", back=False, person="wang")
