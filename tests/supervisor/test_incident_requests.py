"""What a person does to an open incident, by name and on record."""

from __future__ import annotations

from pathlib import Path

import pytest
from supervisor_bench import running

from config.levels import Levels
from controller.incident_requests import IncidentRequests
from model import events as ev
from model.errors import HeldError, UsageError


async def test_an_outage_is_acknowledged_reported_and_not_closed_before_it_is_over(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask") as bench:
        await bench.crash()
        await bench.live(0.5)
        incident = bench.supervisor.ledger.incident_id
        assert incident is not None
        requests = IncidentRequests([bench.supervisor], incident)
        assert await requests.acknowledge("on it", "wang") == {
            "service": "orders",
            "incident": incident,
            "acknowledged": "wang",
        }
        await requests.reported("the deputy", "by telephone", "wang")
        known = bench.supervisor.ledger.incident
        assert known is not None
        assert (known.acknowledged, known.reported) == ("wang", "wang")
        with pytest.raises(HeldError, match="still out"):
            await requests.close("enough", "wang")
        assert bench.of(ev.INCIDENT_REPORTED)[0].data == {"to": "the deputy", "comment": "by telephone"}


async def test_an_incident_that_is_recovered_is_closed_by_a_person_with_a_reason(tmp_path: Path) -> None:
    async with running(tmp_path, access="none") as bench:  # nobody can bring the old primary back
        await bench.crash()
        await bench.live(2.0)
        incident = bench.supervisor.ledger.incident
        assert incident is not None
        assert incident.recovered
        await IncidentRequests([bench.supervisor], incident.id).close("pg1 is scrapped", "wang")
        assert bench.supervisor.ledger.incident is None
        [closed] = bench.of(ev.INCIDENT_CLOSED)
        assert (closed.actor, closed.data["reason"]) == ("wang", "pg1 is scrapped")


async def test_where_people_hold_the_office_that_confirms_one_of_them_must(tmp_path: Path) -> None:
    async with running(tmp_path, mode="ask") as bench:
        await bench.crash()
        await bench.live(0.5)
        levels = Levels(offices={"department head": ("ada",)})
        bench.supervisor.estate = bench.supervisor.estate.model_copy(update={"levels": levels})
        requests = IncidentRequests([bench.supervisor], bench.supervisor.ledger.incident_id or "")
        with pytest.raises(HeldError) as held:
            await requests.acknowledge("on it", "wang")
        assert held.value.hint == "one of: ada"
        assert (await requests.acknowledge("on it", "ada"))["acknowledged"] == "ada"


async def test_there_is_nothing_to_do_to_an_incident_that_is_not_open(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        with pytest.raises(UsageError, match="no open incident"):
            IncidentRequests([bench.supervisor], "INC-404")
