"""sql.query and sql.execute against a real PostgreSQL, as the estate's roles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controller.demo.cluster import Cluster
from controller.demo.estate import SERVICE
from model.errors import RunbookError
from model.execution import ExecutionState
from runbooks.lint import lint
from tests.action_bench import bench_estate
from tests.generic_bench import GenericBench, at_once, step, succeeded

FAILS = step("exec.run", "fails", with_={"command": ["/bin/false"], "changes": False}, on_failure="undo")
HOSTILE = "x'); DROP TABLE notes; --"


@pytest.fixture
async def bench_of_notes(calm: Cluster, tmp_path: Path) -> AsyncIterator[GenericBench]:
    """A table `notes` that both roles may use."""
    primary = calm.node("pg1")
    primary.query("DROP TABLE IF EXISTS notes")
    primary.query("CREATE TABLE notes (id int PRIMARY KEY, word text)")
    primary.query("GRANT ALL ON notes TO PUBLIC")
    made = GenericBench(tmp_path, bench_estate(calm), SERVICE)
    yield made
    await made.close()
    primary.query("DROP TABLE notes")


def notes(calm: Cluster) -> list[tuple[Any, ...]]:
    return [(int(n), w) for n, w in calm.node("pg1").query("SELECT id, word FROM notes ORDER BY id")]


def insert(**more: Any) -> dict[str, Any]:
    return {
        "member": "pg1",
        "statement": "INSERT INTO notes VALUES ($1::int, $2)",
        "params": [1, "{{ word }}"],
        "effect": "SELECT EXISTS (SELECT FROM notes WHERE id = $1::int)",
        "effect_params": [1],
        "undo": "DELETE FROM notes WHERE id = $1::int",
        "undo_params": [1],
        **more,
    }


async def test_values_are_parameters_and_never_sql(bench_of_notes: GenericBench, calm: Cluster) -> None:
    found = succeeded(await bench_of_notes.run(at_once("sql.execute", **insert()), word=HOSTILE))["act"]
    assert found["member"] == "pg1"
    assert notes(calm) == [(1, HOSTILE)]
    ask = {
        "member": "pg1",
        "statement": "SELECT id, word FROM notes WHERE word = $1",
        "params": ["{{ word }}"],
    }
    found = succeeded(await bench_of_notes.run([step("sql.query", with_=ask)], word=HOSTILE))["act"]
    assert found["rows"] == [[1, HOSTILE]]
    assert (found["row_count"], found["value"]) == (1, 1)


@pytest.mark.parametrize(
    ("action", "options"),
    [
        ("sql.query", {"statement": "SELECT '{{ word }}'"}),
        ("sql.query", {"statement": "{{ word }}"}),
        ("sql.query", {"statement": "SELECT 1", "role": "{{ word }}"}),
        ("sql.execute", {"statement": "DELETE FROM {{ word }}"}),
        ("sql.execute", {"statement": "SELECT 1", "effect": "SELECT '{{ word }}'"}),
        ("sql.execute", {"statement": "SELECT 1", "undo": "SELECT '{{ word }}'"}),
    ],
)
async def test_no_value_stands_in_a_statement(
    bench_of_notes: GenericBench, action: str, options: dict[str, Any]
) -> None:
    steps = at_once(action, **options) if action == "sql.execute" else [step(action, with_=options)]
    with pytest.raises(RunbookError, match="no template may stand in"):
        await bench_of_notes.run(steps, word="x")
    made = bench_of_notes.made(steps, {"word": "x"})
    assert "no template may stand in" in "\n".join(map(str, lint(made, bench_of_notes.estate, SERVICE)))


async def test_a_second_statement_is_refused(bench_of_notes: GenericBench, calm: Cluster) -> None:
    options = insert(statement="INSERT INTO notes VALUES (9, 'a'); DROP TABLE notes", params=[])
    result = await bench_of_notes.run(at_once("sql.execute", **options), word="x")
    assert result.state is ExecutionState.FAILED
    assert notes(calm) == []


async def test_a_query_can_not_write(bench_of_notes: GenericBench, calm: Cluster) -> None:
    for statement in ("INSERT INTO notes VALUES (1, 'a')", "DROP TABLE notes", "CREATE TABLE other (id int)"):
        options = {"member": "pg1", "statement": statement, "role": "control"}
        result = await bench_of_notes.run([step("sql.query", with_=options)])
        assert "read-only transaction" in result.reason
    assert notes(calm) == []


async def test_what_a_query_must_say(bench_of_notes: GenericBench) -> None:
    base = {"member": "pg2", "statement": "SELECT pg_is_in_recovery()"}
    succeeded(await bench_of_notes.run([step("sql.query", with_={**base, "expect": True})]))
    await bench_of_notes.run([step("sql.query", with_={**base, "expect": False})])
    result = bench_of_notes.last_result("act")
    assert result["outcome"] == "failed"
    assert "says True, expected False" in result["detail"]


async def test_without_a_member_the_endpoint_leads_to_who_takes_writes(bench_of_notes: GenericBench) -> None:
    found = succeeded(await bench_of_notes.run([step("sql.query", with_={"statement": "SELECT 1"})]))["act"]
    assert found["member"] == "pg1"


async def test_a_server_that_refuses_has_failed_and_one_that_is_silent_is_unknown(
    bench_of_notes: GenericBench, calm: Cluster
) -> None:
    options = {"member": "pg3", "statement": "SELECT nothing"}
    await bench_of_notes.run([step("sql.query", with_=options)])
    assert bench_of_notes.last_result("act")["outcome"] == "failed"
    calm.node("pg3").stop_tree()
    await bench_of_notes.run([step("sql.query", timeout="500ms", with_=options)])
    assert bench_of_notes.last_result("act")["outcome"] == "unknown"


async def test_an_effect_whose_record_was_lost_is_seen_and_not_repeated(
    bench_of_notes: GenericBench, calm: Cluster
) -> None:
    await bench_of_notes.dies_before_the_result(at_once("sql.execute", **insert()), word="a")
    succeeded(await bench_of_notes.resume())
    assert notes(calm) == [(1, "a")]
    assert bench_of_notes.intents("act") == 1


async def test_an_effect_that_is_not_there_is_brought_about(
    bench_of_notes: GenericBench, calm: Cluster
) -> None:
    await bench_of_notes.dies_after_the_intent(at_once("sql.execute", **insert()), word="a")
    assert notes(calm) == []
    succeeded(await bench_of_notes.resume())
    assert notes(calm) == [(1, "a")]


@pytest.mark.parametrize("effect", ["", "SELECT NULL::boolean", "SELECT true WHERE false", "SELECT nothing"])
async def test_without_a_clear_look_at_its_effect_an_interrupted_one_stays_unknown(
    bench_of_notes: GenericBench, calm: Cluster, effect: str
) -> None:
    options = insert(effect=effect, effect_params=[])
    await bench_of_notes.dies_before_the_result(at_once("sql.execute", **options), word="a")
    assert (await bench_of_notes.resume()).state is ExecutionState.UNKNOWN
    assert notes(calm) == [(1, "a")] if not effect else True


async def test_it_is_taken_back_only_if_it_was_done(bench_of_notes: GenericBench, calm: Cluster) -> None:
    steps = [step("sql.execute", with_=insert(), undo=True, on_failure="undo"), FAILS]
    result = await bench_of_notes.run(steps, word="a")
    assert result.state is ExecutionState.UNDONE, result.reason
    assert notes(calm) == []
    calm.node("pg1").query("INSERT INTO notes VALUES (1, 'before')")
    result = await bench_of_notes.run(steps, word="a")
    assert result.state is ExecutionState.UNDONE, result.reason
    assert notes(calm) == [(1, "before")]


async def test_a_statement_that_does_not_end_is_unknown(bench_of_notes: GenericBench) -> None:
    options = {"member": "pg1", "statement": "SELECT pg_sleep(60)"}
    steps = [
        step("sql.execute", timeout="300ms", with_=options, point_of_no_return=True, retry={"attempts": 2})
    ]
    result = await bench_of_notes.run(steps)
    assert result.state is ExecutionState.UNKNOWN
    assert bench_of_notes.intents("act") == 1


async def test_a_parameter_is_a_plain_value(bench_of_notes: GenericBench) -> None:
    for value in (["a"], {"a": 1}, "a\0b"):
        options = {"member": "pg1", "statement": "SELECT $1", "params": ["{{ value }}"]}
        result = await bench_of_notes.run([step("sql.query", with_=options)], value=value)
        assert "not begun" in result.reason


async def test_the_plan_shows_statement_parameters_and_role(bench_of_notes: GenericBench) -> None:
    [row] = (await bench_of_notes.plan(at_once("sql.execute", **insert()), word="a")).rows
    assert row.commands[0] == "INSERT INTO notes VALUES ($1::int, $2) [1, 'a']"
    assert row.where.startswith("pg1 as ")


async def test_what_may_have_been_done_is_not_done_again_while_its_effect_can_not_be_seen(
    bench_of_notes: GenericBench, calm: Cluster
) -> None:
    statement = "INSERT INTO notes SELECT count(*) + 1, $1 FROM notes"
    options = insert(statement=statement, params=["a"], effect="SELECT nothing", effect_params=[])
    await bench_of_notes.dies_before_the_result(
        [step("sql.execute", with_=options, point_of_no_return=True, on_failure="continue")], word="a"
    )
    await bench_of_notes.resume()
    assert notes(calm) == [(1, "a")]
    assert bench_of_notes.last_result("act")["outcome"] == "unknown"
