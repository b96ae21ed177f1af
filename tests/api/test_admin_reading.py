"""What has happened, as the API tells it: executions, events, and waiting for news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from model import events as ev
from tests.fake_daemon import FakeDaemon

Ask = Callable[..., Any]


async def test_an_execution_is_told_step_by_step(fake: FakeDaemon, ask: Ask) -> None:
    fake.journal.open_execution("EXE-1", ["lock", "promote"])
    fake.journal.begin_step("EXE-1", "lock")
    fake.journal.end_step("EXE-1", "lock")
    fake.journal.begin_step("EXE-1", "promote")
    code, body = await ask("GET", "/v1/executions/EXE-1")
    assert (code, body["kind"], body["state"]) == (200, "Execution", "running")
    assert [(s["id"], s["state"]) for s in body["steps"]] == [("lock", "succeeded"), ("promote", "running")]
    assert body["last_seq"] == 4


async def test_an_intent_that_an_earlier_daemon_left_is_unknown(fake: FakeDaemon, ask: Ask) -> None:
    fake.journal.open_execution("EXE-1", ["promote"])
    fake.journal.begin_step("EXE-1", "promote")
    fake.journal.append(ev.DAEMON_STARTED, {"version": "1"}, service=None)
    body = (await ask("GET", "/v1/executions/EXE-1"))[1]
    assert body["state"] == "unknown"
    assert body["open_steps"] == ["promote"]


async def test_executions_are_listed_newest_first(fake: FakeDaemon, ask: Ask) -> None:
    fake.journal.open_execution("EXE-1", [])
    fake.journal.open_execution("EXE-2", [])
    body = (await ask("GET", "/v1/executions"))[1]
    assert [e["id"] for e in body["items"]] == ["EXE-2", "EXE-1"]


async def test_an_unknown_execution_is_not_found(ask: Ask) -> None:
    assert (await ask("GET", "/v1/executions/EXE-9"))[0] == 404


async def test_a_waiting_reader_is_told_of_news_of_its_own_execution(fake: FakeDaemon, ask: Ask) -> None:
    fake.journal.open_execution("EXE-1", ["lock"])
    fake.journal.open_execution("EXE-2", ["lock"])
    waiting = asyncio.create_task(ask("GET", "/v1/executions/EXE-1?wait_s=20&after=1"))
    fake.journal.begin_step("EXE-2", "lock")
    done, _ = await asyncio.wait({waiting}, timeout=0.3)
    assert not done
    fake.journal.begin_step("EXE-1", "lock")
    async with asyncio.timeout(10):
        body = (await waiting)[1]
    assert body["steps"][0]["state"] == "running"


async def test_nobody_waits_for_news_of_what_is_closed(fake: FakeDaemon, ask: Ask) -> None:
    fake.journal.open_execution("EXE-1", [])
    fake.journal.close_execution("EXE-1", "succeeded")
    async with asyncio.timeout(10):
        body = (await ask("GET", "/v1/executions/EXE-1?wait_s=30&after=2"))[1]
    assert body["state"] == "succeeded"


async def test_events_come_in_pages_and_in_order(fake: FakeDaemon, ask: Ask) -> None:
    for number in range(1500):
        fake.journal.append(ev.CLOCK_MARK, {"n": number})
    first = (await ask("GET", "/v1/events"))[1]
    assert (len(first["items"]), first["last_seq"], first["more"]) == (1000, 1000, True)
    rest = (await ask("GET", f"/v1/events?since={first['last_seq']}"))[1]
    assert ([e["seq"] for e in rest["items"]][:1], rest["last_seq"], rest["more"]) == ([1001], 1500, False)


async def test_events_can_be_waited_for(fake: FakeDaemon, ask: Ask) -> None:
    waiting = asyncio.create_task(ask("GET", "/v1/events?since=0&wait_s=20"))
    done, _ = await asyncio.wait({waiting}, timeout=0.1)
    assert not done
    fake.journal.append(ev.CLOCK_MARK, {"mark": "T0"})
    async with asyncio.timeout(10):
        assert (await waiting)[1]["last_seq"] == 1


async def test_a_wait_that_ends_without_news_is_an_answer_too(ask: Ask) -> None:
    code, body = await ask("GET", "/v1/events?since=7&wait_s=0.05")
    assert (code, body["items"], body["last_seq"]) == (200, [], 7)


@pytest.mark.parametrize("query", ["since=x", "since=-1", "wait_s=nan", "wait_s=-1", "wait_s=x", "since=²"])
async def test_a_query_that_is_no_number_is_refused(ask: Ask, query: str) -> None:
    code, body = await ask("GET", f"/v1/events?{query}")
    assert (code, body["error"]["kind"]) == (400, "usage")


async def test_a_closed_execution_can_not_be_aborted(fake: FakeDaemon, ask: Ask) -> None:
    fake.journal.open_execution("EXE-1", [])
    fake.journal.close_execution("EXE-1", "succeeded")
    code, body = await ask("POST", "/v1/executions/EXE-1/abort", {"reason": "too late"})
    assert (code, body["error"]["kind"]) == (400, "usage")
    assert fake.control.calls == []


async def test_an_open_execution_is_aborted_with_a_reason(fake: FakeDaemon, ask: Ask) -> None:
    fake.journal.open_execution("EXE-1", [])
    assert (await ask("POST", "/v1/executions/EXE-1/abort", {}))[0] == 400
    assert (await ask("POST", "/v1/executions/EXE-1/abort", {"reason": "wrong"}))[0] == 200
    assert fake.control.calls[-1][1]["reason"] == "wrong"


async def test_an_execution_that_ended_unknown_can_be_resumed(fake: FakeDaemon, ask: Ask) -> None:
    fake.journal.open_execution("EXE-1", ["promote"])
    fake.journal.close_execution("EXE-1", "unknown")
    assert (await ask("POST", "/v1/executions/EXE-1/resume"))[0] == 200
    assert fake.control.calls[-1] == (
        "resume_execution",
        {"execution": "EXE-1", "reason": "", "caller": fake.control.calls[-1][1]["caller"]},
    )


async def test_the_daemons_stop_ends_every_wait(fake: FakeDaemon, tmp_path: Any) -> None:
    import aiohttp

    server = fake.server()
    await server.start()
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(fake.socket))) as session:
        waiting = asyncio.create_task(session.get("http://x/v1/events?wait_s=30"))
        await asyncio.wait({waiting}, timeout=0.2)
        async with asyncio.timeout(10):
            await server.stop()
            answer = await waiting
            assert answer.status == 200
            answer.release()
    assert not fake.socket.exists()


async def test_incidents_are_told_with_their_report(fake: FakeDaemon, ask: Ask) -> None:
    diagnosis = {"code": "PrimaryHung", "cause": "server", "level": "II", "sentence": "It answers nobody."}
    opened = {"t0_ns": 1, "first_bad_ns": 2, "diagnosis": diagnosis, "level": "II", "frozen": {}}
    fake.journal.append(ev.INCIDENT_OPENED, opened, incident="INC-1")
    rows = (await ask("GET", "/v1/incidents"))[1]["items"]
    assert [(r["id"], r["code"], r["rpo"]) for r in rows] == [("INC-1", "PrimaryHung", None)]
    assert (await ask("GET", "/v1/incidents/INC-1"))[1]["sentence"] == "It answers nobody."
    data = (await ask("GET", "/v1/incidents/INC-1/report?format=json"))[1]
    assert (data["kind"], data["incident"]["id"]) == ("IncidentReport", "INC-1")
    pages = [
        (await ask("GET", f"/v1/incidents/INC-1/report?lang={lang}"))[1]["text"] for lang in ("en", "zh")
    ]
    assert "Incident report" in pages[0]
    assert "事件报告" in pages[1]


@pytest.mark.parametrize(
    ("path", "code"),
    [("INC-9", 404), ("INC-9/report", 404), ("INC-1/report?format=pdf", 400), ("INC-1/report?lang=fr", 400)],
)
async def test_an_unknown_incident_or_form_is_refused(
    fake: FakeDaemon, ask: Ask, path: str, code: int
) -> None:
    fake.journal.append(ev.INCIDENT_OPENED, {"diagnosis": {}}, incident="INC-1")
    assert (await ask("GET", f"/v1/incidents/{path}"))[0] == code
