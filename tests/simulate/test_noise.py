"""Under noise nothing is failed over for nothing; the figures are what they say they are."""

from __future__ import annotations

import json

import pytest

from controller.cli.main import main
from controller.simulate.faults import KINDS, FaultEvent
from controller.simulate.noise import BY_NAME, DAY_S, EVENTS_A_DAY, MODEL, Disturbance, disturbances
from controller.simulate.noise_figures import Figures
from controller.simulate.noise_run import FalseFailover, Tally, play, silent_s, upper_bound_95
from controller.simulate.noise_stalls import KINDS as STALLS
from controller.simulate.noise_stalls import longest
from controller.simulate.played import silent


@pytest.fixture(autouse=True)
def _quiet() -> object:
    with silent():
        yield


# --- the product


@pytest.mark.parametrize("profile", ["balanced", "careful"])
def test_days_of_noise_and_no_false_failover(profile: str) -> None:
    tally = play(profile, "test", 2.0)
    assert sum(tally.disturbances.values()) > 20
    assert [f for f in tally.failovers if not f.beyond] == []
    assert tally.helped == 0
    assert tally.jumped_s > 0.99 * tally.seconds


@pytest.mark.parametrize(
    ("profile", "kind", "least_s", "most_s"),
    [
        ("fast", "server-stall", 0.4, 1.2),
        ("balanced", "server-stall", 2.0, 3.5),
        ("balanced", "link-flap", 2.0, 3.5),
        ("balanced", "write-stall", 30.0, 30.0),
        ("balanced", "restart", 5.0, 30.0),
        ("careful", "vm-pause", 10.0, 13.0),
    ],
)
def test_a_profile_rides_out_the_stall_that_it_promises(
    profile: str, kind: str, least_s: float, most_s: float
) -> None:
    assert least_s <= longest(profile, kind, "test", tries=2).longest_s <= most_s


def test_a_lost_packet_holds_up_no_other_connection() -> None:
    """Day 3 has a burst of heavy loss: the back-off of one packet must not silence the host long after it."""
    tally = play("balanced", "1/11", 4.0)
    assert tally.failovers == []


# --- the model


def test_disturbances_come_as_often_as_the_model_says() -> None:
    days = 2000.0
    coming = disturbances("rates", days)
    assert len(coming) == pytest.approx(EVENTS_A_DAY * days, rel=0.05)
    assert [d.event.at_s for d in coming] == sorted(d.event.at_s for d in coming)
    assert max(d.event.at_s for d in coming) < days * DAY_S
    for noise in MODEL:
        of_kind = [d.event for d in coming if d.noise is noise]
        assert len(of_kind) == pytest.approx(1.11 * noise.a_day * days, rel=0.5)
        assert all(e.for_s <= noise.lasts_s.most + 0.001 for e in of_kind)


def test_no_kind_of_noise_loses_anything() -> None:
    """Each is a fault of the simulator that ends by itself; what takes a server away for good is none."""
    lasting = {"crash", "start-fails", "host-down", "full-disk", "admin-stop", "comes-back-empty"}
    assert not {noise.fault for noise in MODEL} & lasting
    assert {noise.fault for noise in MODEL} <= set(KINDS)


def test_the_same_arguments_give_the_same_figures() -> None:
    first, second = (play("fast", "again", 1.0) for _ in range(2))
    assert first == second
    assert play("fast", "other", 1.0).disturbances != first.disturbances


# --- the figures


@pytest.mark.parametrize(("found", "bound"), [(0, 2.9957), (1, 4.7439), (3, 7.7537), (10, 16.9622)])
def test_the_upper_bound_is_that_of_the_chi_square_tables(found: int, bound: float) -> None:
    assert upper_bound_95(found, 1.0) == pytest.approx(bound, abs=1e-3)
    assert upper_bound_95(found, 10.0) == pytest.approx(bound / 10, abs=1e-4)


def test_silences_that_follow_each_other_without_a_pause_are_one() -> None:
    def pause(at_s: float, for_s: float) -> Disturbance:
        return Disturbance(BY_NAME["vm-pause"], FaultEvent(at_s, "host-paused", "db1", for_s))

    assert silent_s([pause(10.0, 1.5), pause(11.0, 1.6)]) == pytest.approx(2.6)
    assert silent_s([pause(10.0, 1.5), pause(13.0, 1.0)]) == pytest.approx(1.5)


def test_a_failover_within_the_promise_is_false_and_one_beyond_it_is_counted_apart() -> None:
    tally = Tally("balanced", seconds=365.25 * DAY_S)
    tally.failovers.append(FalseFailover("s", 1.0, "PrimaryHung", "long-stall", beyond=True))
    assert Figures(1, tally, {}, 1.0).kept
    tally.failovers.append(FalseFailover("s", 2.0, "PrimaryHung", "vm-pause", beyond=False))
    figures = Figures(1, tally, {}, 1.0)
    assert not figures.kept
    body = figures.to_json()
    assert (body["false_failovers"], body["stall_failovers"]) == (1, 1)
    assert body["upper_bound_95_a_year"] == pytest.approx(4.744)
    assert body["by_noise"] == {"long-stall": 1, "vm-pause": 1}


# --- the command


def test_the_command_gives_its_figures_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["simulate", "--noise", "--hours", "4", "--profile", "careful", "--seed", "3", "-o", "json"])
    body = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (body["profile"], body["false_failovers"]) == ("careful", 0)
    assert body["seconds_simulated"] == 4 * 3600
    assert set(body["longest_stall_s"]) == set(STALLS)
    assert body["longest_stall_s"]["vm-pause"] >= 10.0


def test_what_does_not_go_with_noise_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--noise", "--faults", "10"]) == 2
    assert "--faults does not go with --noise" in capsys.readouterr().err
