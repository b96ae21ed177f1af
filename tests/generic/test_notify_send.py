"""notify.send through the real pager, to a program that people would read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from config.schema import Pager as PagerSettings
from controller.notify.pager import Pager
from model.errors import RunbookError
from model.execution import ExecutionState
from tests.generic_bench import GenericBench, step, succeeded


@pytest.fixture
async def told(bench: GenericBench, tmp_path: Path) -> AsyncIterator[Path]:
    """Where each page that was delivered is a line."""
    file = tmp_path / "told"
    command = ["/bin/sh", "-c", 'cat >> "$1"; echo >> "$1"', "sh", str(file)]
    settings = PagerSettings.model_validate({"exec": {"command": command}})
    pager = Pager(settings, bench.journal, bench.clock)
    pager.start()
    bench.ports = replace(bench.ports, tell=pager.page)
    yield file
    await pager.aclose()


async def test_people_are_told(bench: GenericBench, told: Path) -> None:
    options = {"summary": "{{ who }} is the primary now", "severity": "warning", "until": "delivered"}
    found = succeeded(await bench.run([step("notify.send", with_=options)], who="pg2"))["act"]
    [line] = [json.loads(line) for line in told.read_text().splitlines() if line]
    assert (line["page"], line["summary"], line["severity"], line["service"]) == (
        found["page"],
        "pg2 is the primary now",
        "warning",
        "shop",
    )


async def test_a_secret_in_what_is_told_is_masked(bench: GenericBench, told: Path) -> None:
    options = {"summary": "done", "detail": "{{ text }}", "until": "delivered"}
    succeeded(await bench.run([step("notify.send", with_=options)], text="dsn postgres://li:hunter2@db1/x"))
    assert "hunter2" not in told.read_text()


async def test_without_waiting_it_is_on_its_way(bench: GenericBench, told: Path) -> None:
    found = succeeded(await bench.run([step("notify.send", with_={"summary": "a"})]))["act"]
    assert found["page"].startswith("PAGE-")


async def test_nobody_to_tell_is_a_failure(bench: GenericBench) -> None:
    result = await bench.run([step("notify.send", with_={"summary": "a"})])
    assert result.state is not ExecutionState.SUCCEEDED
    assert "there is nobody who could be told" in result.reason


async def test_a_page_that_nobody_takes_in_time_is_unknown(bench: GenericBench) -> None:
    bench.ports = replace(bench.ports, tell=lambda *_: "PAGE-1")
    await bench.run([step("notify.send", timeout="300ms", with_={"summary": "a", "until": "delivered"})])
    assert bench.last_result("act")["outcome"] == "unknown"


async def test_how_loud_it_is_stands_in_the_runbook(bench: GenericBench) -> None:
    with pytest.raises(RunbookError, match="no template may stand in"):
        await bench.run(
            [step("notify.send", with_={"summary": "a", "severity": "{{ value }}"})], value="page"
        )
