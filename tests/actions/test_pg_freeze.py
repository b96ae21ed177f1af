"""postgresql.freeze and postgresql.thaw: damage is received and does not reach the data."""

from __future__ import annotations

import pytest

from controller.demo import processes
from controller.demo.cluster import Cluster
from model.execution import Effect, StepState
from runbooks.actions.base import ActionOptions
from runbooks.actions.postgresql.detach import Detach
from runbooks.actions.postgresql.freeze import Freeze, FreezeOptions, Thaw
from tests.actions.conftest import BenchFactory

pytestmark = pytest.mark.postgres
FREEZE, THAW = Freeze(FreezeOptions()), Thaw(FreezeOptions())
ROWS = "SELECT count(*) FROM ledger WHERE writer = 66"


def damage(cluster: Cluster) -> None:
    """It is acknowledged: the standbys have received it."""
    cluster.node("pg1").query(
        "INSERT INTO ledger SELECT 66, n, now() FROM generate_series(1, 5) n", database="app"
    )


async def test_damage_that_is_done_after_a_freeze_reaches_no_standby_until_it_is_thawed(
    calm: Cluster, bench: BenchFactory
) -> None:
    made = bench(calm)
    await made.lock(quorum=False)
    before = made.sql_of("pg2", ROWS, database="app")
    frozen = await made.ok("freeze", FREEZE)
    assert set(frozen.output["members"]) == {"pg2", "pg3"}
    damage(calm)
    received = "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"
    assert processes.wait_until(lambda: made.sql_of("pg2", received), timeout_s=5)
    assert made.sql_of("pg2", ROWS, database="app") == before
    assert (await made.check(FREEZE)).effect is Effect.DONE
    assert (await made.check(THAW)).effect is Effect.NOT_DONE
    await made.ok("thaw", THAW)
    assert processes.wait_until(lambda: made.sql_of("pg2", ROWS, database="app") == before + 5, timeout_s=5)
    assert (await made.check(FREEZE)).effect is Effect.NOT_DONE


async def test_one_frozen_copy_is_better_than_none_and_who_is_not_is_said(
    calm: Cluster, bench: BenchFactory
) -> None:
    made = bench(calm)
    made.sql.unreachable.add("pg3")
    await made.lock(quorum=False)
    frozen = await made.ok("freeze", FREEZE)
    assert (list(frozen.output["members"]), "pg3" in frozen.output["left_out"]) == (["pg2"], True)
    every = Freeze(FreezeOptions(all=True))
    assert (await made.run("freeze", every)).outcome is StepState.FAILED
    assert (await made.undo(FREEZE)).outcome is StepState.SUCCEEDED
    assert made.sql_of("pg2", "SELECT pg_get_wal_replay_pause_state()") == "not paused"


async def test_a_primary_is_not_frozen(calm: Cluster, bench: BenchFactory) -> None:
    made = bench(calm)
    await made.lock(members=("pg1",), quorum=False)
    result = await made.run("freeze", Freeze(FreezeOptions(members=("pg1",))))
    assert (result.outcome, "no standby" in result.detail) == (StepState.FAILED, True)


async def test_a_failover_that_people_start_later_lets_replay_go_on(
    calm: Cluster, bench: BenchFactory
) -> None:
    """It says so: whoever fails over a frozen service takes what was held back."""
    made = bench(calm)
    await made.lock(quorum=False)
    await made.ok("freeze", FREEZE)
    damage(calm)
    detached = await made.ok("detach", Detach(ActionOptions()))
    assert "replay was paused, resumed" in detached.detail
    assert (await made.undo(Detach(ActionOptions()))).outcome is StepState.SUCCEEDED
