"""When a member is brought back, and how patiently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from supervisor_bench import Servers, estate

from controller.supervisor.judgement import Case, Judged, Surroundings, judge
from controller.supervisor.knowledge import Knowledge
from controller.supervisor.ledger import Ledger
from controller.supervisor.mending import DETACHED_S, FIRST_WAIT_S, LONGEST_WAIT_S, Mending, Outcome
from controller.views import PG
from model.observation import Failure, Observation
from model.observation import Outcome as Seen


class Service:
    def __init__(self, state_dir: Path, **options: Any) -> None:
        self.estate = estate(state_dir, **options)
        self.service = self.estate.services["orders"]
        self.servers = Servers()
        self.ledger = Ledger("orders", primary="pg1", timeline=1)
        self.mending = Mending(self.estate, self.service)

    def judged(self, at_s: float) -> Judged:
        knowledge = Knowledge(self.estate, self.service)
        for member in self.service.members:
            failed = member in self.servers.down
            knowledge.observe(
                Observation(
                    f"orders/{member}",
                    PG,
                    "test",
                    Seen.FAILED if failed else Seen.SUCCEEDED,
                    at_s,
                    at_s,
                    at_s,
                    Failure.REFUSED if failed else None,
                    facts={} if failed else self.servers.read(member),
                ),
                "pg1",
            )
        around = Surroundings(leader=True, epoch=1, budget_left=3, wall_ns=0)
        return judge(Case(self.estate, self.service, knowledge, self.ledger), around, at_s)

    def due(self, at_s: float) -> str | None:
        due = self.mending.due(self.judged(at_s), self.ledger)
        return None if due is None else due.member


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return Service(tmp_path)


def test_a_healthy_service_needs_no_mending(service: Service) -> None:
    assert service.due(10.0) is None


def test_a_retired_member_is_brought_back_at_once_whether_it_answers_or_not(service: Service) -> None:
    service.ledger = replace(service.ledger, retired=("pg2",))
    assert service.due(10.0) == "pg2"
    service.servers.down.add("pg2")
    assert service.due(11.0) == "pg2"


def test_nobody_is_brought_back_to_a_primary_that_does_not_accept_writes(service: Service) -> None:
    service.ledger = replace(service.ledger, retired=("pg2",))
    service.servers.down.add("pg1")
    assert service.due(10.0) is None
    service.servers.down.clear()
    service.servers.facts["pg1"] = {"in_recovery": True}
    assert service.due(11.0) is None


@pytest.mark.parametrize("astray", [{"walreceiver": False}, {"timeline": 0}])
def test_a_standby_that_lost_its_way_is_left_to_itself_first(
    service: Service, astray: dict[str, Any]
) -> None:
    service.servers.facts["pg3"] = astray
    assert service.due(10.0) is None
    assert service.due(10.0 + DETACHED_S - 0.1) is None
    assert service.due(10.0 + DETACHED_S) == "pg3"


def test_a_standby_that_finds_its_way_begins_anew(service: Service) -> None:
    service.servers.detached.add("pg3")
    assert service.due(10.0) is None
    service.servers.detached.clear()
    assert service.due(20.0) is None
    service.servers.detached.add("pg3")
    assert service.due(20.0 + DETACHED_S - 1) is None
    assert service.due(20.0 + DETACHED_S) is None


def test_a_member_without_node_access_is_nobodys_to_bring_back(tmp_path: Path) -> None:
    service = Service(tmp_path, access="none")
    service.ledger = replace(service.ledger, retired=("pg2",))
    assert service.due(10.0) is None
    assert service.mending.unreachable() == ["pg1", "pg2", "pg3"]


def test_each_failed_try_doubles_the_wait_up_to_a_limit(service: Service) -> None:
    service.ledger = replace(service.ledger, retired=("pg2",))
    now_s, waits = 10.0, []
    for _ in range(9):
        assert service.due(now_s) == "pg2"
        service.mending.began("pg2", now_s)
        news = service.mending.ended(Outcome("failed", tried="pg2"), now_s)
        assert news is (not waits)
        wait_s = FIRST_WAIT_S * 2 ** len(waits)
        wait_s = min(wait_s, LONGEST_WAIT_S)
        assert service.due(now_s + wait_s - 0.1) is None
        waits.append(wait_s)
        now_s += wait_s
    assert waits[-1] == LONGEST_WAIT_S


def test_a_try_that_never_ends_is_not_begun_again_at_once(service: Service) -> None:
    service.ledger = replace(service.ledger, retired=("pg2",))
    service.mending.began("pg2", 10.0)
    assert service.due(10.1) is None
    assert service.due(10.0 + FIRST_WAIT_S) == "pg2"


def test_a_success_forgets_the_failures(service: Service) -> None:
    service.ledger = replace(service.ledger, retired=("pg2",))
    for _ in range(4):
        service.mending.ended(Outcome("failed", tried="pg2"), 10.0)
    assert service.mending.ended(Outcome("succeeded", tried="pg2", rejoined="pg2"), 10.0)
    assert service.due(10.1) is None
    assert service.due(10.0 + FIRST_WAIT_S) == "pg2"


def test_another_member_does_not_wait_for_one_that_fails(service: Service) -> None:
    service.ledger = replace(service.ledger, retired=("pg2", "pg3"))
    service.mending.ended(Outcome("failed", tried="pg2"), 10.0)
    assert service.due(10.0) == "pg3"
