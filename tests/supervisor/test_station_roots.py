"""The station lays its services beside each other: what one sees of a node counts for all."""

from __future__ import annotations

from pathlib import Path

import yaml
from test_station import service, station, write

from config.loader import load_estate
from controller.station import Station
from model import events as ev
from model.observation import Failure, Observation, Outcome


def _see(made: Station, target: str, probe: str, ok: bool, at_s: float) -> None:
    outcome, failure = (Outcome.SUCCEEDED, None) if ok else (Outcome.FAILED, Failure.SILENT)
    facts = {"in_recovery": not target.endswith("/m0"), "timeline": 1, "position": 1} if ok else {}
    made._observed(
        Observation(
            target, probe, made.scheduler.observer, outcome, at_s, at_s + 0.1, at_s, failure, facts=facts
        )
    )


async def test_the_services_on_a_dead_node_name_it_and_the_endpoint_of_one_is_looked_at(
    tmp_path: Path,
) -> None:
    write(
        tmp_path / "estate.yaml",
        orders=service("db1", "db2"),
        billing=service("db1", "db3"),
        stock=service("db2", "db3"),
    )
    estate = yaml.safe_load((tmp_path / "estate.yaml").read_text(encoding="utf-8"))
    vip = {"type": "tcp", "service": "stock", "options": {"host": "127.0.0.1", "port": 1}}
    (tmp_path / "estate.yaml").write_text(yaml.safe_dump({**estate, "probes": {"vip": vip}}))
    async with station(load_estate(tmp_path / "estate.yaml"), start=False) as made:
        for name in made.estate.services:
            await made.journal.append(ev.SERVICE_PRIMARY, {"member": "m0", "timeline": 1}, service=name)
        made._watch_all()  # nothing is awaited from here on, so no probe of its own looks at these members
        now_s = made.clock.monotonic_s()
        for step in range(40):
            at_s = now_s - 10 + step * 0.25
            for name, supervisor in made.supervisors.items():
                for member in supervisor.service.members.values():
                    ok = member.node != "db1" or step < 20
                    _see(made, f"{name}/{member.name}", "postgresql", ok, at_s)
            _see(made, "probe/vip", "tcp", step < 20, at_s)
        for _turn in range(2):
            for supervisor in made.supervisors.values():
                supervisor._judge()
        found = [(root.key, services) for root, services in made.picture.consequences()]
        assert found == [("node/db1", ("billing", "orders"))]
        judged = {name: s.judged.diagnosis for name, s in made.supervisors.items() if s.judged}
        assert judged["orders"].root is not None
        assert judged["orders"].root.key == "node/db1"
        assert judged["stock"].code == "EndpointDown"
        for name in list(made.supervisors):
            await made._unsupervise(name)
        await made.scheduler.aclose()
        await made.pager.aclose()
