"""`runbook`: the procedures, and what one of them would do now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from controller.cli import completing
from controller.cli.base import BcmGroup, command
from controller.cli.client import Client
from controller.cli.exits import ExitCode
from controller.cli.plan import exit_code_of_plan, print_plan
from controller.cli.settings import Settings, current_settings
from controller.cli.terminal import clean, console, emit


@click.group(
    "runbook",
    cls=BcmGroup,
    examples=("bcm-failover runbook list", "bcm-failover runbook plan orders postgresql-failover"),
)
def runbook() -> None:
    """Runbooks: list, show, lint, plan."""


@command("list", examples=("bcm-failover runbook list", "bcm-failover runbook list -o json"))
def list_() -> int:
    """List the runbooks."""
    from runbooks.library import list_runbooks

    settings = current_settings()
    items = [listed.to_json() for listed in list_runbooks()]
    emit(settings, {"kind": "RunbookList", "items": items}, lambda body: _print_list(settings, body))
    return ExitCode.FAILED if any(item["problem"] for item in items) else ExitCode.OK


@command("show", examples=("bcm-failover runbook show postgresql-failover",))
@click.argument("name")
def show(name: str) -> int:
    """Print a runbook as it is written."""
    from runbooks.library import load_runbook, runbook_text

    settings = current_settings()
    text = runbook_text(name)
    body = {"kind": "Runbook", "name": name, "digest": load_runbook(name).digest, "text": text}
    emit(settings, body, lambda _body: click.echo(text, nl=False))
    return ExitCode.OK


@command(
    "plan",
    examples=(
        "bcm-failover runbook plan orders postgresql-failover --to pg2",
        "bcm-failover runbook plan orders postgresql-switchover -o json",
    ),
)
@click.argument("service", shell_complete=completing.services)
@click.argument("runbook_name", metavar="RUNBOOK")
@click.option("--to", "to", metavar="MEMBER", shell_complete=completing.members, help="Who becomes primary.")
def plan(service: str, runbook_name: str, to: str | None) -> int:
    """Print what RUNBOOK would do to SERVICE now.

    Every resolved command, each precheck with its live result, the time that past executions let expect,
    and the gates. Changes nothing. Exit code 3 if a gate would hold it, 1 if a precheck fails.
    """
    settings = current_settings()
    body = Client.of(settings).post("plan", body={"service": service, "runbook": runbook_name, "to": to})
    emit(settings, body, lambda found: print_plan(settings, found))
    return exit_code_of_plan(body)


runbook.add_command(list_)
runbook.add_command(show)
runbook.add_command(plan)


def _print_list(settings: Settings, body: Mapping[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("NAME", "KIND", "ENGINE", "FROM"):
        table.add_column(heading, no_wrap=True)
    table.add_column("WHAT IT DOES")
    for item in body["items"]:
        said = item["problem"] or item["description"]
        table.add_row(*(clean(item[key]) for key in ("name", "kind", "engine", "origin")), clean(said))
    console(settings).print(table)
