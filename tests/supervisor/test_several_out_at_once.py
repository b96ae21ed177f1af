"""Real supervisors of several services that fail at once: in order, and within one budget."""

from __future__ import annotations

from pathlib import Path

from disaster_bench import Disaster, disaster

from model import events as ev

# By name the last would come first.
CHAIN = {"a-shop": {"depends_on": ["b-orders"]}, "b-orders": {"depends_on": ["c-ldap"]}, "c-ldap": {}}
ONE = {"failover_budget": {"count": 1, "per": "1h"}}


def story(bench: Disaster) -> list[str]:
    """Failovers, as they began (+) and ended (-)."""
    moving: dict[str | None, str | None] = {}
    said = []
    for event in bench.of(ev.EXECUTION_OPENED) + bench.of(ev.EXECUTION_CLOSED):
        if event.type == ev.EXECUTION_OPENED and event.data["kind"] == "failover":
            moving[event.execution] = event.service
            said.append((event.seq, f"+{event.service}"))
        elif event.type == ev.EXECUTION_CLOSED and event.execution in moving:
            said.append((event.seq, f"-{moving[event.execution]}"))
    return [text for _seq, text in sorted(said)]


async def test_what_others_need_has_moved_before_they_begin(tmp_path: Path) -> None:
    async with disaster(tmp_path, CHAIN) as bench:
        await bench.crash(*CHAIN)
        await bench.live(3.0)
        assert story(bench) == ["+c-ldap", "-c-ldap", "+b-orders", "-b-orders", "+a-shop", "-a-shop"]
        assert set(bench.primaries().values()) == {"pg2"}
        assert not [page for page in bench.pages if "waits for what it needs" in page]


async def test_what_is_independent_goes_at_once(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"orders": {}, "shop": {}}) as bench:
        bench.gate.clear()
        await bench.crash("orders", "shop")
        assert sorted(story(bench)) == ["+orders", "+shop"]
        bench.gate.set()
        await bench.live(0.5)


async def test_nobody_waits_for_one_that_a_person_has_to_look_at(tmp_path: Path) -> None:
    async with disaster(tmp_path, CHAIN) as bench:
        reason = {"reason": "patching", "until_wall_ns": int((bench.clock.wall_s() + 600) * 1e9)}
        await bench.journal.append(ev.SERVICE_PAUSED, reason, service="c-ldap")
        await bench.crash(*CHAIN)
        await bench.live(2.0)
        assert story(bench) == ["+b-orders", "-b-orders", "+a-shop", "-a-shop"]
        assert bench.gate_of("c-ldap") == "pause"


async def test_the_last_of_the_budget_goes_to_the_most_important(tmp_path: Path) -> None:
    services = {"blog": {"importance": "low"}, "shop": {"importance": "critical"}, "wiki": {}}
    async with disaster(tmp_path, services, daemon=ONE) as bench:
        await bench.crash(*services)
        await bench.live(2.0)
        assert story(bench) == ["+shop", "-shop"]
        assert (bench.gate_of("blog"), bench.gate_of("wiki")) == ("budget", "budget")


async def test_of_equals_one_takes_the_last_of_the_budget_and_never_two(tmp_path: Path) -> None:
    async with disaster(tmp_path, {"orders": {}, "shop": {}}, daemon=ONE) as bench:
        await bench.crash("orders", "shop")
        await bench.live(2.0)
        assert story(bench) == ["+orders", "-orders"]
        assert bench.gate_of("shop") == "budget"
