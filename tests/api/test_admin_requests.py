"""Requests to the admin API: what reaches the daemon, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controller.api.control import Caller
from model.errors import (
    BcmError,
    EstateError,
    HeldError,
    JournalError,
    LeadershipLostError,
    NodeAccessError,
    UsageError,
)
from tests.fake_daemon import FakeDaemon

Ask = Callable[..., Any]


async def test_status_is_the_daemons_answer_with_version_and_kind(fake: FakeDaemon, ask: Ask) -> None:
    code, body = await ask("GET", "/v1/status", person=None)
    assert code == 200
    assert body["kind"] == "Status"
    assert body["services"][0]["primary"] == "pg1"


async def test_a_switchover_reaches_the_daemon_with_the_person_who_asked(fake: FakeDaemon, ask: Ask) -> None:
    fake.control.answers["switchover"] = {"execution": "EXE-1", "state": "running"}
    code, body = await ask("POST", "/v1/services/orders/switchover", {"to": "pg2"})
    assert (code, body["execution"]) == (200, "EXE-1")
    method, arguments = fake.control.calls[-1]
    assert method == "switchover"
    assert arguments["service"] == "orders"
    assert arguments["to"] == "pg2"
    assert arguments["dry_run"] is False
    assert isinstance(arguments["caller"], Caller)
    assert arguments["caller"].person == "li.wei"


async def test_a_failover_carries_its_overrides_and_their_reason(fake: FakeDaemon, ask: Ask) -> None:
    body = {"override": ["S2", "S3"], "reason": "seen it", "dry_run": True}
    code, answer = await ask("POST", "/v1/services/orders/failover", body)
    assert (code, answer["kind"]) == (200, "Plan")
    arguments = fake.control.calls[-1][1]
    assert arguments["override"] == ["S2", "S3"]
    assert arguments["reason"] == "seen it"
    assert arguments["dry_run"] is True


async def test_an_override_without_a_reason_is_refused(fake: FakeDaemon, ask: Ask) -> None:
    code, body = await ask("POST", "/v1/services/orders/failover", {"override": ["S2"]})
    assert (code, body["error"]["kind"]) == (400, "usage")
    assert fake.control.calls == []


async def test_a_pause_is_asked_for_in_words_and_reaches_the_daemon_in_seconds(
    fake: FakeDaemon, ask: Ask
) -> None:
    code, _ = await ask("POST", "/v1/services/orders/pause", {"for": "2h", "reason": "firmware"})
    assert code == 200
    assert fake.control.calls[-1][1]["for_s"] == 7200.0


@pytest.mark.parametrize(
    "body",
    [
        {"for": "2h"},
        {"for": "2h", "reason": ""},
        {"for": "2h", "reason": "   "},
        {"reason": "no end"},
        {"for": 7200, "reason": "no unit"},
        {"for": "0s", "reason": "none"},
        {"for": "-1h", "reason": "back"},
        {"for": "365d", "reason": "for ever"},
    ],
)
async def test_a_pause_without_a_sane_end_and_a_reason_is_refused(
    fake: FakeDaemon, ask: Ask, body: dict[str, Any]
) -> None:
    code, answer = await ask("POST", "/v1/services/orders/pause", body)
    assert (code, answer["error"]["kind"]) == (400, "usage")
    assert fake.control.calls == []


@pytest.mark.parametrize(
    ("path", "body", "method"),
    [
        ("/v1/services/orders/resume", {}, "resume"),
        ("/v1/services/orders/acknowledge", {"comment": "mended"}, "acknowledge"),
        ("/v1/approvals/APR-7", None, "approve"),
        ("/v1/approvals/APR-7/reject", {"reason": "not now"}, "reject"),
        ("/v1/reload", None, "reload"),
        ("/v1/plan", {"service": "orders", "runbook": "postgresql-failover", "to": "pg2"}, "plan"),
    ],
)
async def test_the_other_requests_reach_their_method(
    fake: FakeDaemon, ask: Ask, path: str, body: Any, method: str
) -> None:
    code, _ = await ask("POST", path, body)
    assert code == 200
    assert fake.control.calls[-1][0] == method


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/v1/services/nope/switchover", {}, "orders"),
        ("/v1/services/orders/switchover", {"to": "pg9"}, "pg1, pg2"),
        ("/v1/services/orders/failover", {"to": "pg9"}, "pg1, pg2"),
        ("/v1/plan", {"service": "nope", "runbook": "r"}, "orders"),
    ],
)
async def test_an_unknown_name_is_not_found_and_the_known_ones_are_named(
    fake: FakeDaemon, ask: Ask, path: str, body: Any, named: str
) -> None:
    code, answer = await ask("POST", path, body)
    assert (code, answer["error"]["kind"]) == (404, "not_found")
    assert named in answer["error"]["hint"]
    assert fake.control.calls == []


async def test_an_unknown_service_can_not_be_explained(ask: Ask) -> None:
    assert (await ask("GET", "/v1/explain/nope"))[0] == 404


async def test_a_misspelt_option_is_an_error_and_not_ignored(fake: FakeDaemon, ask: Ask) -> None:
    code, answer = await ask("POST", "/v1/services/orders/switchover", {"dryrun": True})
    assert code == 400
    assert "dryrun" in answer["error"]["what"]
    assert "dry_run" in answer["error"]["hint"]
    assert fake.control.calls == []


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b'"x"', b'{"dry_run": "yes"}'])
async def test_a_body_of_another_shape_is_refused(fake: FakeDaemon, ask: Ask, raw: bytes) -> None:
    code, answer = await ask("POST", "/v1/services/orders/switchover", raw=raw)
    assert (code, answer["error"]["kind"]) == (400, "usage")
    assert fake.control.calls == []


async def test_a_body_that_is_too_large_is_refused(fake: FakeDaemon, ask: Ask) -> None:
    code, answer = await ask("POST", "/v1/services/orders/switchover", raw=b" " * 70_000)
    assert (code, answer["error"]["kind"]) == (413, "usage")


@pytest.mark.parametrize(
    ("error", "code", "kind", "gate"),
    [
        (UsageError("no"), 400, "usage", None),
        (HeldError("no", gate="rpo"), 409, "held", "rpo"),
        (LeadershipLostError("no"), 409, "held", "leadership"),
        (JournalError("no"), 503, "journal", None),
        (NodeAccessError("no"), 502, "node", None),
        (BcmError("no"), 500, "failed", None),
    ],
)
async def test_each_kind_of_error_keeps_its_kind_its_gate_and_its_hint(
    fake: FakeDaemon, ask: Ask, *, error: BcmError, code: int, kind: str, gate: str | None
) -> None:
    error.where, error.hint = "service orders", "do this"
    fake.control.answers["switchover"] = error
    found, body = await ask("POST", "/v1/services/orders/switchover", {})
    assert found == code
    assert body["error"] == {
        "what": "no", "where": "service orders", "hint": "do this", "gate": gate, "kind": kind,
    }  # fmt: skip


async def test_an_estate_that_is_refused_says_every_problem(fake: FakeDaemon, ask: Ask) -> None:
    fake.control.answers["reload"] = EstateError("2 problems", problems=("a:1:1: x", "a:2:1: y"))
    code, body = await ask("POST", "/v1/reload")
    assert code == 422
    assert body["error"]["problems"] == ["a:1:1: x", "a:2:1: y"]


async def test_an_error_of_the_daemon_itself_is_told_without_its_insides(fake: FakeDaemon, ask: Ask) -> None:
    fake.control.answers["status"] = RuntimeError("password=hunter2")
    code, body = await ask("GET", "/v1/status")
    assert (code, body["error"]["kind"]) == (500, "internal")
    assert "hunter2" not in str(body)


@pytest.mark.parametrize(("method", "path", "code"), [("GET", "/v2/x", 404), ("DELETE", "/v1/status", 405)])
async def test_what_does_not_exist_is_told_in_json(ask: Ask, method: str, path: str, code: int) -> None:
    found, body = await ask(method, path)
    assert found == code
    assert body["error"]["what"]
