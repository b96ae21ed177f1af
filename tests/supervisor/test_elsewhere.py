"""What other observers see: folded for each of them, and never taken for what we saw ourselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from supervisor_bench import SERVICE, Servers, estate

from config.schema import Estate
from controller.supervisor.knowledge import Knowledge
from controller.views import PG, ObserverView
from model.health import Health
from model.observation import Failure, Observation, Outcome

PLACES = {"ops1": {"site": "dc1"}, "ops2": {"site": "dc2"}, "ops3": {"site": "far"}}


def observed_by(state_dir: Path, **daemon: Any) -> Estate:
    """The bench's estate with three observers; this one is ops1."""
    alone = estate(state_dir).model_dump(mode="json", by_alias=True)
    own = {**alone["daemon"], "name": "ops1", **daemon}
    return Estate.model_validate({**alone, "daemon": own, "observers": PLACES})


class Told:
    def __init__(self, estate_: Estate) -> None:
        self.knowledge = Knowledge(estate_, estate_.services[SERVICE])
        self.servers = Servers()

    def see(
        self, observer: str, member: str, at_s: float, failure: Failure | None = None, target: str = ""
    ) -> None:
        outcome = Outcome.SUCCEEDED if failure is None else Outcome.FAILED
        facts = self.servers.read(member) if failure is None else {}
        target, probe = (target, "icmp") if target else (f"{SERVICE}/{member}", PG)
        seen = Observation(target, probe, observer, outcome, at_s - 0.01, at_s, at_s, failure, "", facts)
        self.knowledge.observe(seen, "pg1")

    def other(self, name: str, now_s: float) -> ObserverView:
        [found] = [o for o in self.knowledge.elsewhere.views(now_s) if o.name == name]
        return found

    def own(self, member: str, now_s: float) -> Health:
        view = self.knowledge.view("pg1", now_s).member(member)
        assert view is not None
        return view.pg.health


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(observed_by(tmp_path))


def test_what_others_see_changes_nothing_of_what_we_see(told: Told) -> None:
    told.see("ops1", "pg1", 1.0)
    for at_s in (1.1, 1.2, 1.3, 1.4):
        told.see("ops2", "pg1", at_s, Failure.REFUSED)
    assert told.own("pg1", 1.4) is Health.UP
    assert told.other("ops2", 1.4).members["pg1"].refusals == 4
    assert told.other("ops3", 1.4).members["pg1"].health is Health.UNKNOWN


def test_positions_and_settings_of_others_are_no_knowledge_of_ours(told: Told) -> None:
    """Nothing is promoted on hearsay: the proof is made of what we read ourselves."""
    told.see("ops2", "pg1", 1.0)
    told.see("ops2", "pg2", 1.0)
    assert told.knowledge.high_water == {}
    assert told.knowledge.settings.current is None


def test_an_observer_that_is_not_declared_counts_for_nothing(told: Told) -> None:
    told.see("stranger", "pg1", 1.0)
    assert told.own("pg1", 1.0) is Health.UNKNOWN
    assert told.knowledge.kept() == []


def test_where_nobody_else_is_declared_all_is_our_own(tmp_path: Path) -> None:
    told = Told(estate(tmp_path))
    told.see("whoever", "pg1", 1.0)
    assert told.own("pg1", 1.0) is Health.UP
    assert told.knowledge.view("pg1", 1.0).elsewhere == ()


def test_an_incident_freezes_what_others_saw_too(told: Told) -> None:
    told.see("ops1", "pg1", 1.0)
    told.see("ops2", "pg1", 1.1)
    assert [o.observer for o in told.knowledge.kept()] == ["ops1", "ops2"]


def test_hosts_are_seen_with_the_members_that_run_on_them(told: Told) -> None:
    told.see("ops2", "pg1", 1.0, target="node/db-pg1")
    assert [s.health for s in told.other("ops2", 1.0).hosts["pg1"].values()] == [Health.UP]
    assert not told.other("ops2", 1.0).hosts["pg2"]


def test_what_others_saw_too_long_ago_is_unknown(told: Told) -> None:
    told.see("ops2", "pg1", 1.0)
    stale_s = 1.0 + told.knowledge.service.detection.stale_s
    assert told.other("ops2", stale_s - 0.1).members["pg1"].health is Health.UP
    assert told.other("ops2", stale_s + 0.1).members["pg1"].health is Health.UNKNOWN


def test_that_an_observer_was_well_is_no_news_for_long_and_that_it_was_not_holds(told: Told) -> None:
    health, stale_s = told.knowledge.elsewhere.health, told.knowledge.service.detection.stale_s
    health("ops2", True, "own network works", 1.0)
    health("ops3", False, "no reference target answers", 1.0)
    assert (told.other("ops2", 1.1).sane, told.other("ops3", 1.1).sane) == (True, False)
    late_s = 1.1 + stale_s
    assert (told.other("ops2", late_s).sane, told.other("ops3", late_s).sane) == (None, False)


def test_what_an_observer_said_earlier_and_comes_later_is_passed_over(told: Told) -> None:
    health = told.knowledge.elsewhere.health
    health("ops2", False, "cut off", 2.0)
    health("ops2", True, "", 1.0)
    assert told.other("ops2", 2.0).sane is False


def test_others_are_told_with_their_places_in_the_order_of_the_estate(told: Told) -> None:
    view = told.knowledge.view("pg1", 1.0)
    assert (view.observer, view.observer_site) == ("ops1", "dc1")
    assert [(o.name, o.site) for o in view.elsewhere] == [("ops2", "dc2"), ("ops3", "far")]


def test_only_news_of_others_is_judged_at_once(told: Told) -> None:
    def seen(observer: str, at_s: float, failure: Failure | None = None) -> bool:
        outcome = Outcome.SUCCEEDED if failure is None else Outcome.FAILED
        return told.knowledge.observe(
            Observation(f"{SERVICE}/pg1", PG, observer, outcome, at_s, at_s, at_s, failure, "", {}), "pg1"
        )

    assert seen("ops2", 1.0)
    assert not seen("ops2", 1.5)
    assert seen("ops2", 2.0, Failure.REFUSED)
    assert not seen("stranger", 2.0)
    health = told.knowledge.elsewhere.health
    said = [health("ops2", sane, "why", at_s) for at_s, sane in ((1.0, True), (1.5, True), (2.0, False))]
    assert said == [True, False, True]
