"""Prints a plan: every resolved command, each precheck's live result, the time expected, the gates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controller.cli.exits import ExitCode
from controller.cli.explain import print_gate
from controller.cli.settings import Settings
from controller.cli.terminal import clean, console, mark_of, seconds, style_of


def print_plan(settings: Settings, plan: Mapping[str, Any]) -> None:
    """plan: as of `runbooks.plan_view.PlanView.to_json`, with the decision's gates where there are any."""
    from rich.text import Text

    out = console(settings)

    def line(text: str, style: str = "") -> None:
        out.print(Text(clean(text), style=style), soft_wrap=True)

    chosen = ", ".join(f"{k}={_short(v)}" for k, v in (plan.get("vars") or {}).items() if k != "service")
    line(f"{plan.get('runbook')} on {plan.get('service')} (dry run: nothing is changed)", "bold")
    if chosen:
        line(f"  with {chosen}")
    for number, step in enumerate(plan.get("steps", []), 1):
        _print_step(line, number, step)
    _print_checks(settings, plan)
    line(_expected(plan))
    for gate in plan.get("gates", []):
        print_gate(line, gate)
    stopped = plan.get("stopped_by")
    if stopped:
        line(f"it would be held by the gate `{stopped}`", "bold red")
    elif exit_code_of_plan(plan) is ExitCode.FAILED:
        line("a precheck does not pass: see above", "bold red")
    else:
        line("nothing stands in its way", "green")


def exit_code_of_plan(plan: Mapping[str, Any]) -> ExitCode:
    """Held before failed: a gate stops it first."""
    if plan.get("stopped_by"):
        return ExitCode.HELD
    checks = [check for step in plan.get("steps", []) for check in step.get("prechecks", [])]
    return ExitCode.FAILED if any(check.get("ok") is False for check in checks) else ExitCode.OK


def _print_step(line: Any, number: int, step: Mapping[str, Any]) -> None:
    marks = [text for key, text in (("beside", "beside"), ("undo", "can be undone")) if step.get(key)]
    if step.get("point_of_no_return"):
        marks.append("POINT OF NO RETURN")
    if step.get("runs") not in (None, "yes"):
        marks.append(f"runs: {step['runs']}")
    if step.get("parallel"):
        marks.append(f"in parallel: {step['parallel']}")
    said = f" ({'; '.join(marks)})" if marks else ""
    where = f" on {step['where']}" if step.get("where") else ""
    line(
        f"{number:>2}. {step.get('step')}: {step.get('description') or step.get('action')}{where}{said}",
        "bold",
    )
    for text in step.get("commands", []):
        line(f"      $ {text}")
    if not step.get("commands") and step.get("decided_by"):
        line(f"      settled by the step {', '.join(step['decided_by'])}")
    expected = step.get("expected_p95_ms")
    if expected is not None:
        usual, samples = seconds(step["expected_p50_ms"] / 1000), step.get("samples")
        line(f"      takes {usual}, 95 of 100 within {seconds(expected / 1000)} ({samples} times so far)")


def _print_checks(settings: Settings, plan: Mapping[str, Any]) -> None:
    """What was looked at just now: what, how, result and why it matters, what to do if it fails."""
    rows = [(s.get("step"), check) for s in plan.get("steps", []) for check in s.get("prechecks", [])]
    if not rows:
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_lines=False)
    for heading in ("STEP", "WHAT", "HOW", "RESULT, AND WHY IT MATTERS", "IF IT FAILS"):
        table.add_column(heading, overflow="fold")
    for step, check in rows:
        word = {True: "pass", False: "fail"}.get(check.get("ok"), "unknown")
        result = Text(clean(f"{mark_of(word)} {check.get('result')}"), style=style_of(word))
        result.append(clean(f"; {check.get('why')}"), style="")
        cells = (str(step), check.get("what"), check.get("how"), result, check.get("if_failed"))
        table.add_row(*(c if isinstance(c, Text) else clean(c) for c in cells))
    console(settings).print(table)


def _expected(plan: Mapping[str, Any]) -> str:
    p95, rto = plan.get("expected_p95_ms"), plan.get("rto_ms")
    target = "" if rto is None else f"; target (RTO) {seconds(rto / 1000)}"
    if p95 is None:
        return f"time expected: not measured yet{target}"
    unmeasured = plan.get("unmeasured") or []
    without = f" without {', '.join(unmeasured)}" if unmeasured else ""
    p50 = plan.get("expected_p50_ms")
    usual = "" if p50 is None else f"{seconds(p50 / 1000)}, "
    return f"time expected: {usual}95 of 100 within {seconds(p95 / 1000)}{without}{target}"


def _short(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    return "-" if value is None else str(value)
