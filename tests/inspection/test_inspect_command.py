"""`inspect` as people and programs see it, against a daemon that answers what it is told."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
import yaml

import controller.cli.inspect as inspect_module
from controller.cli.inspect import markdown
from controller.inspection.catalogue import CATALOGUE
from controller.inspection.page import page
from model.errors import UsageError
from tests.cli.conftest import ROOT, Shell, _no_settings_from_outside, alone, bcm, daemon  # noqa: F401
from tests.fake_daemon import FakeDaemon


def row(result: str, about: str = "service/orders/pg1", **more: str) -> dict[str, str]:
    shape = {
        "check": "rewind", "about": about, "what": "An old primary can be rewound", "how": "checksums",
        "result": result, "text": "neither | nor", "why": "hours instead of seconds", "todo": "pg_checksums",
    }  # fmt: skip
    return {**shape, **more}


def body(*rows: dict[str, str], worst: str, since: Any = None) -> dict[str, Any]:
    counts = {r: sum(x["result"] == r for x in rows) for r in ("failed", "warning", "unknown", "ok")}
    return {
        "scope": None, "worst": worst, "took_ms": 1234, "counts": counts, "rows": list(rows),
        "since": since, "journaled": True,
    }  # fmt: skip


SINCE = {
    "at": "2026-11-24T03:00:00Z",
    "new": [{"check": "access", "about": "node/db2", "result": "failed", "text": "no route"}],
    "gone": [{"check": "pager", "about": "estate", "result": "failed", "text": "no pager"}],
    "changed": [],
}


@pytest.mark.parametrize(
    ("worst", "code"), [("ok", 0), ("skipped", 0), ("warning", 1), ("failed", 1), ("unknown", 4)]
)
def test_the_exit_code_is_that_of_the_worst(bcm: Shell, daemon: FakeDaemon, worst: str, code: int) -> None:  # noqa: F811
    daemon.control.answers["inspect"] = body(row(worst), worst=worst)
    assert bcm("inspect").code == code


def test_the_table_says_what_was_found_why_it_matters_and_what_to_do(bcm: Shell, daemon: FakeDaemon) -> None:  # noqa: F811
    daemon.control.answers["inspect"] = body(row("failed"), row("ok", text="fine", todo=""), worst="failed")
    said = bcm("inspect", "orders").out
    for words in (
        "An old primary can be rewound", "checksums", "neither | nor",
        "why it matters: hours instead of seconds", "what to do: pg_checksums",
        "1 failed, 1 ok, in 1.2 s",
    ):  # fmt: skip
        assert words in said
    assert said.count("what to do") == 1
    assert daemon.control.calls[-1] == ("inspect", {"service": "orders", "actor": "li.wei"})


def test_programs_get_the_whole_answer(bcm: Shell, daemon: FakeDaemon) -> None:  # noqa: F811
    daemon.control.answers["inspect"] = body(row("failed"), worst="failed", since=SINCE)
    found = json.loads(bcm("inspect", "-o", "json").out)
    assert (found["kind"], found["worst"], found["rows"][0]["todo"]) == (
        "Inspection",
        "failed",
        "pg_checksums",
    )
    assert yaml.safe_load(bcm("inspect", "-o", "yaml").out) == found


def test_a_person_who_waits_sees_how_far_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspect_module, "_QUIET_S", 0.0)
    monkeypatch.setattr(inspect_module, "_LOOK_S", 0.001)
    looked, ends = threading.Event(), threading.Event()

    def work() -> dict[str, Any]:
        assert ends.wait(10)
        return {"worst": "ok"}

    def look() -> dict[str, Any]:
        if looked.is_set():
            ends.set()
        looked.set()
        return {"running": True, "done": 3, "total": 20}

    assert inspect_module._with_progress(work, look) == {"worst": "ok"}
    assert "inspecting: 3 of 20 checks" in capsys.readouterr().err


def test_since_shows_what_has_changed(bcm: Shell, daemon: FakeDaemon) -> None:  # noqa: F811
    daemon.control.answers["inspect"] = body(row("failed"), worst="failed", since=SINCE)
    said = bcm("inspect", "--since").out
    assert "since 2026-11-24T03:00:00Z:" in said
    assert "new: failed: node/db2: no route" in said
    assert "gone: failed: estate: no pager" in said
    daemon.control.answers["inspect"] = body(worst="ok", since=None)
    assert "no earlier inspection" in bcm("inspect", "--since").err


def test_a_page_for_a_ticket_is_a_table_that_nothing_breaks(bcm: Shell, daemon: FakeDaemon) -> None:  # noqa: F811
    evil = row("failed", text="a|b\n| <script> \x1b[31m")
    daemon.control.answers["inspect"] = body(evil, worst="failed", since=SINCE)
    said = bcm("inspect", "--format", "md")
    assert said.code == 1
    (line,) = [text for text in said.out.splitlines() if text.startswith("| failed | service/orders/pg1")]
    assert "a\\|b \\| &lt;script>" in line
    assert "\x1b" not in said.out
    assert "## Since 2026-11-24T03:00:00Z" in said.out
    assert "| new | failed | node/db2 | no route |" in markdown(body(worst="ok", since=SINCE))


def test_a_service_that_there_is_not_is_a_usage_error(bcm: Shell, daemon: FakeDaemon) -> None:  # noqa: F811
    daemon.control.answers["inspect"] = UsageError("no service 'shop'", hint="services: orders")
    said = bcm("inspect", "shop")
    assert (said.code, "services: orders" in said.err) == (2, True)


def test_without_a_daemon_it_says_how_to_do_it_all_the_same(alone: Shell) -> None:  # noqa: F811
    said = alone("inspect")
    assert said.code == 5
    assert "inspect --no-daemon" in said.err
    assert alone("inspect", "--no-daemon", "-c", "/nonexistent.yaml").code != 0


def test_the_last_one_and_the_progress_can_be_asked_for(bcm: Shell, daemon: FakeDaemon) -> None:  # noqa: F811
    from controller.cli.client import Client

    client = Client(daemon.socket)
    daemon.control.answers["last_inspection"] = body(worst="ok")
    daemon.control.answers["inspection_progress"] = {"running": True, "done": 3, "total": 20}
    assert client.get("inspections", "latest")["worst"] == "ok"
    assert client.get("inspections", "progress")["done"] == 3
    daemon.control.answers["last_inspection"] = None
    from controller.cli.exits import ApiError

    with pytest.raises(ApiError, match="nothing has been inspected yet"):
        client.get("inspections", "latest")


def test_names_in_the_catalogue_are_different() -> None:
    assert len({check.name for check in CATALOGUE}) == len(CATALOGUE)


def test_the_page_of_checks_is_current() -> None:
    made = ROOT / "docs" / "operations" / "inspection.md"
    assert made.read_text(encoding="utf-8") == page(), (
        "write it anew: python -m controller.inspection.page > docs/operations/inspection.md"
    )
