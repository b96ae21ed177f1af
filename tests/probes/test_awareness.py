"""Own health: what can only be this process's own raises the score, and a real outage does not."""

from __future__ import annotations

import errno
import itertools

import pytest

from model.health import PROFILES, Profile
from model.observation import Failure
from probes.awareness import MOST, STRETCH_MOST, UNFIT_FROM, Round, next_score, stretched_s, trouble
from probes.base import Reading
from probes.os_errors import OwnError, reading_of_os_error
from probes.scheduler_timing import Pace
from tests.scripted_probe import BALANCED, REFUSED, ScriptedProbe, World, world

REFERENCES = frozenset({"reference/a", "reference/b"})
OK, SILENT = Reading.ok(), Reading.failed(Failure.SILENT, "no answer within 1 s")
UNREACHABLE = Reading.failed(Failure.UNREACHABLE, "No route to host")
FULL = reading_of_os_error(OSError(errno.EMFILE, "Too many open files"))
NO_ROUTE = reading_of_os_error(OwnError(errno.ENETUNREACH, "Network is unreachable"))
HOSTS = [f"shop/pg{n}" for n in range(4)]


def round_of(*late_s: float, **readings: Reading) -> Round:
    """Keywords: the target with `_` for `/`; `ref_a` is a reference target."""
    seen = Round(length_s=1.0, late_s=sum(late_s))
    for name, reading in readings.items():
        seen.take(name.replace("ref_", "reference/").replace("_", "/"), reading)
    return seen


ALL_SILENT = {"shop_pg1": SILENT, "shop_pg2": SILENT, "shop_pg3": SILENT}


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (round_of(), None),
        (round_of(shop_pg1=OK, ref_a=OK), None),
        # Lateness: of more than half of the round.
        (round_of(0.3, shop_pg1=OK), None),
        (round_of(0.6, shop_pg1=OK), "late by 0.6 s"),
        # What the system refuses to the process, whichever target it asks.
        (round_of(shop_pg1=FULL, shop_pg2=OK, ref_a=OK), "EMFILE"),
        # One target that this host has no way to is no trouble of the process, nor is a fault of a probe.
        (round_of(shop_pg1=NO_ROUTE, shop_pg2=OK, ref_a=OK), None),
        (round_of(shop_pg1=Reading.unknown(Failure.LOCAL, "probe error: …"), ref_a=OK), None),
        # An outage is none: of one server, of a host, of a site, of everything but a reference target.
        (round_of(shop_pg1=SILENT, shop_pg2=OK, ref_a=OK), None),
        (round_of(shop_pg1=REFUSED, node_db1=SILENT, shop_pg2=OK, ref_a=OK), None),
        (round_of(**ALL_SILENT, ref_a=OK), None),
        (round_of(**ALL_SILENT, ref_a=OK, ref_b=SILENT), None),
        (round_of(**ALL_SILENT, ref_a=REFUSED), None),
        # No reference target that was asked: nothing is known of the own network.
        (round_of(**ALL_SILENT), None),
        # A reference target that is down by itself, while others answer.
        (round_of(ref_a=SILENT, shop_pg1=OK, shop_pg2=OK, shop_pg3=SILENT), None),
        # Nothing answers, and the reference targets do not either.
        (round_of(**ALL_SILENT, ref_a=SILENT), "3 of 3 targets and 1 reference targets"),
        (round_of(**ALL_SILENT, ref_a=NO_ROUTE, ref_b=UNREACHABLE), "2 reference targets"),
        (round_of(shop_pg1=NO_ROUTE, shop_pg2=NO_ROUTE, ref_a=NO_ROUTE), "2 of 2"),
        (round_of(ref_a=SILENT), "0 of 0"),
    ],
)  # fmt: skip
def test_what_is_the_own_trouble_of_a_process(seen: Round, told: str | None) -> None:
    found = "; ".join(trouble(seen, REFERENCES))
    assert (told in found) if told else not found


def test_many_deadlines_missed_at_once_on_a_lossy_way_out_are_its_own() -> None:
    """Each target answers now and then, and each has missed a deadline, the reference targets too."""
    lossy = Round()
    for target in [*HOSTS, *REFERENCES]:
        lossy.take(target, SILENT)
        lossy.take(target, OK)
    assert trouble(lossy, REFERENCES)
    lossy.missed.discard("reference/a")  # one that has missed none: the way out works
    assert not trouble(lossy, REFERENCES)


@pytest.mark.parametrize(
    ("score", "seen", "after"),
    [
        (0, round_of(shop_pg1=OK), 0),
        (3, round_of(shop_pg1=OK), 2),
        (3, round_of(), 2),  # nothing was asked, and it woke in time
        (0, round_of(shop_pg1=FULL), 1),
        (MOST, round_of(shop_pg1=FULL), MOST),
        (0, round_of(0.7, shop_pg1=OK), 1),
        (0, Round(length_s=6.0, late_s=5.0), 3),  # a freeze of 5 s
        (MOST - 1, Round(length_s=6.0, late_s=5.0), MOST),
        (0, Round(length_s=20.0, late_s=5.0), 0),
        (2, round_of(shop_pg1=SILENT), 2),  # nothing is heard: that is no sign of good health
        (2, Round(awaited=True), 2),
        (2, round_of(shop_pg1=SILENT, shop_pg2=OK), 1),
    ],
)
def test_the_score_after_a_round(score: int, seen: Round, after: int) -> None:
    assert next_score(score, seen, REFERENCES) == after


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda p: p.name)
def test_a_stretched_time_out_never_makes_detection_useless(profile: Profile) -> None:
    pace = Pace("x", profile, profile.interval_s, 4)
    for burst in (False, True):
        series = [pace.timeout_s(burst, score) for score in range(MOST + 1)]
        assert series[0] == (profile.burst_timeout_s if burst else profile.timeout_s)
        assert series == sorted(series)
        assert series[1] > series[0]
        # Detection takes a verdict that falls later than this for its own sleep, and makes no silence of it.
        assert series[-1] < profile.timeout_s + profile.gap_s
        assert series[-1] == STRETCH_MOST * profile.timeout_s


def test_a_time_out_is_never_shortened() -> None:
    assert stretched_s(2.0, 0, 0.5) == stretched_s(2.0, 5, 0.5) == 2.0


def silent_from(w: World, *probes: ScriptedProbe) -> None:
    for probe in probes:
        probe.answer = probe.never


async def test_a_real_outage_of_one_of_many_targets_raises_no_score() -> None:
    async with world() as w:
        w.scheduler.awareness.references = frozenset({"reference/a"})
        w.watch(ScriptedProbe(w.clock, "reference/a"))
        probes = [w.watch(ScriptedProbe(w.clock, host)) for host in HOSTS]
        await w.clock.advance(5.0)
        silent_from(w, probes[0])
        for _ in range(200):
            await w.clock.advance(0.1)
            assert w.scheduler.awareness.score == 0
        silent_from(w, *probes)  # and of a whole site
        for _ in range(200):
            await w.clock.advance(0.1)
            assert w.scheduler.awareness.score == 0


async def test_the_own_way_out_lost_stretches_time_outs_and_good_rounds_bring_them_back() -> None:
    async with world() as w:
        aware = w.scheduler.awareness
        aware.references = frozenset({"reference/a"})
        probes = [w.watch(ScriptedProbe(w.clock, target)) for target in ["reference/a", *HOSTS]]
        await w.clock.advance(5.0)
        assert aware.fit
        silent_from(w, *probes)
        await w.until(lambda: not aware.fit, within_s=10.0)
        known = len(w.seen)
        await w.until(lambda: any(s.latency_s > BALANCED.timeout_s + 0.1 for s in w.seen[known:]))
        assert "4 of 4 targets and 1 reference targets" in aware.why
        for probe in probes:
            probe.answer = probe.after(0.005)
        await w.until(lambda: aware.fit, within_s=MOST - UNFIT_FROM + 3.0)
        await w.until(lambda: aware.score == 0, within_s=UNFIT_FROM + 1.0)


async def test_a_process_that_lacks_file_descriptors_is_unfit_after_seconds() -> None:
    async with world() as w:
        probe = w.watch()
        w.watch(ScriptedProbe(w.clock, "shop/pg2"))
        probe.answer = probe.after(0.001, FULL)
        await w.until(lambda: not w.scheduler.awareness.fit, within_s=UNFIT_FROM + 1.5)
        assert w.scheduler.awareness.why == "the system refused EMFILE"


async def test_after_a_freeze_it_looks_anew_before_it_is_fit() -> None:
    async with world() as w:
        w.watch()
        await w.clock.advance(3.0)
        await w.clock.freeze(8.0)
        await w.until(lambda: not w.scheduler.awareness.fit, within_s=1.1)
        await w.until(lambda: w.scheduler.awareness.fit, within_s=1.1)


async def test_a_hang_is_seen_in_time_though_this_process_is_in_trouble() -> None:
    """Silence is measured from the first attempt, and attempts overlap evenly: the stretch costs nothing."""
    async with world() as w:
        probe = w.watch()
        await w.clock.advance(3.0)
        w.scheduler.awareness.score = MOST
        probe.answer = probe.never
        known = len(w.seen)
        began_s = w.clock.monotonic_s()

        def down() -> bool:
            w.scheduler.awareness.score = MOST
            bad = [s for s in w.seen[known:] if s.failure is Failure.SILENT]
            return bool(bad) and bad[-1].ended_s - bad[0].started_s >= BALANCED.silence_s

        await w.until(down)
        took_s = w.clock.monotonic_s() - began_s
        assert took_s <= BALANCED.worst_detection_s
        await w.clock.advance(4.0)
        starts = [at_s for at_s in probe.starts if at_s > began_s + BALANCED.silence_s]  # settled by then
        apart_s = STRETCH_MOST * BALANCED.timeout_s / probe.concurrent
        assert max(b - a for a, b in itertools.pairwise(starts)) <= apart_s + 0.01
