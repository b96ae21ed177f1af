"""Requests about incidents to the admin API: declared disasters, merging, splitting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from model.disaster import Tier
from model.errors import UsageError
from tests.fake_daemon import FakeDaemon

Ask = Callable[..., Any]
DECLARED = {"tier": "natural", "scope": "site:dc1", "reason": "the river rises"}


async def test_a_declaration_reaches_the_daemon_with_who_declared_it(fake: FakeDaemon, ask: Ask) -> None:
    fake.control.answers["declare_disaster"] = {"incident": "INC-7"}
    code, body = await ask("POST", "/v1/incidents", {**DECLARED, "since": "20m"})
    assert (code, body["kind"], body["incident"]) == (200, "Declaration", "INC-7")
    method, arguments = fake.control.calls[-1]
    assert method == "declare_disaster"
    assert arguments["caller"].person == "li.wei"
    assert (arguments["tier"], arguments["scope"]) == (Tier.NATURAL, "site:dc1")
    assert (arguments["ago_s"], arguments["dry_run"]) == (1200.0, False)


@pytest.mark.parametrize(
    "change",
    [
        {"tier": "general"},
        {"reason": " "},
        {"since": 20},
        {"since": "90d"},
        {"scope": ""},
        {"tire": "natural"},
    ],
)
async def test_a_declaration_that_is_none_is_refused(
    fake: FakeDaemon, ask: Ask, change: dict[str, Any]
) -> None:
    code, body = await ask("POST", "/v1/incidents", {**DECLARED, **change})
    assert (code, body["error"]["kind"]) == (400, "usage")
    assert fake.control.calls == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/incidents", DECLARED),
        ("/v1/incidents/INC-1/merge", {"part": "INC-2", "reason": "one switch"}),
        ("/v1/incidents/INC-1/split", {"service": "orders", "reason": "its disk"}),
    ],
)
async def test_each_of_them_needs_a_person(
    fake: FakeDaemon, ask: Ask, path: str, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.api.people.account_name", lambda _uid: "mallory")
    code, answer = await ask("POST", path, body, person=None)
    assert (code, answer["error"]["kind"]) == (403, "forbidden")
    assert fake.control.calls == []


async def test_merging_and_splitting_reach_the_daemon(fake: FakeDaemon, ask: Ask) -> None:
    code, _ = await ask("POST", "/v1/incidents/INC-1/merge", {"part": "INC-2", "reason": "one switch"})
    assert code == 200
    merged = fake.control.calls[-1][1]
    assert (merged["incident"], merged["part"], merged["reason"]) == ("INC-1", "INC-2", "one switch")
    code, _ = await ask("POST", "/v1/incidents/INC-1/split", {"service": "orders", "reason": "its disk"})
    assert code == 200
    assert fake.control.calls[-1][1]["service"] == "orders"
    code, _ = await ask("POST", "/v1/incidents/INC-1/split", {"service": "orders"})
    assert code == 400


async def test_anybody_may_look_at_a_plan_and_is_told_where_there_is_none(fake: FakeDaemon, ask: Ask) -> None:
    fake.control.answers["incident_plan"] = {"state": "done"}
    code, body = await ask("GET", "/v1/incidents/INC-7/plan", person=None)
    assert (code, body["kind"], body["state"]) == (200, "SitePlan", "done")
    fake.control.answers["incident_plan"] = UsageError("INC-8 has no site plan")
    code, body = await ask("GET", "/v1/incidents/INC-8/plan", person=None)
    assert (code, body["error"]["what"]) == (400, "INC-8 has no site plan")
