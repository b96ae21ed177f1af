"""`runbook`: the procedures, and what one of them would do now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from controller.cli import completing
from controller.cli.base import BcmGroup, command
from controller.cli.check import finding_json
from controller.cli.client import Client
from controller.cli.exits import ExitCode
from controller.cli.plan import exit_code_of_plan, print_plan
from controller.cli.settings import Settings, current_settings
from controller.cli.terminal import clean, console, emit
from model.errors import UsageError


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


@command(
    "lint",
    examples=(
        "bcm-failover runbook lint postgresql-failover",
        "bcm-failover runbook lint ./my-failover.yaml --strict",
        "bcm-failover runbook lint postgresql-failover -c estate.yaml --service orders",
    ),
)
@click.argument("runbook_name", metavar="NAME|FILE")
@click.option("--service", help="With -c: judge it for this service too.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
def lint(runbook_name: str, service: str | None, strict: bool) -> int:
    """Find what is wrong with a runbook before it is needed.

    A promotion without a fence, a step that needs the failed site, a time that does not fit the RTO: each
    finding with its line. Exit code 1 with errors.
    """
    settings = current_settings()
    findings = _findings(settings, runbook_name, service)
    items = [finding_json(f) for f in findings]
    body = {"kind": "RunbookFindings", "runbook": runbook_name, "items": items}
    emit(settings, body, lambda _body: _print_findings(runbook_name, [str(f) for f in findings]))
    wrong = [item for item in items if strict or item["severity"] == "error"]
    return ExitCode.FAILED if wrong else ExitCode.OK


runbook.add_command(list_)
runbook.add_command(show)
runbook.add_command(lint)
runbook.add_command(plan)


def _findings(settings: Settings, name: str, service: str | None) -> list[Any]:
    """Raises RunbookError, EstateError, UsageError."""
    from runbooks.library import RunbookFileError, load_runbook, load_runbook_file
    from runbooks.lint import lint as lint_runbook

    estate = None
    if service is not None:
        from config.loader import load_estate

        estate = load_estate(settings.config_path).estate
        if service not in estate.services:
            known = ", ".join(sorted(estate.services))
            raise UsageError(f"no service {service!r} in {settings.config_path}", hint=f"services: {known}")
    try:
        file = Path(name)
        found = load_runbook_file(file) if file.suffix == ".yaml" else load_runbook(name)
    except RunbookFileError as error:
        return list(error.findings)
    return list(lint_runbook(found, estate, service))


def _print_findings(name: str, lines: list[str]) -> None:
    for line in lines:
        click.echo(clean(line))
    click.echo(clean(f"{name}: {len(lines)} finding{'s' * (len(lines) != 1)}"))


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
