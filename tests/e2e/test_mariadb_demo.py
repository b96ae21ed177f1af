"""The whole path over real MariaDB: daemon, decision, runbooks, evidence, under a client that writes."""

from __future__ import annotations

import pytest

from controller.demo.mariadb.scenario import MARIADB
from controller.demo.primary_tour import CRASH, FAILBACK, HANG, SWITCHOVER, PrimaryTour

pytestmark = pytest.mark.slow
# The bar of a crash; a hang is the client's own time-out longer.
MOST_S = {CRASH: 3.0, HANG: 5.0, SWITCHOVER: 1.5, FAILBACK: 1.5}


def test_mariadb_fails_over_is_switched_and_goes_home_with_nothing_lost_and_proven() -> None:
    told: list[str] = []
    results = PrimaryTour(MARIADB, "fast", told.append).run()
    assert [r.name for r in results] == [CRASH, SWITCHOVER, FAILBACK, HANG, FAILBACK]
    for result in results:
        about = "\n".join([str(result.to_json()), *told])
        assert (result.verdict, result.client.lost) == ("ZERO_PROVEN", 0), about
        assert result.client.gap_s is not None, about
        assert result.client.gap_s <= MOST_S[result.name], about
