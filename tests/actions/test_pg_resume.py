"""S5, P6: the controller dies around a step; whoever resumes the runbook leaves a service that works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from controller.demo.client import ClientProcess
from controller.demo.cluster import Cluster
from controller.demo.verdict import judge
from model import events as ev
from model.execution import ExecutionResult, ExecutionState
from runbooks.engine import Engine
from runbooks.library import load_runbook
from runbooks.planner import make_plan
from runbooks.recorded import recorded_from_events
from tests.action_bench import ActionBench
from tests.actions.conftest import BenchFactory
from tests.memory_journal import MemoryStore, ProcessDiedError

pytestmark = pytest.mark.postgres
SETTINGS = ["ANY 1 (pg2, pg3)"]


def is_about(store: MemoryStore, type_: str, step: str) -> bool:
    last = store.events[-1]
    return last.type == type_ and last.data.get("step") == step


async def die_and_resume(made: ActionBench, runbook: str, type_: str, step: str) -> ExecutionResult:
    """Runs it in a process that dies just after the record, and resumes it in the next."""
    store = MemoryStore()
    plan = make_plan(
        load_runbook(runbook),
        estate=made.estate,
        service=made.service,
        vars={"primary": "pg1", "standbys": ["pg2", "pg3"], "settings": SETTINGS},
    )
    dying = store.open()

    def die(_number: int, _type: str) -> None:
        if is_about(store, type_, step):
            dying.die()

    dying.after = die
    ports = replace(made.ctx.ports, journal=dying, lease=dying)
    with pytest.raises(ProcessDiedError):
        await Engine(ports, made.estate).run(plan, incident=None, actor="daemon", trigger="automatic")
    execution = store.of(ev.EXECUTION_OPENED)[0].execution
    assert execution is not None
    next_one = store.open()
    ports = replace(made.ctx.ports, journal=next_one, lease=next_one)
    recorded = recorded_from_events(store.events, execution)
    return await Engine(ports, made.estate).resume(recorded)


@pytest.mark.parametrize(
    "death",
    [
        ("postgresql-failover", ev.STEP_INTENT, "detach"),
        ("postgresql-failover", ev.STEP_RESULT, "names"),
        ("postgresql-switchover", ev.STEP_INTENT, "quiesce"),
        ("postgresql-switchover", ev.STEP_RESULT, "quiesce"),
    ],
)
async def test_before_the_promotion_everything_is_taken_back(
    calm: Cluster, bench: BenchFactory, client: Callable[[Cluster], ClientProcess],
    death: tuple[str, str, str],
) -> None:  # fmt: skip
    made = bench(calm)
    writer = client(calm)
    if death[0] == "postgresql-failover":
        made.sql.unreachable.add("pg1")  # the primary is healthy, and only this controller can't reach it
    result = await die_and_resume(made, *death)
    assert result.state is ExecutionState.UNDONE, result
    writer.wait_writes(20, timeout_s=3.0)
    assert calm.current_primary() is calm.node("pg1")
    calm.wait_streaming("pg1", {"pg2", "pg3"})
    assert made.sql_of("pg2", "SHOW synchronous_standby_names") == ""


@pytest.mark.parametrize(
    "death",
    [
        ("postgresql-failover", ev.STEP_INTENT, "promote"),
        ("postgresql-failover", ev.STEP_RESULT, "promote"),
        ("postgresql-switchover", ev.STEP_INTENT, "promote"),
    ],
)
async def test_from_the_promotion_on_it_goes_forward(
    small: Callable[[int], Cluster], bench: BenchFactory, client: Callable[[Cluster], ClientProcess],
    death: tuple[str, str, str],
) -> None:  # fmt: skip
    cluster = small(18)
    made = bench(cluster)
    writer = client(cluster)
    if death[0] == "postgresql-failover":
        cluster.node("pg1").kill_tree()
    result = await die_and_resume(made, *death)
    assert result.state is ExecutionState.SUCCEEDED, result
    assert cluster.current_primary() is cluster.node("pg2")
    wal_file = made.sql_of("pg2", "SELECT pg_walfile_name(pg_current_wal_lsn())")
    assert wal_file.startswith("00000002"), "it was promoted more than once"
    writer.wait_writes(20)
    assert judge(writer.stop(), cluster.node("pg2").dsn("app")).lost == 0
