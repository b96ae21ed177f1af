"""What is known of a service, and how old it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from supervisor_bench import NAMES, SERVICE, Servers, estate

from controller.supervisor.knowledge import KEPT_S, Knowledge
from controller.views import CANARY, PG
from model.health import Health
from model.observation import Failure, Observation, Outcome


class Seen:
    """Feeds one Knowledge; times are seconds, `took` how long an attempt took."""

    def __init__(self, state_dir: Path, **service: Any) -> None:
        self.estate = estate(state_dir, **service)
        self.knowledge = Knowledge(self.estate, self.estate.services[SERVICE])
        self.servers = Servers()
        self.primary = "pg1"

    def good(self, member: str, at_s: float, took_s: float = 0.01, **facts: Any) -> None:
        self._feed(member, PG, at_s, took_s, None, {**self.servers.read(member), **facts})

    def bad(self, member: str, at_s: float, failure: Failure, took_s: float = 0.0, probe: str = PG) -> None:
        self._feed(member, probe, at_s, took_s, failure, {})

    def canary(self, member: str, at_s: float, n: int, names: str = NAMES) -> None:
        self._feed(member, CANARY, at_s, 0.01, None, {"canary_n": n, "sync_names": names})

    def _feed(  # noqa: PLR0917
        self, member: str, probe: str, at_s: float, took_s: float, failure: Failure | None, facts: Any
    ) -> None:
        outcome = Outcome.SUCCEEDED if failure is None else Outcome.FAILED
        target = f"{SERVICE}/{member}"
        seen = Observation(target, probe, "test", outcome, at_s - took_s, at_s, at_s, failure, "", facts)
        self.knowledge.observe(seen, self.primary)

    def vetoes(self, member: str, now_s: float) -> bool:
        view = self.knowledge.view("pg1", now_s).member(member)
        assert view is not None
        return view.vetoes


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    return Seen(tmp_path)


# --- P14


def test_a_replica_that_still_receives_after_the_suspicion_vetoes(seen: Seen) -> None:
    seen.good("pg1", 1.0)
    seen.bad("pg1", 2.0, Failure.SILENT, took_s=0.5)
    seen.good("pg2", 2.2, position=100)
    assert not seen.vetoes("pg2", 2.2)
    seen.good("pg2", 2.4, position=200)
    assert seen.vetoes("pg2", 2.4)


def test_readings_from_while_the_first_attempt_still_waited_for_its_answer_count(seen: Seen) -> None:
    seen.good("pg1", 1.0)
    seen.good("pg2", 2.2, position=100)
    seen.good("pg2", 2.4, position=200)
    seen.bad("pg1", 2.5, Failure.SILENT, took_s=0.5)
    assert seen.vetoes("pg2", 2.5)


def test_what_was_received_before_the_end_of_the_connections_vetoes_nothing(seen: Seen) -> None:
    seen.good("pg1", 1.0)
    seen.good("pg2", 2.02, position=100)
    seen.good("pg2", 2.04, position=200)
    seen.bad("pg1", 2.05, Failure.CLOSED, took_s=0.05)
    assert not seen.vetoes("pg2", 2.06)


def test_a_reading_that_began_before_the_suspicion_vetoes_nothing(seen: Seen) -> None:
    seen.good("pg1", 1.0)
    seen.bad("pg1", 2.0, Failure.SILENT, took_s=0.5)
    seen.good("pg2", 2.1, took_s=0.8, position=100)
    seen.good("pg2", 2.2, position=200)
    assert not seen.vetoes("pg2", 2.2)


def test_a_veto_is_over_after_two_intervals_without_an_advance(seen: Seen) -> None:
    seen.good("pg1", 1.0)
    seen.bad("pg1", 2.0, Failure.SILENT, took_s=0.5)
    for at_s, position in ((2.2, 100), (2.4, 200), (2.9, 200), (3.3, 200)):
        seen.good("pg2", at_s, position=position)
    interval_s = seen.knowledge.service.detection.interval_s
    assert seen.vetoes("pg2", 2.4 + 2 * interval_s - 0.01)
    assert not seen.vetoes("pg2", 2.4 + 2 * interval_s)


def test_streaming_without_an_advance_vetoes_nothing(seen: Seen) -> None:
    seen.good("pg1", 1.0)
    seen.bad("pg1", 2.0, Failure.SILENT, took_s=0.5)
    for at_s in (2.2, 2.4, 2.6):
        seen.good("pg2", at_s, position=100, walreceiver_status="streaming")
    assert not seen.vetoes("pg2", 2.6)


def test_a_primary_that_answers_again_ends_what_was_held_against_its_death(seen: Seen) -> None:
    seen.good("pg1", 1.0)
    seen.bad("pg1", 2.0, Failure.SILENT, took_s=0.5)
    seen.good("pg2", 2.2, position=100)
    seen.good("pg1", 2.3)
    seen.bad("pg1", 2.5, Failure.SILENT, took_s=0.1)
    seen.good("pg2", 2.6, position=200)
    assert not seen.vetoes("pg2", 2.6)


# --- ages


def test_a_reading_that_is_too_old_is_unknown_never_down(seen: Seen) -> None:
    seen.good("pg2", 1.0)
    stale_s = seen.knowledge.service.detection.stale_s
    states = {
        at_s: seen.knowledge.view("pg1", at_s).member("pg2").pg.health  # type: ignore[union-attr]
        for at_s in (1.0 + stale_s, 1.01 + stale_s)
    }
    assert list(states.values()) == [Health.UP, Health.UNKNOWN]


def test_whatever_was_looked_at_is_unknown_once_nobody_looks_any_more(seen: Seen) -> None:
    """The server, the canary and the host alike."""
    seen.good("pg1", 1.0)
    seen.canary("pg1", 1.0, 7)
    seen.knowledge.observe(
        Observation("node/db-pg1", "icmp", "test", Outcome.SUCCEEDED, 0.99, 1.0, 1.0, None, "", {}), "pg1"
    )
    stale_s = 1.0 + seen.knowledge.service.detection.stale_s
    for now_s, health in ((stale_s - 0.01, Health.UP), (stale_s + 0.01, Health.UNKNOWN)):
        member = seen.knowledge.view("pg1", now_s).member("pg1")
        assert member is not None
        judged = [*member.probes.values(), *member.node_probes.values()]
        assert [state.health for state in judged] == [health] * 3


def test_the_age_of_a_members_data_is_that_of_the_canary_that_it_shows(seen: Seen) -> None:
    for n, at_s in ((10, 1.0), (11, 2.0), (13, 4.0)):
        seen.canary("pg1", at_s, n)
    age = seen.knowledge.canary_age_s
    assert age(11, 5.0) == 3.0
    assert age(12, 5.0) == 3.0  # 12 was never acknowledged: 11 is what is certain
    assert age(99, 5.0) == 1.0
    assert age(9, 5.0) is None
    assert age(None, 5.0) is None


def test_numbers_that_begin_again_lower_count_from_when_they_were_acknowledged(seen: Seen) -> None:
    """The newest were lost with the old primary."""
    for n, at_s in ((100, 1.0), (101, 2.0)):
        seen.canary("pg1", at_s, n)
    seen.canary("pg1", 9.0, 96)
    assert seen.knowledge.last_acked_canary == 96
    assert seen.knowledge.canary_age_s(95, 10.0) is None
    assert seen.knowledge.canary_age_s(96, 10.0) == 1.0


# --- forgetting


def test_what_began_before_a_member_was_forgotten_says_nothing(seen: Seen) -> None:
    seen.good("pg2", 1.0)
    seen.knowledge.forget("pg2", PG, 2.0)
    seen.good("pg2", 2.1, took_s=0.2)
    assert seen.knowledge.state("pg2", PG) is None
    seen.good("pg2", 2.3, took_s=0.2)
    assert seen.knowledge.state("pg2", PG) is not None


# --- settings and marks


def test_settings_are_read_from_the_primary_only_and_counted_without_its_own_name(seen: Seen) -> None:
    seen.good("pg2", 1.0, sync_names="ANY 1 (pg3)")
    assert seen.knowledge.settings.current is None
    seen.good("pg1", 1.0)
    assert seen.knowledge.settings.texts == (NAMES,)
    [counted] = seen.knowledge.counted_settings("pg1")
    assert (counted.k, counted.names) == (1, ("pg2", "pg3"))


def test_a_loosened_setting_counts_beside_the_old_one_until_a_canary_says_so_itself(seen: Seen) -> None:
    seen.canary("pg1", 1.0, 1, "ANY 2 (pg2, pg3)")
    seen.good("pg1", 1.1, sync_names="ANY 1 (pg2, pg3)")
    # This canary waited for a standby while the setting was changed: it read the old one.
    seen.canary("pg1", 1.2, 2, "ANY 2 (pg2, pg3)")
    assert "ANY 1 (pg2, pg3)" in seen.knowledge.settings.texts
    seen.canary("pg1", 1.3, 3, "ANY 1 (pg2, pg3)")
    seen.canary("pg1", 1.4, 4, "ANY 1 (pg2, pg3)")
    assert seen.knowledge.settings.texts == ("ANY 1 (pg2, pg3)",)


def test_a_high_water_mark_only_rises(seen: Seen) -> None:
    seen.good("pg2", 1.0, position=100)
    seen.good("pg2", 2.0, position=50)
    assert seen.knowledge.high_water["pg2"] == (1, 100)
    seen.good("pg2", 3.0, position=10, timeline=2)
    assert seen.knowledge.high_water["pg2"] == (2, 10)


def test_observations_are_kept_for_as_long_as_an_incident_freezes(seen: Seen) -> None:
    for at_s in (1.0, 2.0, 2.0 + KEPT_S):
        seen.good("pg2", at_s)
    assert [o.ended_s for o in seen.knowledge.kept()] == [2.0, 2.0 + KEPT_S]


def test_the_host_of_a_member_is_seen_by_its_own_probes(seen: Seen) -> None:
    outcome = Observation("node/db-pg1", "icmp", "test", Outcome.SUCCEEDED, 1.0, 1.0, 1.0)
    seen.knowledge.observe(outcome, "pg1")
    view = seen.knowledge.view("pg1", 1.0)
    assert view.member("pg1").node_probes["icmp"].health is Health.UP  # type: ignore[union-attr]
    assert view.member("pg2").node_probes == {}  # type: ignore[union-attr]


# --- P1


def sends(pid: int = 7, name: str = "PG2") -> list[dict[str, Any]]:
    return [{"application_name": name, "pid": pid}]


def test_something_that_streams_in_the_name_of_a_member_without_a_receiver_is_no_standby(seen: Seen) -> None:
    for at_s in (1.0, 2.0):
        seen.good("pg1", at_s, standbys=sends())
        seen.good("pg2", at_s + 0.5, walreceiver=False)
    assert seen.knowledge.impostors.members == {"pg2"}
    seen.good("pg1", 3.0, standbys=[])
    assert seen.knowledge.impostors.members == set()


def test_a_member_that_receives_or_has_just_lost_its_primary_is_no_impostor(seen: Seen) -> None:
    for at_s in (1.0, 2.0):
        seen.good("pg1", at_s, standbys=sends())
        seen.good("pg2", at_s + 0.5)
    seen.bad("pg1", 2.6, Failure.CLOSED)
    seen.good("pg2", 2.7, walreceiver=False)
    seen.good("pg1", 3.0, standbys=sends(pid=8))  # it came back, and the standby to it
    assert seen.knowledge.impostors.members == set()


def test_whoever_has_become_the_primary_is_no_impostor(seen: Seen) -> None:
    """The old primary shows its sender yet while the member, detached to be promoted, has no receiver."""
    for at_s in (1.0, 2.0, 3.0):
        seen.good("pg1", at_s, standbys=sends())
        seen.good("pg2", at_s + 0.5, walreceiver=False)
    assert seen.knowledge.impostors.members == {"pg2"}
    seen.primary = "pg2"
    seen.good("pg2", 4.0, in_recovery=False, standbys=[])
    assert seen.knowledge.impostors.members == set()


def test_an_impostor_is_found_though_both_are_always_read_at_the_same_time(seen: Seen) -> None:
    for at_s in (1.0, 2.0, 3.0):
        seen.good("pg2", at_s, took_s=0.03, walreceiver=False)
        seen.good("pg1", at_s + 0.01, took_s=0.03, standbys=sends())
    assert seen.knowledge.impostors.members == {"pg2"}


def streams_elsewhere(seen: Seen) -> bool:
    view = seen.knowledge.view("pg1", 10.0).member("pg2")
    assert view is not None
    return view.streams_elsewhere


def test_a_member_that_receives_and_is_not_among_the_senders_streams_from_somebody_else(seen: Seen) -> None:
    for at_s in (1.0, 2.0):
        seen.good("pg1", at_s, standbys=[])
        seen.good("pg2", at_s + 0.5, walreceiver=True)
    assert streams_elsewhere(seen)
    seen.good("pg1", 3.0, standbys=sends())
    assert not streams_elsewhere(seen)


def test_who_has_just_found_the_primary_does_not_stream_from_somebody_else(seen: Seen) -> None:
    seen.good("pg1", 1.0, standbys=[])
    seen.good("pg2", 1.5, walreceiver=True)
    seen.good("pg1", 2.0, standbys=sends())
    assert not streams_elsewhere(seen)


def test_a_primary_that_does_not_say_who_streams_accuses_nobody(seen: Seen) -> None:
    for at_s in (1.0, 2.0, 3.0):
        seen.good("pg1", at_s)
        seen.good("pg2", at_s + 0.5, walreceiver=True)
    assert not streams_elsewhere(seen)


# --- a crash that a controller before this one saw


def refused(seen: Seen, times: int) -> Health:
    for number in range(times):
        seen.bad("pg1", 10.0 + 0.025 * number, Failure.REFUSED)
    state = seen.knowledge.state("pg1", PG)
    assert state is not None
    return state.health


def test_refusals_after_a_crash_that_was_seen_before_are_down_at_once(seen: Seen) -> None:
    seen.knowledge.recall_crash("pg1", 9.0)
    assert refused(seen, 3) is Health.DOWN


def test_without_it_they_may_be_a_restart(seen: Seen) -> None:
    assert refused(seen, 3) is Health.SUSPECT


def test_a_sign_of_life_ends_what_was_recalled(seen: Seen) -> None:
    seen.knowledge.recall_crash("pg1", 9.0)
    seen.bad("pg1", 9.5, Failure.STARTING)
    assert refused(seen, 3) is Health.SUSPECT
