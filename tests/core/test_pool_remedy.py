"""Who of a pool is taken out of use, and who is put back."""

from __future__ import annotations

from dataclasses import replace

from config.schema import Estate
from controller.engines import HTTP
from controller.remedies.endpoint import done_already
from controller.remedies.pool import POOL
from controller.remedies.remedy import Wayward
from controller.views import MemberView, ServiceView
from model.diagnosis import Diagnosis
from model.health import PROFILES, Health, ProbeState
from model.observation import Observation, Outcome
from tests.action_stand import pool_estate

NONE: Diagnosis = None  # type: ignore[assignment]


def seen(health: Health) -> ProbeState:
    good = health is Health.UP
    last = Observation(
        target="shop/x", probe="http", observer="ops1", outcome=Outcome.SUCCEEDED if good else Outcome.FAILED,
        started_s=1.0, ended_s=1.0, wall_s=1.0,
    )  # fmt: skip
    return ProbeState("shop/x", "http", health=health, last=last)


def view(**healths: Health) -> ServiceView:
    members = [
        MemberView(
            name=name,
            application_name=name,
            role="pool",
            node=f"n-{name}",
            site="one",
            preference=100,
            excluded=False,
            probes={"http": seen(health)},
            engine=HTTP,
        )
        for name, health in healths.items()
    ]
    return ServiceView("shop", PROFILES["fast"], 0.0, None, members, engine=HTTP, minimum=1)


def wayward(found: ServiceView, *retired: str) -> list[tuple[str, str]]:
    return [(w.member, w.kind) for w in POOL.wayward(found, NONE, retired)]


def test_a_member_that_is_down_is_taken_out_while_others_work() -> None:
    assert wayward(view(a=Health.DOWN, b=Health.UP)) == [("a", "drain")]


def test_the_last_ones_are_left_to_clients() -> None:
    assert wayward(view(a=Health.DOWN, b=Health.DOWN)) == []


def test_who_is_not_known_to_be_down_stays_in_use() -> None:
    assert wayward(view(a=Health.UNKNOWN, b=Health.SUSPECT, c=Health.UP)) == []


def test_who_was_taken_out_because_it_was_down_comes_back_when_it_works() -> None:
    assert wayward(view(a=Health.UP, b=Health.UP), "a") == [("a", "restore")]


def test_who_a_person_has_taken_out_is_left_to_the_person() -> None:
    """It is not among the retired: see the executor."""
    assert wayward(view(a=Health.UP, b=Health.UP)) == []


def _estate() -> Estate:
    endpoint = {"type": "haproxy", "host": "lb", "port": 80, "sockets": ["/run/a"], "backend": "web"}
    return pool_estate(endpoint=endpoint)


def told(status: str) -> dict[str, ProbeState]:
    state = seen(Health.UP)
    assert state.last is not None
    last = replace(state.last, facts={"servers": {"a": {"status": status}}})
    return {"/run/a": replace(state, last=last)}


def test_who_is_out_of_use_already_is_not_taken_out_again() -> None:
    service = _estate().service("shop")
    assert done_already(service, Wayward("a", "drain"), told("MAINT"))
    assert done_already(service, Wayward("a", "drain"), told("DRAIN"))
    assert not done_already(service, Wayward("a", "drain"), told("UP"))
    assert not done_already(service, Wayward("a", "drain"), {})
    assert not done_already(service, Wayward("a", "restore"), told("UP"))
