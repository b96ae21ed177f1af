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
from controller.cli.follow import follow_started
from controller.cli.plan import exit_code_of_plan, print_plan
from controller.cli.settings import Settings, current_settings
from controller.cli.switch import WAIT
from controller.cli.terminal import clean, console, emit
from model.errors import BcmError, UsageError

_TO = click.option(
    "--to", "to", metavar="MEMBER", shell_complete=completing.members,
    help="Who becomes primary; of other runbooks the member that it is about.",
)  # fmt: skip
_VAR = click.option(
    "--var", "var", metavar="NAME=VALUE", multiple=True, help="A variable of the runbook; values as in YAML."
)


@click.group(
    "runbook",
    cls=BcmGroup,
    examples=("bcm-failover runbook list", "bcm-failover runbook plan orders postgresql-failover"),
)
def runbook() -> None:
    """Runbooks: list, show, lint, plan, run, and copies to edit.

    Your own, in the directories that the estate names (`daemon.runbook_dirs`), come before the shipped ones.
    """


@command("list", examples=("bcm-failover runbook list", "bcm-failover runbook list -o json"))
def list_() -> int:
    """List the runbooks."""
    from runbooks.library import list_runbooks

    settings = current_settings()
    items = [listed.to_json() for listed in list_runbooks(settings.runbook_dirs)]
    emit(settings, {"kind": "RunbookList", "items": items}, lambda body: _print_list(settings, body))
    return ExitCode.FAILED if any(item["problem"] for item in items) else ExitCode.OK


@command("show", examples=("bcm-failover runbook show postgresql-failover",))
@click.argument("name")
def show(name: str) -> int:
    """Print a runbook as it is written."""
    from runbooks.library import load_runbook, runbook_text

    settings = current_settings()
    dirs = settings.runbook_dirs
    text = runbook_text(name, dirs)
    body = {"kind": "Runbook", "name": name, "digest": load_runbook(name, dirs).digest, "text": text}
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
@_TO
@_VAR
def plan(service: str, runbook_name: str, to: str | None, var: tuple[str, ...]) -> int:
    """Print what RUNBOOK would do to SERVICE now.

    Every resolved command, each precheck with its live result, the time that past executions let expect,
    and the gates. Changes nothing. Exit code 3 if a gate would hold it, 1 if a precheck fails.
    """
    settings = current_settings()
    asked = {"service": service, "runbook": runbook_name, "to": to, "vars": variables(var)}
    body = Client.of(settings).post("plan", body=asked)
    emit(settings, body, lambda found: print_plan(settings, found))
    return exit_code_of_plan(body)


@command(
    "run",
    examples=(
        "bcm-failover runbook run orders postgresql-failback --to pg1 --dry-run",
        "bcm-failover runbook run orders move-storage --var array=a7 --reason CHG-1234",
    ),
)
@click.argument("service", shell_complete=completing.services)
@click.argument("runbook_name", metavar="RUNBOOK")
@_TO
@_VAR
@click.option("--reason", default="", help="Why; lands in the evidence.")
@click.option("--dry-run", is_flag=True, help="Print the plan and the gates; change nothing.")
@WAIT
def run(
    *,
    service: str,
    runbook_name: str,
    to: str | None,
    var: tuple[str, ...],
    reason: str,
    dry_run: bool,
    wait: bool,
) -> int:
    """Run RUNBOOK for SERVICE.

    One that moves the primary passes the gates of its kind, as `failover` and `switchover` do. Every other
    one needs that nothing else is executed for the service. It is linted first, and four eyes hold for all.
    """
    settings = current_settings()
    client = Client.of(settings)
    body = {
        "runbook": runbook_name, "to": to, "vars": variables(var), "reason": reason, "dry_run": dry_run,
    }  # fmt: skip
    answer = client.post("services", service, "run", body=body)
    if not dry_run:
        return follow_started(settings, client, answer, wait)
    emit(settings, answer, lambda found: print_plan(settings, found))
    return exit_code_of_plan(answer)


@command(
    "new",
    examples=(
        "bcm-failover runbook new --from postgresql-failover",
        "bcm-failover runbook new orders-failover --from postgresql-failover --dir .",
    ),
)
@click.argument("name", required=False)
@click.option("--from", "from_", required=True, metavar="NAME", help="The runbook to copy.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    help="Where to; by default the first of the estate's `daemon.runbook_dirs`.",
)
def new(name: str | None, from_: str, directory: Path | None) -> int:
    """Copy a runbook to edit.

    Without NAME the copy is called like the original and, in one of the estate's directories, takes its place
    from the next reload on. Nothing is overwritten.
    """
    from runbooks.library import copy_of, load_runbook_file

    settings = current_settings()
    dirs = settings.runbook_dirs
    target = directory or next(iter(dirs), None)
    if target is None:
        raise UsageError(
            "nobody says where the copy is to stand",
            hint="--dir DIR, or `daemon: {runbook_dirs: [DIR]}` in the estate (-c)",
        )
    called = name or from_
    text, path = copy_of(from_, called, dirs), target / f"{called}.yaml"
    try:
        target.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"can't write the copy: {error.strerror}", where=str(path)) from error
    body = {"kind": "RunbookCopy", "path": str(path), "digest": load_runbook_file(path).digest}

    def told(_body: Mapping[str, Any]) -> None:
        click.echo(clean(f"{path} is a copy of {from_}"))
        click.echo(clean(f"edit it, then: bcm-failover runbook lint {path}; bcm-failover reload"))
        if target not in dirs:
            click.echo(clean(f"to use it, name {target} in `daemon.runbook_dirs` of the estate"))

    emit(settings, body, told)
    return ExitCode.OK


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


for _one in (list_, show, lint, plan, run, new):
    runbook.add_command(_one)


def variables(given: tuple[str, ...]) -> dict[str, Any]:
    """`name=value`; a value is read as YAML, so that numbers, lists and true are what they look like. Raises
    UsageError."""
    if not given:
        return {}
    import yaml

    found: dict[str, Any] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not equals or not name:
            raise UsageError(f"{one!r} is no variable", hint="write --var name=value")
        if name in found:
            raise UsageError(f"the variable {name!r} is given twice")
        try:
            found[name] = yaml.safe_load(text) if text else ""
        except yaml.YAMLError as error:
            hint = "quote it: 'name=\"a: b\"'"
            raise UsageError(f"the value of {name!r} can't be read", hint=hint) from error
    return found


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
        own = file.suffix == ".yaml"
        found = load_runbook_file(file) if own else load_runbook(name, settings.runbook_dirs)
    except RunbookFileError as error:
        return list(error.findings)
    return list(lint_runbook(found, estate, service, expected=_past(settings, found.name, service)))


def _past(settings: Settings, runbook: str, service: str | None) -> Mapping[str, Any]:
    """How long its steps took for a service, by this host's journal; nothing where none can be read."""
    if service is None:
        return {}
    from controller.executions import expected_durations
    from controller.store.reader import read_events

    try:
        events = read_events(settings.state_path, service=service)
    except BcmError:
        return {}
    return expected_durations(events, runbook, mode="real")


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
