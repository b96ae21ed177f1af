"""`execution`: runs of runbooks, open and past."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from controller.adapters.instant import host_now
from controller.cli import completing
from controller.cli import execution_people as people
from controller.cli.base import BcmGroup, command
from controller.cli.client import Client
from controller.cli.exits import ExitCode
from controller.cli.follow import Follower, exit_code_of_execution, follow_started, print_end, print_step
from controller.cli.records import as_list, daemon_or_store
from controller.cli.settings import Settings, current_settings
from controller.cli.switch import WAIT
from controller.cli.terminal import clean, console, emit, seconds, style_of
from controller.execution_clock import execution_now
from controller.executions import list_executions

_EXECUTION = click.argument("execution_id", metavar="ID", shell_complete=completing.executions)


@click.group(
    "execution",
    cls=BcmGroup,
    examples=(
        "bcm-failover execution list",
        "bcm-failover execution show EXE-13 --wait",
        "bcm-failover execution approve EXE-13 go_ahead",
    ),
)
def execution() -> None:
    """Runs of runbooks, open and past.

    `list` and `show` read the store where no daemon answers.
    """


@command("list", examples=("bcm-failover execution list", "bcm-failover execution list -o json"))
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The newest N.")
def list_(limit: int) -> int:
    """List the newest executions, the newest first."""
    settings = current_settings()
    body = daemon_or_store(
        settings,
        lambda: Client.of(settings).get("executions"),
        lambda events: as_list("ExecutionList", list_executions(events)),
    )
    emit(settings, {**body, "items": body["items"][:limit]}, lambda found: _print_list(settings, found))
    return ExitCode.OK


@command("show", examples=("bcm-failover execution show EXE-13", "bcm-failover execution show EXE-13 --wait"))
@_EXECUTION
@click.option("--wait", is_flag=True, help="Follow it to its end; the exit code is then that of its outcome.")
def show(execution_id: str, wait: bool) -> int:
    """Show every step of an execution: commands, outcome, time and what it found."""
    settings = current_settings()
    client = Client.of(settings)
    if wait:
        client.get("executions", execution_id)
        return Follower(settings, client).follow(execution_id)
    body = daemon_or_store(
        settings,
        lambda: client.get("executions", execution_id),
        lambda events: {"kind": "Execution", **execution_now(events, execution_id, host_now())},
    )
    emit(settings, body, lambda found: _print(settings, found))
    return ExitCode.OK


@command(
    "log",
    examples=(
        "bcm-failover execution log EXE-13",
        "bcm-failover execution log EXE-13 --format md > exe-13.md",
        "bcm-failover execution log EXE-13 --format jsonl | jq 'select(.outcome == \"failed\")'",
    ),
)
@_EXECUTION
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "jsonl", "md"]),
    default="text",
    show_default=True,
    help="text: for a terminal; jsonl: one object a record; md: a page for the review.",
)
def log(execution_id: str, format_: str) -> int:
    """Print everything that the journal holds of an execution.

    Every step with who and when (on the wall, and from T0), its commands and resolved inputs with secrets
    masked, its output, outcome, and time against its budget. Long texts are cut; the step names the file that
    has them whole, where there is one.
    """
    from controller.execution_log import as_jsonl, as_markdown, as_text, execution_log

    settings = current_settings()
    body = daemon_or_store(
        settings,
        lambda: Client.of(settings).get("executions", execution_id, "log"),
        lambda events: {"kind": "ExecutionLog", **execution_log(events, execution_id).to_json()},
    )
    if settings.structured:
        emit(settings, body, lambda _body: None)
        return ExitCode.OK
    for line in {"text": as_text, "jsonl": as_jsonl, "md": as_markdown}[format_](body):
        click.echo(line if format_ == "jsonl" else clean(line))
    return ExitCode.OK


@command("resume", examples=("bcm-failover execution resume EXE-13",))
@_EXECUTION
@click.option("--reason", default="", help="Why; lands in the evidence.")
@WAIT
def resume(execution_id: str, reason: str, wait: bool) -> int:
    """Go on with an execution that is paused, or that stopped in the state `unknown`.

    The effect of an open step is looked at first; nothing is done twice.
    """
    settings = current_settings()
    client = Client.of(settings)
    started = client.post("executions", execution_id, "resume", body={"reason": reason})
    return follow_started(settings, client, {"execution": execution_id, **started}, wait=wait)


@command("reconcile", examples=("bcm-failover execution reconcile EXE-13",))
@_EXECUTION
def reconcile(execution_id: str) -> int:
    """Look at what the steps without a recorded outcome have left behind.

    Each step's own check says done, not done or unknown, and what a resumption would make of it. Changes
    nothing. Exit code 4 if one can't be seen.
    """
    settings = current_settings()
    body = Client.of(settings).get("executions", execution_id, "reconcile")
    emit(settings, body, lambda found: _print_found(settings, found))
    unseen = any(item["effect"] == "unknown" for item in body["items"])
    return ExitCode.UNKNOWN if unseen else ExitCode.OK


@command("abort", examples=('bcm-failover execution abort EXE-13 --reason "wrong member"',))
@_EXECUTION
@click.option("--reason", required=True, help="Why; lands in the evidence.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Follow it to its end.")
def abort(execution_id: str, reason: str, wait: bool) -> int:
    """Stop an execution and take back what was tentative.

    After the point of no return (a promotion) nothing can be taken back: the daemon then says so and goes on.
    """
    settings = current_settings()
    client = Client.of(settings)
    answer = client.post("executions", execution_id, "abort", body={"reason": reason})
    if not wait:
        emit(settings, answer, lambda _found: click.echo(clean(f"{execution_id} is being aborted")))
        return ExitCode.OK
    code = Follower(settings, client).follow(execution_id)
    # Aborted and taken back is what was asked for.
    state = client.get("executions", execution_id).get("state")
    return ExitCode.OK if state == "undone" else code


for _one in (list_, show, log, resume, abort, reconcile, *people.COMMANDS):
    execution.add_command(_one)


def clock_line(clock: Mapping[str, Any]) -> str:
    """How much of the RTO is used, and what is left of it."""
    used = f"{seconds(clock['elapsed_s'])} of the RTO of {seconds(clock['rto_s'])} since {clock['since']}"
    left = clock["left_s"]
    return f"{used}: {seconds(left)} left" if left >= 0 else f"{used}: {seconds(-left)} over"


def _print_list(settings: Settings, body: Mapping[str, Any]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not body["items"]:
        click.echo("no executions")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("ID", "SERVICE", "RUNBOOK", "MODE", "STATE", "OPENED", "TOOK", "BY", "INCIDENT"):
        table.add_column(heading, no_wrap=True)
    for row in body["items"]:
        state = str(row["state"])
        table.add_row(
            clean(row["id"]),
            clean(row["service"]),
            clean(row["runbook"]),
            clean(row["mode"]),
            Text(clean(state), style=style_of(state)),
            clean(str(row["opened_utc"])[:19]),
            seconds(row["took_s"]),
            clean(row["actor"]),
            clean(row["incident"] or "-"),
        )
    console(settings).print(table)


def _print_found(settings: Settings, body: Mapping[str, Any]) -> None:
    from rich.text import Text

    out = console(settings)
    if not body["items"]:
        out.print(Text(clean(f"{body['execution']}: every step's outcome is recorded")))
    for item in body["items"]:
        word = {"done": "pass", "not_done": "fail"}.get(item["effect"], "unknown")
        said = item["effect"].replace("_", " ")
        head = f"{item['step']} ({item['action']}, attempt {item['attempt']}): {said}: {item['detail']}"
        out.print(Text(clean(head), style=style_of(word)), soft_wrap=True)
        out.print(Text(clean(f"    recorded: {item['left']}; a resumption: {item['would']}")), soft_wrap=True)


def _print(settings: Settings, body: Mapping[str, Any]) -> None:
    from rich.text import Text

    out = console(settings)
    mode = "" if body["mode"] == "real" else f" ({body['mode']})"
    head = f"{body['id']}: {body['runbook']}{mode} on {body['service']}"
    head += f", {body['opened_utc']}, by {body['actor']}"
    out.print(Text(clean(head), style="bold"), soft_wrap=True)
    clock = body.get("clock")
    if clock:
        out.print(
            Text(clean(clock_line(clock)), style="bold red" if clock["left_s"] < 0 else ""), soft_wrap=True
        )
    if body.get("continues"):
        out.print(Text(clean(f"goes on with what {body['continues']} began")), soft_wrap=True)
    for text in body.get("resumed", []):
        out.print(Text(clean(f"resumed: {text}")), soft_wrap=True)
    if body.get("abort_requested"):
        out.print(Text(clean(f"abort requested: {body['abort_requested']}")), soft_wrap=True)
    if body.get("pause"):
        out.print(Text(clean(f"pause requested: {body['pause']}")), soft_wrap=True)
    for step in body["steps"]:
        print_step(out, step)
        for attempt in step["attempts"][-1:]:
            for line in attempt["commands"]:
                out.print(Text(clean(f"{'':<12}$ {line}"), style="dim"), soft_wrap=True)
        for said in step.get("said", []):
            why = f": {said['reason']}" if said["reason"] else ""
            out.print(Text(clean(f"{'':<12}{said['person']} said {said['word']}{why}")), soft_wrap=True)
    for asked in body.get("asks", []):
        people.print_question(out, body["id"], asked)
    if body["closed_utc"] or exit_code_of_execution(body) is ExitCode.UNKNOWN:
        print_end(settings, body)
    else:
        out.print(Text(clean(f"{body['id']} is {body['state']}"), style=style_of(str(body["state"]))))
