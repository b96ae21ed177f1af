"""alertmanager.silence against a real Alertmanager."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from model.errors import RunbookError
from model.execution import ExecutionState
from model.ports import HttpAnswer, HttpError, HttpRequest
from tests.alertmanager_server import get, running_alertmanager
from tests.generic_bench import GenericBench, at_once, bench_estate, step, succeeded

FAILS = step("exec.run", "fails", with_={"command": ["/bin/false"], "changes": False}, on_failure="undo")
HOSTILE = 'a"} or {x=~".*\\\n'


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_alertmanager(tmp_path_factory.mktemp("alertmanager")) as url:
        yield url


@pytest.fixture
def label(request: pytest.FixtureRequest) -> str:
    """A value of its own for each test: they share the server."""
    return str(request.node.name)


def options(url: str, label: str, **more: Any) -> dict[str, Any]:
    return {"url": url, "match": {"service": label}, "duration": "5m", "comment": "planned work", **more}


def silences(url: str, label: str, state: str = "active") -> list[dict[str, Any]]:
    """As the server shows them, by the first matcher."""
    return [
        s
        for s in get(f"{url}/api/v2/silences")
        if s["status"]["state"] == state and any(m["value"] == label for m in s["matchers"])
    ]


async def test_a_silence_says_who_why_and_until_when(
    bench: GenericBench, alertmanager: str, label: str
) -> None:
    given = options(alertmanager, label, match_regex={"instance": "db[12]"})
    found = succeeded(await bench.run(at_once("alertmanager.silence", **given)))["act"]
    [made] = silences(alertmanager, label)
    assert made["id"] == found["silence"]
    assert made["createdBy"] == "li"
    assert made["comment"].startswith("planned work [EXE-1-act-")
    assert {(m["name"], m["value"], m["isRegex"]) for m in made["matchers"]} == {
        ("service", label, False),
        ("instance", "db[12]", True),
    }
    assert made["endsAt"][:19] == found["ends_utc"][:19]


async def test_it_is_expired_when_it_is_taken_back(
    bench: GenericBench, alertmanager: str, label: str
) -> None:
    steps = [
        step("alertmanager.silence", with_=options(alertmanager, label), undo=True, on_failure="undo"),
        FAILS,
    ]
    result = await bench.run(steps)
    assert result.state is ExecutionState.UNDONE, result.reason
    assert silences(alertmanager, label) == []
    assert len(silences(alertmanager, label, "expired")) == 1


async def test_one_whose_record_was_lost_is_found_and_not_made_twice(
    bench: GenericBench, alertmanager: str, label: str
) -> None:
    await bench.dies_before_the_result(at_once("alertmanager.silence", **options(alertmanager, label)))
    found = succeeded(await bench.resume())["act"]
    [made] = silences(alertmanager, label)
    assert found["silence"] == made["id"]


async def test_one_that_was_not_made_is_made(bench: GenericBench, alertmanager: str, label: str) -> None:
    await bench.dies_after_the_intent(at_once("alertmanager.silence", **options(alertmanager, label)))
    assert silences(alertmanager, label) == []
    succeeded(await bench.resume())
    assert len(silences(alertmanager, label)) == 1


class LosesAnswers:
    """The request arrives, and its answer does not; nor do the answers of so many requests after it."""

    def __init__(self, http: Any, then: int = 0) -> None:
        self._http = http
        self._then = then
        self._lost = 0

    async def request(self, request: HttpRequest, *, timeout_s: float) -> HttpAnswer:
        answer: HttpAnswer = await self._http.request(request, timeout_s=timeout_s)
        if request.method == "POST" or 0 < self._lost <= self._then:
            self._lost += 1
            raise HttpError("the connection was lost", sent=True)
        return answer


async def test_a_second_attempt_makes_no_second_silence(
    bench: GenericBench, alertmanager: str, label: str
) -> None:
    """What became of the first could not be found out either."""
    bench.ports = replace(bench.ports, http=LosesAnswers(bench.ports.http, then=1))
    steps = [
        step(
            "alertmanager.silence",
            with_=options(alertmanager, label),
            undo=True,
            on_failure="undo",
            retry={"attempts": 2},
        )
    ]
    succeeded(await bench.run(steps))
    assert bench.intents("act") == 2
    assert len(silences(alertmanager, label)) == 1


async def test_an_answer_that_was_lost_is_settled_by_a_look(
    bench: GenericBench, alertmanager: str, label: str
) -> None:
    bench.ports = replace(bench.ports, http=LosesAnswers(bench.ports.http))
    succeeded(await bench.run(at_once("alertmanager.silence", **options(alertmanager, label))))
    assert bench.last_result("act")["reason"] == "reconciled"
    assert len(silences(alertmanager, label)) == 1


async def test_a_value_is_matched_as_it_is_and_silences_nothing_else(
    bench: GenericBench, alertmanager: str
) -> None:
    given = options(alertmanager, "{{ value }}")
    before = len(get(f"{alertmanager}/api/v2/silences"))
    succeeded(await bench.run(at_once("alertmanager.silence", **given), value=HOSTILE))
    [made] = silences(alertmanager, HOSTILE)
    assert [(m["name"], m["value"], m["isRegex"]) for m in made["matchers"]] == [("service", HOSTILE, False)]
    assert len(get(f"{alertmanager}/api/v2/silences")) == before + 1


@pytest.mark.parametrize("option", ["match_regex", "url", "duration"])
async def test_no_value_is_a_pattern_or_a_server(bench: GenericBench, alertmanager: str, option: str) -> None:
    given = options(alertmanager, "a")
    given[option] = {"x": "{{ value }}"} if option == "match_regex" else "{{ value }}"
    with pytest.raises(RunbookError, match="no template may stand in"):
        await bench.run(at_once("alertmanager.silence", **given), value=".*")


async def test_an_empty_value_would_silence_everything_and_is_refused(
    bench: GenericBench, alertmanager: str
) -> None:
    result = await bench.run(
        at_once("alertmanager.silence", **options(alertmanager, "{{ value }}")), value=""
    )
    assert "would match every alert without the label" in result.reason


async def test_the_estates_own_alertmanager_is_the_default(
    tmp_path: Any, alertmanager: str, label: str
) -> None:
    bench = GenericBench(tmp_path, bench_estate(pager={"alertmanager": {"url": alertmanager}}))
    given = options("", label)
    succeeded(await bench.run(at_once("alertmanager.silence", **given)))
    assert len(silences(alertmanager, label)) == 1
    [row] = (await bench.plan(at_once("alertmanager.silence", **given))).rows
    assert row.prechecks[0].ok is True
    await bench.close()


async def test_without_an_alertmanager_it_fails_and_says_so(bench: GenericBench) -> None:
    result = await bench.run(at_once("alertmanager.silence", **options("", "a")))
    assert result.state is ExecutionState.UNDONE, "it was not begun"
    assert "there is no Alertmanager" in result.reason
