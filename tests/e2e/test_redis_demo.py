"""The whole path over real Redis: daemon, decision, runbooks, evidence, under a client that writes."""

from __future__ import annotations

import pytest

from controller.demo.primary_tour import CRASH, FAILBACK, HANG, SWITCHOVER, PrimaryTour
from controller.demo.redis.scenario import REDIS
from controller.demo.tours import good

pytestmark = pytest.mark.slow
# The bar of a crash, and of a planned switch an order below it.
MOST_S = {CRASH: 2.0, HANG: 3.0, SWITCHOVER: 0.5, FAILBACK: 0.5}


def test_redis_fails_over_is_switched_and_goes_home_with_the_verdict_that_fits() -> None:
    told: list[str] = []
    tour = PrimaryTour(REDIS, "fast", told.append)
    results = tour.run()
    assert [r.name for r in results] == [CRASH, SWITCHOVER, FAILBACK, HANG, FAILBACK]
    for result in results:
        about = "\n".join([str(result.to_json()), *told])
        assert good(result, tour.allows_loss), about
        assert result.client.gap_s is not None, about
        assert result.client.gap_s <= MOST_S[result.name], about
        proven = result.name in (SWITCHOVER, FAILBACK)
        assert (result.verdict == "ZERO_PROVEN") == proven, about
        assert not (proven and result.client.lost), about
