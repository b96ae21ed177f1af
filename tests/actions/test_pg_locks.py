"""POSTGRESQL P7: changes go over lock sessions, which a newer controller ends."""

from __future__ import annotations

import pytest

from controller.demo.cluster import Cluster
from model.execution import StepState
from runbooks.actions.base import ActionOptions
from runbooks.actions.postgresql.detach import Detach
from runbooks.actions.postgresql.lock import Lock, LockOptions
from runbooks.actions.postgresql.locks import LockError, locks_of
from tests.actions.conftest import BenchFactory

pytestmark = pytest.mark.postgres


async def test_a_newer_controller_ends_the_sessions_of_an_older_one(
    calm: Cluster, bench: BenchFactory
) -> None:
    old, new = bench(calm, epoch=3), bench(calm, epoch=4)
    await old.lock()
    await new.lock()
    locks = locks_of(old.ctx)
    for member in ("pg2", "pg3"):
        with pytest.raises(Exception, match=r"lock|terminat|closed|57P01") as broken:
            async with locks.session(member, old.ctx.ports.clock.monotonic_s() + 2):
                pass
        assert broken.type.__name__ in ("LockError", "SqlError")


async def test_an_older_controller_is_refused_where_a_newer_one_is_at_work(
    calm: Cluster, bench: BenchFactory
) -> None:
    new, old = bench(calm, epoch=6), bench(calm, epoch=5)
    await new.lock()
    result = await old.run("lock", Lock(LockOptions()))
    assert result.outcome is StepState.FAILED
    assert "newer controller" in result.detail
    async with locks_of(new.ctx).session("pg2", new.ctx.ports.clock.monotonic_s() + 2) as locked:
        assert await locked.query("SELECT 1") == [(1,)]


async def test_a_stale_controller_cannot_reattach_what_a_newer_one_has_detached(
    calm: Cluster, bench: BenchFactory
) -> None:
    stale, leader = bench(calm, epoch=7), bench(calm, epoch=8)
    detach = Detach(ActionOptions())
    await stale.lock()
    await stale.ok("detach", detach)
    await leader.lock()
    leader.ctx.resources |= {"postgresql.detach.previous": dict(stale.ctx.output("detach")["previous"])}
    result = await stale.undo(detach, timeout_s=1.0)
    assert result.outcome is StepState.FAILED
    assert "a newer controller (epoch 8) is at work there" in result.detail
    assert [leader.sql_of(m, "SHOW primary_conninfo") for m in ("pg2", "pg3")] == ["", ""]
    assert (await leader.undo(detach)).outcome is StepState.SUCCEEDED
    calm.wait_streaming("pg1", {"pg2", "pg3"})


async def test_too_few_lockable_standbys_end_the_step(calm: Cluster, bench: BenchFactory) -> None:
    lonely = bench(calm, epoch=9)
    lonely.sql.unreachable.add("pg3")
    result = await lonely.run("lock", Lock(LockOptions()), timeout_s=1.0)
    assert result.outcome is StepState.FAILED
    assert "2 needed" in result.detail
    assert "cut off by the test" in result.detail


async def test_one_missing_standby_does_not_matter_where_the_arithmetic_does_without(
    calm: Cluster, bench: BenchFactory
) -> None:
    lonely = bench(calm, epoch=10)
    lonely.ctx.vars["settings"] = ["ANY 2 (pg2, pg3)"]
    lonely.sql.unreachable.add("pg3")
    result = await lonely.ok("lock", Lock(LockOptions()))
    assert result.output["locked"] == ["pg2"]


async def test_leadership_lost_while_locking_ends_the_step_and_the_locks(
    calm: Cluster, bench: BenchFactory
) -> None:
    frozen = bench(calm, epoch=11)
    frozen.lease.is_held = False
    result = await frozen.run("lock", Lock(LockOptions()))
    assert result.outcome is StepState.FAILED
    with pytest.raises(LockError):
        async with locks_of(frozen.ctx).session("pg2", frozen.ctx.ports.clock.monotonic_s() + 1):
            pass


async def test_a_member_that_was_never_locked_cannot_be_changed(calm: Cluster, bench: BenchFactory) -> None:
    some = bench(calm, epoch=12)
    await some.lock()
    with pytest.raises(LockError, match="not held"):
        async with locks_of(some.ctx).session("pg1", some.ctx.ports.clock.monotonic_s() + 1):
            pass
