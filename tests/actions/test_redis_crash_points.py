"""The controller dies at every record of every runbook of Redis, before and after it is written; whoever
resumes leaves the servers as an undisturbed run does, or as they were before (S5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from model.execution import ExecutionState
from tests.redis_bench import RedisBench, Servers, three
from tests.step_bench import die_at

DONE, UNDONE = ExecutionState.SUCCEEDED, ExecutionState.UNDONE
MOST_RECORDS = 60
Shape = dict[str, tuple[str, str, str]]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with three(tmp_path_factory.mktemp("redis")) as made:
        yield made


async def every_point(
    servers: Servers,
    runbook: str,
    arrange_world: Callable[[], None],
    *,
    done: list[Shape],
    before: Shape,
    left: tuple[str, ...] = ("r1", "r2", "r3"),
    **variables: object,
) -> int:
    """Number of points. done, before: the servers' shape after an undisturbed run and before it."""
    points = 0
    async with RedisBench(servers, redis={"min_replicas": 1}) as made:
        for written in (False, True):
            for number in range(1, MOST_RECORDS):
                servers.reset()
                arrange_world()
                ended = await made.resumed(runbook, die_at(number, written=written), **variables)
                if ended is None:
                    break
                points += 1
                result, store = ended
                about = f"record {number}, {'after' if written else 'before'}: {result} {store.types()[-3:]}"
                assert result.state in (DONE, UNDONE), about
                shape = servers.shape(*left)
                assert shape in (done if result.state is DONE else [before]), about
                if result.state is DONE:
                    assert servers.refusal(_primary(shape), "SET", "after", "1") == "", about
            else:
                pytest.fail("it has no end")
    return points


def _primary(shape: Shape) -> str:
    return next(name for name, (role, _of, _min) in shape.items() if role == "master")


BEFORE: Shape = {
    "r1": ("master", "", "0"),
    "r2": ("slave", "r1", "0"),
    "r3": ("slave", "r1", "0"),
}


async def test_a_planned_switch(servers: Servers) -> None:
    """What was set on the candidate stays as the estate has it: on a replica it has no effect."""
    done = {"r1": ("slave", "r2", "0"), "r2": ("master", "", "1"), "r3": ("slave", "r2", "0")}
    before = {**BEFORE}

    def as_declared() -> None:
        servers.ask("r2", "CONFIG", "SET", "min-replicas-to-write", "1")

    before["r2"] = ("slave", "r1", "1")
    points = await every_point(
        servers, "redis-switchover", as_declared, done=[done], before=before, candidate="r2"
    )
    assert points > 40


@pytest.mark.slow
async def test_a_failover(servers: Servers) -> None:
    """Whichever is furthest takes over."""
    done = [
        {"r2": ("master", "", "1"), "r3": ("slave", "r2", "1")},
        {"r2": ("slave", "r3", "1"), "r3": ("master", "", "1")},
    ]
    before = {"r2": ("slave", "r1", "1"), "r3": ("slave", "r1", "1")}

    def crash() -> None:
        for name in ("r2", "r3"):
            servers.ask(name, "CONFIG", "SET", "min-replicas-to-write", "1")
        servers["r1"].kill()

    points = await every_point(servers, "redis-failover", crash, done=done, before=before, left=("r2", "r3"))
    assert points > 40


async def test_the_way_back_of_an_old_primary(servers: Servers) -> None:
    """Resumed where it died, since nothing of it is taken back; before it began, it is as it was."""
    done = {"r1": ("slave", "r2", "1"), "r2": ("master", "", "1"), "r3": ("slave", "r2", "0")}
    before = {"r1": ("master", "", "0"), "r2": ("master", "", "0"), "r3": ("slave", "r2", "0")}

    def apart() -> None:
        servers.ask("r2", "REPLICAOF", "NO", "ONE")
        servers.ask("r3", "REPLICAOF", "127.0.0.1", str(servers["r2"].port))

    points = await every_point(
        servers, "redis-rejoin", apart, done=[done], before=before, member="r1", primary="r2"
    )
    assert points > 15
