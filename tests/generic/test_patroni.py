"""patroni.* against a real Patroni over a real etcd: it moves the primary, the product asks and looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.execution import ExecutionState, StepState
from model.ports import HttpAnswer, HttpError, HttpRequest
from tests.generic_bench import GenericBench, at_once, step, succeeded
from tests.patroni_cluster import PASSWORD, PatroniCluster, running_patroni

pytestmark = pytest.mark.xdist_group("patroni")
NOBODY = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PatroniCluster]:
    with running_patroni(tmp_path_factory.mktemp("patroni")) as cluster:
        yield cluster


@pytest.fixture
def patroni(lasting: PatroniCluster) -> PatroniCluster:
    lasting.wait(lasting.is_well, "the test before left it ill")
    return lasting


@pytest.fixture
def login(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "rest").write_text(PASSWORD)
    (tmp_path / "rest").chmod(0o600)
    return {"user": "ops", "password": {"file": str(tmp_path / "rest")}}


def other(cluster: PatroniCluster) -> str:
    return next(name for name in cluster.ports if name != cluster.leader())


class LosesItsAnswer:
    """The product's own connections; the answer to a change never comes."""

    def __init__(self, http: Any) -> None:
        self._http = http

    async def request(self, request: HttpRequest, *, timeout_s: float) -> HttpAnswer:
        answer: HttpAnswer = await self._http.request(request, timeout_s=timeout_s)
        if request.method != "GET":
            raise HttpError("the connection was lost", sent=True)
        return answer


async def test_the_primary_is_moved_where_it_is_asked_to_be_and_seen_to_work(
    bench: GenericBench, patroni: PatroniCluster, login: Mapping[str, Any]
) -> None:
    was, to = patroni.leader(), other(patroni)
    given = {"urls": [NOBODY, *patroni.urls], "candidate": to, "leader": was, **login}
    found = succeeded(await bench.run([step("patroni.switchover", "act", with_=given, timeout="60s")]))["act"]
    assert (found["leader"], found["was"]) == (to, was)
    assert patroni.leader() == to
    again = succeeded(await bench.run([step("patroni.switchover", "act", with_={**given, "leader": ""})]))
    assert again["act"]["leader"] == to
    assert bench.last_result("act")["detail"] == f"{to} leads already"
    assert PASSWORD not in str(bench.store.events)


async def test_an_answer_that_is_lost_is_made_up_for_by_a_look(
    bench: GenericBench, patroni: PatroniCluster, login: Mapping[str, Any]
) -> None:
    to = other(patroni)
    bench.ports = replace(bench.ports, http=LosesItsAnswer(bench.ports.http))
    given = {"urls": patroni.urls, "candidate": to, **login}
    succeeded(await bench.run([step("patroni.switchover", "act", with_=given, timeout="60s")]))
    assert patroni.leader() == to


async def test_a_switchover_whose_record_is_lost_is_found_done_and_not_done_twice(
    bench: GenericBench, patroni: PatroniCluster, login: Mapping[str, Any]
) -> None:
    to = other(patroni)
    given = {"urls": patroni.urls, "candidate": to, **login}
    steps = [step("patroni.switchover", "act", with_=given, timeout="60s", point_of_no_return=True)]
    await bench.dies_before_the_result(steps)
    patroni.wait(lambda: patroni.leader() == to and patroni.is_well(), "not moved")
    timeline = patroni.members()[to]["timeline"]
    assert (await bench.resume()).state is ExecutionState.SUCCEEDED
    assert bench.last_result("act")["reason"] == "reconciled"
    assert patroni.members()[to]["timeline"] == timeline


@pytest.mark.parametrize("wrong", ["another leader", "a stranger", "no password", "nobody answers"])
async def test_what_patroni_refuses_has_failed_and_moved_nothing(
    bench: GenericBench, patroni: PatroniCluster, login: Mapping[str, Any], wrong: str
) -> None:
    was = patroni.leader()
    given: dict[str, Any] = {"urls": patroni.urls, "candidate": other(patroni), **login}
    match wrong:
        case "another leader":
            given["leader"] = other(patroni)
        case "a stranger":
            given["candidate"] = "north"
        case "no password":
            del given["user"], given["password"]
        case "nobody answers":
            given["urls"] = [NOBODY]
    result = await bench.run(at_once("patroni.switchover", **given))
    assert (result.state, bench.outcome("act")) == (ExecutionState.FAILED, StepState.FAILED)
    assert patroni.leader() == was


async def test_a_leader_that_works_is_not_failed_over(
    bench: GenericBench, patroni: PatroniCluster, login: Mapping[str, Any]
) -> None:
    was = patroni.leader()
    given = {"urls": patroni.urls, "candidate": other(patroni), **login}
    assert (await bench.run(at_once("patroni.failover", **given))).state is ExecutionState.FAILED
    assert "use patroni.switchover" in bench.last_result("act")["detail"]
    view = await bench.plan(at_once("patroni.failover", **given))
    assert f"{was} leads and works" in str(view.to_json())
    assert patroni.leader() == was


async def test_a_pause_is_seen_and_ends_with_what_it_was_for(
    bench: GenericBench, patroni: PatroniCluster, login: Mapping[str, Any]
) -> None:
    given = {"urls": patroni.urls, **login}
    succeeded(await bench.run([step("patroni.pause", "act", with_=given, timeout="20s")]))
    assert patroni.shown().get("pause") is True
    fails = step("exec.run", "fails", with_={"command": ["/bin/false"], "changes": False}, on_failure="undo")
    twice = [step("patroni.pause", "act", with_=given, timeout="20s", undo=True), fails]
    assert (await bench.run(twice)).state is ExecutionState.UNDONE
    assert patroni.shown().get("pause") is True, "it was paused before"
    resumed = [step("patroni.resume", "act", with_=given, timeout="20s", undo=True), fails]
    assert (await bench.run(resumed)).state is ExecutionState.UNDONE
    assert patroni.shown().get("pause") is True
    succeeded(await bench.run([step("patroni.resume", "act", with_=given, timeout="20s")]))
    assert not patroni.shown().get("pause")
