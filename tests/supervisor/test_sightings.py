"""What actions are told of a member or a declared probe is what detection makes of it, and when it looked."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from model.health import Health
from model.ports import Sighting
from tests.supervisor.test_station import service, station, write

WEB = {"type": "tcp", "service": "orders", "interval": "200ms", "fall": 2}
PROBES = {"probes": {"web": {**WEB, "options": {"host": "127.0.0.1", "port": 1}}}}


async def seen(look: object, wanted: Health) -> Sighting:
    deadline_s = time.monotonic() + 10
    while True:
        found = look()  # type: ignore[operator]
        if found is not None and found.health is wanted:
            return found  # type: ignore[no-any-return]
        assert time.monotonic() < deadline_s, found
        await asyncio.sleep(0.01)


async def test_members_and_declared_probes_are_seen_and_nobody_else(tmp_path: Path) -> None:
    loaded = write(tmp_path / "estate.yaml", PROBES, orders=service("n0", "n1"))
    async with station(loaded) as made:
        ports = made.executor._ports
        began_s = time.monotonic()
        for target in ("probe/web", "orders/m0"):
            sighting = await seen(lambda target=target: ports.sighting(target), Health.DOWN)
            assert sighting.began_s is not None
            assert sighting.began_s > began_s - 10
            assert sighting.why
        for target in ("probe/none", "orders/none", "none/m0", "orders", "orders/"):
            assert ports.sighting(target) is None


async def test_the_daemon_gives_actions_this_host_http_a_pager_and_files(tmp_path: Path) -> None:
    async with station(write(tmp_path / "estate.yaml", orders=service("n0", "n1"))) as made:
        ports = made.executor._ports
        result = await ports.here.run(["/bin/echo", "a"], timeout_s=5)
        assert result.stdout == "a\n"
        assert ports.tell("info", "done", "", "orders", None).startswith("PAGE-")
        kept = await ports.outputs.keep("EXE-1", "act", "text")
        assert Path(kept).is_relative_to(tmp_path / "state")
