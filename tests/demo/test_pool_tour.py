"""The whole path over a pool: nginx behind HAProxy, the real daemon, a client that asks all the time."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.demo.haproxy import haproxy_program
from controller.demo.pool.client import Counted
from controller.demo.pool.runs import figures, table
from controller.demo.pool.scenario import CRASH, DRAIN, RESTORE, RETURN, PoolResult, PoolTour
from controller.demo.pool.web import NGINX
from model.errors import BcmError


@pytest.mark.timeout(120)
def test_nobody_notices_a_drain_and_a_crash_costs_one_interval_at_most() -> None:
    try:
        haproxy_program()
    except BcmError as error:
        pytest.skip(str(error))
    if not Path(NGINX).exists():
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    results = PoolTour("fast", print).run()
    assert [r.name for r in results] == [DRAIN, RESTORE, CRASH, RETURN]
    assert all(r.good for r in results), [r.to_json() for r in results]
    assert all(r.client.requests > 50 for r in results)


def _result(name: str, failed: int, intervals: int, done_s: float) -> PoolResult:
    return PoolResult(name, Counted(100, failed, intervals, 0.0, ()), done_s, "EXE-1")


def test_what_is_planned_may_cost_nothing() -> None:
    assert _result(DRAIN, 0, 0, 0.1).good
    assert not _result(DRAIN, 1, 1, 0.1).good
    assert _result(CRASH, 3, 1, 0.1).good
    assert not _result(CRASH, 3, 2, 0.1).good


def test_the_table_has_a_row_for_each_thing_that_happened() -> None:
    results = [_result(DRAIN, 0, 0, 0.1), _result(CRASH, 2, 1, 0.5), _result(CRASH, 0, 0, 0.7)]
    assert figures(results)[CRASH] == {
        "runs": 2, "requests": 200, "failed": 2, "failed_intervals_worst": 1,
        "done_s": {"median": 0.6, "worst": 0.7},
    }  # fmt: skip
    assert [line.split("  ")[0] for line in table(results)] == ["what happened", DRAIN, CRASH]
