"""What people say to an execution, from the command line to the daemon, and what they are shown of it."""

from __future__ import annotations

import json

import pytest

from model import events as ev
from tests.cli.conftest import Shell
from tests.fake_daemon import FakeDaemon


@pytest.fixture
def asking(daemon: FakeDaemon) -> FakeDaemon:
    """EXE-1 waits for approval of its step `ok`."""
    daemon.journal.open_execution("EXE-1", ["ok", "move"])
    daemon.journal.append(
        ev.STEP_ASKED,
        {
            "step": "ok", "attempt": 1, "kind": "approval", "text": "move it", "needed": 2, "given": [],
            "expires_wall_ns": 1_800_000_000_000_000_000, "words": ["yes", "no"],
        },
        execution="EXE-1",
    )  # fmt: skip
    return daemon


@pytest.mark.parametrize(
    ("arguments", "word", "kind", "reason"),
    [
        (("approve", "EXE-1", "ok"), "yes", "approval", ""),
        (("confirm", "EXE-1", "ok", "--comment", "done"), "yes", "manual", "done"),
        (("deny", "EXE-1", "ok", "--reason", "no"), "no", None, "no"),
        (("retry", "EXE-1", "ok", "--reason", "again"), "retry", None, "again"),
        (("skip", "EXE-1", "ok", "--reason", "not today"), "skip", None, "not today"),
    ],
)
def test_a_word_reaches_the_daemon_with_who_said_it(
    *, asking: FakeDaemon, bcm: Shell, arguments: tuple[str, ...], word: str, kind: str | None, reason: str
) -> None:
    asking.control.answers["say_of_step"] = {"execution": "EXE-1", "step": "ok", "word": word}
    assert bcm("execution", *arguments).code == 0
    method, said = asking.control.calls[-1]
    assert (method, said["step"], said["word"], said["kind"]) == ("say_of_step", "ok", word, kind)
    assert (said["reason"], said["caller"].person) == (reason, "li.wei")


def test_a_first_yes_of_two_waits_for_the_second(asking: FakeDaemon, bcm: Shell) -> None:
    needs = {"execution": "EXE-1", "state": "waiting_for_approval", "needs": "waits for 1 more person"}
    asking.control.answers["say_of_step"] = needs
    said = bcm("execution", "approve", "EXE-1", "ok")
    assert (said.code, said.out.splitlines()[0]) == (6, "ok: waits for 1 more person")


def test_a_pause_says_where_it_rests_and_how_it_goes_on(asking: FakeDaemon, bcm: Shell) -> None:
    asking.control.answers["pause_execution"] = {"execution": "EXE-1", "rests": "before the next step"}
    said = bcm("execution", "pause", "EXE-1", "--reason", "lunch")
    assert said.out.splitlines() == [
        "EXE-1 rests before the next step",
        "it goes on with: bcm-failover execution resume EXE-1",
    ]


def test_an_execution_that_asks_says_for_what_and_how_to_answer(asking: FakeDaemon, bcm: Shell) -> None:
    said = bcm("execution", "show", "EXE-1")
    assert "ok waits until 2027-01-15T08:00:00: move it" in said.out
    assert "  bcm-failover execution approve EXE-1 ok\n" in said.out
    assert '  bcm-failover execution deny EXE-1 ok --reason "…"' in said.out
    assert "EXE-1 is asking" in said.out
    body = json.loads(bcm("execution", "show", "EXE-1", "-o", "json").out)
    assert (body["state"], body["asks"][0]["needed"]) == ("asking", 2)


def test_what_was_agreed_and_said_is_shown(asking: FakeDaemon, bcm: Shell) -> None:
    asking.journal.append(
        ev.STEP_ANSWERED, {"step": "ok", "word": "yes", "reason": "fine"}, execution="EXE-1"
    )
    said = bcm("execution", "show", "EXE-1")
    assert "(li.wei agreed, 2 needed)" in said.out
    assert "li.wei said yes: fine" in said.out


def test_a_no_and_a_skip_need_a_reason(asking: FakeDaemon, bcm: Shell) -> None:
    assert bcm("execution", "deny", "EXE-1", "ok").code == 2
    assert bcm("execution", "skip", "EXE-1", "ok").code == 2
    assert [call for call in asking.control.calls if call[0] == "say_of_step"] == []


def test_the_rto_that_is_left_is_shown(daemon: FakeDaemon, bcm: Shell) -> None:
    daemon.journal.open_execution("EXE-1", ["ok"], rto_ms=30_000)
    daemon.journal.close_execution("EXE-1", "succeeded", reason="done")
    said = bcm("execution", "show", "EXE-1")
    assert "of the RTO of 30.0 s since its beginning" in said.out
    assert " left" in said.out
