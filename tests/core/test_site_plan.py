"""The plan of a place that is to be left: order, what stays and why, and how long it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.services import Importance
from controller.site_plan import (
    BY_HAND,
    ELSEWHERE,
    OBSERVED,
    KnownService,
    Obstacle,
    SitePlan,
    make_site_plan,
)
from model.errors import UsageError

NOTHING: Mapping[str, Sequence[str]] = {}


def known(service: str, importance: Importance = Importance.NORMAL, **changes: object) -> KnownService:
    at_dc1 = KnownService(
        service, importance, "act", "m1", ("m1",), "m2", "postgresql-switchover", expected_ms=1000
    )
    return replace(at_dc1, **changes)  # type: ignore[arg-type]


def names(plan: SitePlan) -> list[str]:
    return [step.service for step in plan.steps]


def test_a_service_moves_after_those_that_it_needs() -> None:
    plan = make_site_plan([known(s) for s in ("app", "db", "web")], {"web": ["app"], "app": ["db"]})
    assert names(plan) == ["db", "app", "web"]
    assert [step.wave for step in plan.steps] == [1, 2, 3]
    assert [step.after for step in plan.steps] == [(), ("db",), ("app",)]


def test_of_those_that_may_go_at_once_the_more_important_comes_first_and_then_the_name() -> None:
    plan = make_site_plan(
        [known("b"), known("a"), known("z", Importance.CRITICAL), known("low", Importance.LOW)], NOTHING
    )
    assert names(plan) == ["z", "a", "b", "low"]
    assert {step.wave for step in plan.steps} == {1}


def test_importance_never_overtakes_a_dependency() -> None:
    plan = make_site_plan([known("db", Importance.LOW), known("app", Importance.CRITICAL)], {"app": ["db"]})
    assert names(plan) == ["db", "app"]


def test_what_is_needed_through_a_service_that_stays_still_goes_first() -> None:
    cache = known("cache", primary="m9")  # not at the place
    plan = make_site_plan([known("app"), cache, known("db")], {"app": ["cache"], "cache": ["db"]})
    assert names(plan) == ["db", "app"]
    assert plan.steps[1].after == ("db",)
    # and through one that is not concerned at all
    plan = make_site_plan([known("app"), known("db")], {"app": ["queue"], "queue": ["db"]})
    assert plan.steps[1].after == ("db",)


def test_a_service_whose_primary_is_elsewhere_and_one_in_mode_observe_stay_with_their_reason() -> None:
    plan = make_site_plan([known("a", primary="m9"), known("b", mode="observe"), known("c")], NOTHING)
    assert names(plan) == ["c"]
    assert [(s.service, s.why) for s in plan.staying] == [("a", ELSEWHERE), ("b", OBSERVED)]


def test_what_can_only_be_moved_by_hand_is_named_and_nobody_waits_for_it() -> None:
    plan = make_site_plan([known("cache", by_hand=True), known("app")], {"app": ["cache"]})
    assert [(s.service, s.why) for s in plan.staying] == [("cache", BY_HAND)]
    assert [(s.service, s.after) for s in plan.steps] == [("app", ())]


def test_a_service_whose_primary_is_not_known_is_not_called_safe() -> None:
    assert names(make_site_plan([known("a", primary=None)], NOTHING)) == ["a"]


def test_what_may_pass_is_an_obstacle_and_those_that_need_it_wait() -> None:
    paused = known("db", obstacles=(Obstacle("pause", "firmware"),), candidate=None)
    plan = make_site_plan([paused, known("app")], {"app": ["db"]})
    assert plan.steps[0].obstacles == (Obstacle("pause", "firmware"),)
    assert plan.steps[1].after == ("db",)


def test_the_whole_takes_as_long_as_the_longest_chain_of_moves() -> None:
    plan = make_site_plan(
        [known("db", expected_ms=3000), known("app", expected_ms=1000), known("alone", expected_ms=3500)],
        {"app": ["db"]},
    )
    assert plan.expected_ms == 4000
    step = plan.step("app")
    assert step is not None
    assert step.begins_ms == 3000


def test_a_time_that_is_not_known_is_not_called_zero() -> None:
    plan = make_site_plan([known("db", expected_ms=None), known("app")], {"app": ["db"]})
    assert plan.expected_ms is None
    assert plan.steps[1].begins_ms is None
    assert make_site_plan([], NOTHING).expected_ms is None


@pytest.mark.parametrize("circle", [{"a": ["b"], "b": ["a"]}, {"a": ["a"]}, {"a": ["x"], "x": ["a"]}])
def test_a_circle_is_refused(circle: Mapping[str, Sequence[str]]) -> None:
    with pytest.raises(UsageError, match="circle"):
        make_site_plan([known("a"), known("b"), known("c")], circle)


def test_a_plan_is_the_same_after_the_journal() -> None:
    stopped = known("db", obstacles=(Obstacle("rpo", "why"),))
    plan = make_site_plan(
        [stopped, known("app", expected_ms=None), known("x", mode="observe")], {"app": ["db"]}
    )
    assert SitePlan.from_json(plan.to_json()) == plan


@st.composite
def estates(draw: st.DrawFn) -> tuple[list[KnownService], dict[str, list[str]]]:
    """Services that depend on earlier ones only, some of which are not concerned or stay."""
    count = draw(st.integers(1, 12))
    services = [f"s{draw(st.integers(0, 99))}-{i}" for i in range(count)]
    depends = {
        service: draw(st.lists(st.sampled_from(services[:i]), unique=True)) if i else []
        for i, service in enumerate(services)
    }
    concerned = [
        known(
            service,
            draw(st.sampled_from(list(Importance))),
            mode=draw(st.sampled_from(["observe", "ask", "act"])),
            primary=draw(st.sampled_from(["m1", "m1", "m9", None])),
            expected_ms=draw(st.one_of(st.none(), st.integers(0, 10_000))),
        )
        for service in services
        if draw(st.integers(0, 4))
    ]
    return concerned, depends


def reachable(service: str, depends: Mapping[str, Sequence[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(depends[service])
    while waiting:
        other = waiting.pop()
        if other not in found:
            found.add(other)
            waiting += depends[other]
    return found


@given(estates(), st.randoms(use_true_random=False))
def test_the_order_respects_every_dependency_and_not_the_order_of_what_it_is_made_from(
    estate: tuple[list[KnownService], dict[str, list[str]]], random: object
) -> None:
    concerned, depends = estate
    plan = make_site_plan(concerned, depends)
    place = {step.service: i for i, step in enumerate(plan.steps)}
    for step in plan.steps:
        needed = reachable(step.service, depends) & set(place)
        assert all(place[other] < place[step.service] for other in needed)
        assert set(step.after) <= needed
    for first, second in zip(plan.steps, plan.steps[1:], strict=False):
        assert first.wave <= second.wave
        if first.wave == second.wave:
            assert list(Importance).index(Importance(first.importance)) >= list(Importance).index(
                Importance(second.importance)
            )
    assert {s.service for s in plan.steps} | {s.service for s in plan.staying} == {
        k.service for k in concerned
    }
    assert not {s.service for s in plan.steps} & {s.service for s in plan.staying}
    shuffled = list(concerned)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    turned = {k: list(reversed(v)) for k, v in reversed(depends.items())}
    assert make_site_plan(shuffled, turned) == plan


def test_a_chain_of_a_thousand_services_is_no_reason_to_fail() -> None:
    chain = [f"s{i:04}" for i in range(1000)]
    plan = make_site_plan([known(s) for s in chain], dict(zip(chain[1:], ([c] for c in chain), strict=False)))
    assert names(plan) == chain
