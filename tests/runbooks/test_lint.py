# ruff: noqa: E501 - a table is read by rows
"""The linter: each rule with a runbook that breaks it, the place of the finding, and one that keeps it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from config.findings import Finding, Severity
from config.schema import Estate
from runbooks.lint import has_errors, lint
from tests.runbooks.runbook_stage import HEAD, runbook_of

FAILOVER_HEAD = HEAD.replace("kind: other", "kind: failover")
GOOD = """
  - {id: lock, action: test.lock, timeout: 1s}
  - {id: detach, action: test.fence, with: {cell: a, value: 1}, timeout: 1s, undo: true, on_failure: undo}
  - {id: prove, action: test.read, with: {cell: a}, timeout: 1s, on_failure: undo}
  - {id: promote, action: test.promote, with: {cell: x}, timeout: 1s, point_of_no_return: true, mark: T6}
  - {id: verify, action: test.read, with: {cell: a}, timeout: 1s, mark: T8}
""".replace("{cell: x}", "{token: t}").replace("token", "token")


@dataclass(frozen=True)
class Took:
    p50_ms: int
    p95_ms: int
    samples: int = 5


def texts(findings: list[Finding]) -> str:
    return "\n".join(str(f) for f in findings)


def findings(steps: str, head: str = HEAD) -> list[Finding]:
    """Without those about the test actions' own option `token`, which sounds like a secret."""
    return [f for f in lint(runbook_of(steps, head)) if "secret" not in f.what]


def test_a_good_failover_has_no_findings(estate: Estate) -> None:
    found = lint(runbook_of(GOOD, FAILOVER_HEAD), estate, "orders")
    assert [f for f in found if "secret" not in f.what] == []


@pytest.mark.parametrize(
    ("steps", "what"),
    [
        pytest.param("{id: a, action: test.lokc, timeout: 1s}", "there is no action 'test.lokc'; did you mean 'test.lock'?", id="unknown action"),
        pytest.param("{id: a, action: test.read, timeout: 1s, with: {cel: x}}", "unknown key 'cel' in steps[0].with; did you mean 'cell'?", id="unknown option"),
        pytest.param("{id: a, action: test.read, timeout: 1s}", "test.read needs the option 'cell'", id="missing option"),
        pytest.param("{id: a, action: test.read, timeout: 1s, with: {cell: [1]}}", "option 'cell' of test.read: Input should be a valid string", id="wrong option"),
        pytest.param('{id: a, action: test.read, timeout: 1s, with: {cell: "{{ servise }}"}}', "there is no variable 'servise'; allowed: did you mean 'service'?", id="unknown variable"),
        pytest.param('{id: a, action: test.read, timeout: 1s, with: {cell: "{{ steps.b.value }}"}}', "there is no step 'b'", id="unknown step"),
        pytest.param('{id: a, action: test.read, timeout: 1s, with: {cell: "{{ x.y() }}"}}', "a call is not allowed", id="call in a template"),
        pytest.param('{id: a, action: test.read, timeout: 1s, with: {cell: x}, when: "1 == 2"}', "step 'a' is never reached", id="unreachable"),
        pytest.param('{id: a, action: test.read, timeout: 1s, with: {cell: x}, when: "1 == 1"}', "`when` has no effect", id="always true"),
        pytest.param("{id: a, action: test.read, timeout: 1s, with: {cell: x}, retry: {attempts: 1}}", "`retry` of step 'a' has no effect", id="one attempt"),
        pytest.param("{id: a, action: test.read, timeout: 1s, with: {cell: x}, beside: true}", "`beside` of step 'a' has no effect; no step follows", id="beside at the end"),
        pytest.param("{id: a, action: test.read, timeout: 1s, with: {cell: x}, parallel: g}", "`parallel` of step 'a' has no effect", id="group of one"),
        pytest.param("{id: a, action: test.read, timeout: 1s, with: {cell: x}, undo: true}", "`undo` of step 'a' has no effect; test.read changes nothing", id="undo of a reading"),
        pytest.param("{id: a, action: test.blind, timeout: 1s, with: {token: x}, undo: true}", "`undo` of step 'a' has no effect; test.blind can't be taken back", id="undo without undo"),
        pytest.param("{id: a, action: test.read, timeout: 1s, with: {cell: x}, point_of_no_return: true}", "`point_of_no_return` of step 'a' has no effect", id="no return from a reading"),
        pytest.param("{id: a, action: test.blind, timeout: 1s, with: {token: x}, point_of_no_return: true}", "test.blind changes something and has no check of its effect", id="no check"),
        pytest.param("{id: a, action: test.set, timeout: 1s, with: {cell: x, value: 1}}", "step 'a' changes something that nothing takes back", id="no undo"),
        pytest.param("{id: a, action: test.promote, timeout: 1s, with: {token: x}, undo: true, on_failure: undo}", "step 'a' promotes and is no point of no return", id="promotion undone"),
        pytest.param("{id: a, action: test.read, timeout: 1s, with: {cell: x}, answer_within: 1h}", "`answer_within` of step 'a' has no effect; on_failure is stop", id="answer to nothing"),
        pytest.param("{id: a, action: test.read, timeout: 1s, with: {cell: x}, budget: 1s}", "`budget` of step 'a' has no effect; all its attempts together end after 1s", id="budget beyond the time-out"),
        pytest.param("{id: a, action: test.read, timeout: 9s, with: {cell: x}, stall: 1s}", "`stall` of step 'a' has no effect; test.read does not tell its progress", id="stall of what tells nothing"),
        pytest.param("{id: a, action: test.behave-reading, timeout: 1s, stall: 2s}", "`stall` of step 'a' has no effect; its time-out comes first", id="stall beyond the time-out"),
        pytest.param("{id: a, action: approval, timeout: 1h, with: {what: go}, retry: {attempts: 2}}", "step 'a' would ask again after a no", id="asked until yes"),
        pytest.param("{id: a, action: test.read, timeout: 1s, with: {cell: 'postgresql://u:hunter2@h/d'}}", "a secret stands here in plain text", id="secret in a URL"),
    ],
)  # fmt: skip
def test_a_step_that_breaks_a_rule_is_found_at_its_line(steps: str, what: str) -> None:
    found = lint(runbook_of(f"  - {steps}\n"))
    matching = [f for f in found if what in str(f)]
    assert matching, texts(found)
    assert (matching[0].severity, matching[0].line) == (Severity.ERROR, 7)
    assert matching[0].col > 3
    assert "hunter2" not in texts(found)


@pytest.mark.parametrize(
    ("old", "new", "what", "line"),
    [
        pytest.param("action: test.fence", "action: test.set", "step 'promote' promotes without a fence before it", 11, id="no fence"),
        pytest.param("undo: true, on_failure: undo}\n  - {id: prove", "undo: true, on_failure: undo, beside: true}\n  - {id: prove", "without a fence", 11, id="fence beside"),
        pytest.param("undo: true, on_failure: undo}\n  - {id: prove", "undo: true, on_failure: continue}\n  - {id: prove", "without a fence", 11, id="fence that may fail"),
        pytest.param("undo: true, on_failure: undo}\n  - {id: prove", "undo: true, on_failure: undo, when: \"service == 'x'\"}\n  - {id: prove", "without a fence", 11, id="fence that may be skipped"),
        pytest.param("timeout: 1s, on_failure: undo}", "timeout: 1s}", "if step 'prove' fails, step 'detach' stays as it is", 10, id="stop that leaves a change"),
        pytest.param("timeout: 1s, on_failure: undo}", "timeout: 1s, on_failure: ask}", "if step 'prove' fails, step 'detach' stays as it is", 10, id="ask that leaves a change"),
        pytest.param("{id: verify, action: test.read", "{id: verify, action: test.ask-primary", "step 'verify' needs the old primary", 12, id="needs the failed site"),
        pytest.param("timeout: 1s, mark: T8", "timeout: 1s, on_failure: undo, mark: T8", "`on_failure` of step 'verify' has no effect", 12, id="undo after the turn"),
        pytest.param("point_of_no_return: true, mark", "point_of_no_return: true, on_failure: undo, mark", "`on_failure` of step 'promote' has no effect", 11, id="undo at the turn"),
        pytest.param("{id: prove, action: test.read, with: {cell: a}, timeout: 1s, on_failure: undo}", "{id: prove, action: manual, with: {do: look}, timeout: 1h, on_failure: undo}", "step 'prove' waits for people while something tentative stands", 10, id="asked while detached"),
        pytest.param("mark: T8", "mark: T6", "T6 is marked by step 'promote' already", 12, id="marked twice"),
    ],
)  # fmt: skip
def test_a_failover_that_breaks_a_safety_rule_is_found_at_its_line(
    old: str, new: str, what: str, line: int
) -> None:
    assert old in GOOD
    found = findings(GOOD.replace(old, new), FAILOVER_HEAD)
    assert (what, line) in [(what, f.line) for f in found if what in str(f)], texts(found)
    assert has_errors(found)


def test_budgets_that_do_not_fit_the_rto_are_told(estate: Estate) -> None:
    rto_s = estate.services["orders"].objectives.rto
    steps = GOOD.replace(
        "with: {cell: a}, timeout: 1s, mark: T8",
        f"with: {{cell: a}}, timeout: 1d, budget: {rto_s + 1:g}s, mark: T8",
    )
    found = [f for f in lint(runbook_of(steps, FAILOVER_HEAD), estate, "orders") if "budgets" in f.what]
    assert [f.severity for f in found] == [Severity.WARNING]


def test_a_failover_without_marks_would_not_be_measured() -> None:
    found = findings(GOOD.replace(", mark: T8", "").replace(", mark: T6", ""), FAILOVER_HEAD)
    assert [f.severity for f in found] == [Severity.WARNING] * 2
    assert "T8" in texts(found)


def test_a_change_at_the_same_time_as_the_turn_must_be_undoable_too() -> None:
    beside = "  - {id: more, action: test.set, with: {cell: b, value: 1}, timeout: 1s, parallel: g}\n"
    steps = GOOD.replace("mark: T6}\n", "mark: T6, parallel: g}\n" + beside)
    assert "step 'more' changes something that nothing takes back" in texts(findings(steps, FAILOVER_HEAD))


def test_a_turn_that_may_be_skipped_is_not_relied_on() -> None:
    stop = (
        "  - {id: stop, action: test.fence, with: {cell: o, value: 1}, timeout: 1s, when: \"service == 'x'\", "
        "point_of_no_return: true}\n"
        "  - {id: after, action: test.set, with: {cell: q, value: 1}, timeout: 1s, on_failure: undo}\n"
    )
    steps = GOOD.replace("  - {id: promote", f"{stop}  - {{id: promote")
    found = findings(steps, FAILOVER_HEAD)
    assert [f.line for f in found] == [12]
    assert "step 'after' changes something that nothing takes back" in texts(found)


def test_a_name_of_a_step_at_the_same_time_is_not_there_yet() -> None:
    steps = (
        "  - {id: a, action: test.read, with: {cell: x}, timeout: 1s, parallel: g}\n"
        '  - {id: b, action: test.read, with: {cell: "{{ steps.a.value }}"}, timeout: 1s, parallel: g}\n'
    )
    assert "step 'a' has not ended before this one" in texts(findings(steps))


def test_an_output_of_a_step_beside_is_never_there() -> None:
    steps = (
        "  - {id: a, action: test.read, with: {cell: x}, timeout: 1s, beside: true}\n"
        '  - {id: b, action: test.read, with: {cell: "{{ steps.a.value }}"}, timeout: 1s}\n'
    )
    assert "step 'a' has not ended before this one" in texts(findings(steps))


def test_an_output_that_an_action_does_not_have_is_found() -> None:
    steps = (
        "  - {id: a, action: test.read, with: {cell: x}, timeout: 1s}\n"
        '  - {id: b, action: test.read, with: {cell: "{{ steps.a.valeu }}"}, timeout: 1s}\n'
    )
    assert "step 'a' has no output 'valeu'; allowed: did you mean 'value'?" in texts(findings(steps))


@pytest.mark.parametrize(
    ("variable", "what"),
    [
        ("{type: integer, default: many}", "is no integer"),
        ("{type: string, required: true, default: x}", "has no effect"),
        ("{type: member, default: pg9}", "no member of orders"),
    ],
)
def test_a_default_that_does_not_fit_is_found(estate: Estate, variable: str, what: str) -> None:
    head = HEAD + f"vars:\n  v: {variable}\n"
    steps = "  - {id: a, action: test.read, with: {cell: x}, timeout: 1s}\n"
    found = lint(runbook_of(steps, head), estate, "orders")
    assert [f.line for f in found] == [7]
    assert what in texts(found)


def test_a_runbook_for_another_engine_is_found(estate: Estate) -> None:
    steps = "  - {id: a, action: test.read, with: {cell: x}, timeout: 1s}\n"
    runbook = runbook_of(steps, HEAD.replace("generic", "postgresql"))
    assert lint(runbook, estate, "orders") == []


def test_steps_that_take_longer_than_the_rto_are_a_warning(estate: Estate) -> None:
    expected = {"detach": Took(100, 200), "promote": Took(20_000, 70_000)}
    found = lint(runbook_of(GOOD, FAILOVER_HEAD), estate, "orders", expected=expected)
    warning = next(f for f in found if "RTO" in f.what)
    assert warning.severity is Severity.WARNING
    assert "70200 ms" in warning.what
    assert "1m" in warning.what


@pytest.mark.parametrize(
    "with_",
    ["{cell: x, value: {password: hunter2}}", "{cell: 'host=h password=hunter2', value: 1}",
     "{cell: x, value: {api_key: [hunter2]}}"],
)  # fmt: skip
def test_no_secret_may_stand_in_a_runbook_and_none_is_repeated(with_: str) -> None:
    steps = f"  - {{id: a, action: test.set, with: {with_}, timeout: 1s, undo: true}}\n"
    found = lint(runbook_of(steps))
    assert "a secret stands here in plain text" in texts(found)
    assert "hunter2" not in texts(found)


@pytest.mark.parametrize("with_", ["{cell: x, value: {password: {file: /etc/p}}}", "{cell: x, value: 7}"])
def test_a_reference_to_a_secret_is_fine(with_: str) -> None:
    steps = f"  - {{id: a, action: test.set, with: {with_}, timeout: 1s, undo: true, on_failure: undo}}\n"
    assert lint(runbook_of(steps)) == []
