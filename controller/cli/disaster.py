"""`incident declare`, `plan`, `merge`, `split`: disasters that people declare, and what belongs together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from controller.cli import completing
from controller.cli.base import command
from controller.cli.client import Client
from controller.cli.exits import ExitCode
from controller.cli.records import daemon_or_store
from controller.cli.settings import Settings, current_settings
from controller.cli.terminal import clean, console, emit, seconds
from model.errors import UsageError
from model.events import Event

_TIERS: Final = ("natural", "man-made", "external")
_STYLES: Final = {
    "done": "green", "running": "cyan", "approved": "cyan", "asked": "bold yellow", "failed": "bold red",
    "held": "bold red", "waiting": "", "due": "", "partial": "bold red", "stuck": "bold red",
}  # fmt: skip


@command(
    "declare",
    examples=(
        'bcm-failover incident declare --tier natural --scope site:dc1 --reason "the river rises" --dry-run',
        'bcm-failover incident declare --tier natural --scope site:dc1 --reason "the river rises"',
        'bcm-failover incident declare --tier man-made --scope service:orders --reason "rows vanish"',
        'bcm-failover incident declare --tier external --scope service:pay --since 20m --reason "bank out"',
    ),
)
@click.option(
    "--tier",
    type=click.Choice(_TIERS),
    required=True,
    help="natural: the place is lost or will be; man-made: data may be damaged; external: a supplier is out.",
)
@click.option("--scope", required=True, metavar="site:NAME|service:NAME", help="What it concerns.")
@click.option("--reason", required=True, help="Why; stands in the incident and in its report.")
@click.option("--since", metavar="DURATION", help="For how long it has lasted already: 90s, 20m, 2h.")
@click.option("--dry-run", is_flag=True, help="Print what would follow; declare nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def declare(*, tier: str, scope: str, reason: str, since: str | None, dry_run: bool, yes: bool) -> int:
    """Declare a disaster: an incident for a site or a service, in which people decide.

    For what it concerns nothing is done automatically any more until it is closed. natural: each service's
    move to another place is asked for, in the order of the site plan; `approve` answers. man-made and
    external: nothing is switched by itself, and nothing is asked for.
    """
    settings = current_settings()
    body: dict[str, Any] = {"tier": tier, "scope": scope, "reason": reason, "dry_run": dry_run}
    if since is not None:
        body["since"] = since
    if not dry_run and not yes:
        text = f"Declare a {tier} disaster at {scope}? Nothing there is done automatically from then on."
        click.confirm(clean(text), abort=True, err=True)
    answer = Client.of(settings).post("incidents", body=body)
    emit(settings, answer, lambda found: _print_declared(settings, found))
    return ExitCode.OK


@command(
    "plan", examples=("bcm-failover incident plan INC-12", "watch -n 2 bcm-failover incident plan INC-12")
)
@click.argument("incident_id", metavar="ID", shell_complete=completing.incidents)
def plan(incident_id: str) -> int:
    """Show a declared disaster's site plan and how far it has come.

    Of each service: waiting for another one, asked (with the id to approve), running, done, failed, or held
    by which gate. The whole is `partial` where some have moved and the others can't go on.
    """
    settings = current_settings()
    body = daemon_or_store(
        settings,
        lambda: Client.of(settings).get("incidents", incident_id, "plan"),
        lambda events: {"kind": "SitePlan", **_from_store(events, incident_id)},
    )
    emit(settings, body, lambda found: print_plan(settings, found))
    return ExitCode.OK


@command(
    "merge",
    examples=('bcm-failover incident merge INC-12 INC-15 --reason "both are the switch in row 4"',),
)
@click.argument("incident_id", metavar="ID", shell_complete=completing.incidents)
@click.argument("part", metavar="PART", shell_complete=completing.incidents)
@click.option("--reason", required=True, help="Why they are one.")
def merge(incident_id: str, part: str, reason: str) -> int:
    """Make PART a part of incident ID: one timeline, one report, closed together.

    Each keeps its own clock and its own verdict on lost data.
    """
    settings = current_settings()
    body = {"part": part, "reason": reason}
    answer = Client.of(settings).post("incidents", incident_id, "merge", body=body)
    emit(settings, answer, lambda _found: click.echo(clean(f"{part} is a part of {incident_id}")))
    return ExitCode.OK


@command(
    "split",
    examples=('bcm-failover incident split INC-12 --service orders --reason "its disk was full, no flood"',),
)
@click.argument("incident_id", metavar="ID", shell_complete=completing.incidents)
@click.option("--service", required=True, shell_complete=completing.services, help="Whose part goes apart.")
@click.option("--reason", required=True, help="Why it is another matter.")
def split(incident_id: str, service: str, reason: str) -> int:
    """Take a service's part out of incident ID again.

    Out of a declared disaster the service itself goes: it is in its own mode again, and the site plan waits
    for it no longer.
    """
    settings = current_settings()
    body = {"service": service, "reason": reason}
    answer = Client.of(settings).post("incidents", incident_id, "split", body=body)

    def table(found: Mapping[str, Any]) -> None:
        own = f" ({found['part']})" if found.get("part") else ""
        click.echo(clean(f"{service}{own} is no part of {incident_id} any more"))

    emit(settings, answer, table)
    return ExitCode.OK


def _from_store(events: Sequence[Event], incident_id: str) -> dict[str, Any]:
    from controller.disaster.progress import progress_from_events

    found = progress_from_events(events, incident_id)
    if found is None:
        raise UsageError(
            f"{incident_id} has no site plan: it is no declared disaster",
            hint="`bcm-failover incident list` shows which are",
        )
    return found.to_json()


def _print_declared(settings: Settings, body: Mapping[str, Any]) -> None:
    incident = body.get("incident")
    about = f"{body['tier']} disaster at {body['scope']}, level {body['level']}"
    click.echo(
        clean(f"{incident}: {about} declared" if incident else f"dry run, nothing is declared: {about}")
    )
    click.echo(clean(f"concerns: {', '.join(body['services'])}"))
    click.echo(clean(f"what follows: {body['proposal']}: {body['advice']}"))
    for execution in body.get("running", []):
        click.echo(clean(f"goes on to its end: bcm-failover execution show {execution}"))
    print_steps(settings, body["plan"]["steps"])
    print_rest(body["plan"])
    if incident:
        click.echo(clean(f"follow it: bcm-failover incident plan {incident}"))


def _obstacles(step: Mapping[str, Any]) -> str:
    found = [f"{o['gate']}: {o['reason']}" for o in step.get("obstacles", [])]
    return "; ".join(found) or "nothing stops it"


def print_plan(settings: Settings, body: Mapping[str, Any]) -> None:
    """As `GET /v1/incidents/ID/plan` answers."""
    from rich.text import Text

    head = f"{body['incident']}: {body['tier']} disaster at {body['scope']}: {body['state']}"
    console(settings).print(Text(clean(head), style=_STYLES.get(body["state"], "bold")), soft_wrap=True)
    click.echo(clean(f"declared by {body['person']}: {body['reason']}"))
    _print_steps(settings, body["steps"], "STATE")
    for step in body["steps"]:
        if step["state"] == "asked" and step.get("approval"):
            click.echo(clean(f"{step['service']}: bcm-failover approve {step['approval']}"))
    for service in body.get("split_off", []):
        click.echo(clean(f"{service}: split off; it is in its own mode again"))
    print_rest(body)


def print_steps(settings: Settings, steps: Sequence[Mapping[str, Any]]) -> None:
    """Of a plan that nobody carries out yet: what stands in the way as things are."""
    rows = [{**step, "state": _obstacles(step), "why": ""} for step in steps]
    _print_steps(settings, rows, "AS THINGS ARE")


def _print_steps(settings: Settings, steps: Sequence[Mapping[str, Any]], state: str) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not steps:
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("WAVE", "SERVICE", "FROM", "TO", "AFTER", "TAKES"):
        table.add_column(heading, no_wrap=True)
    table.add_column(state)
    for step in steps:
        expected = step.get("expected_ms")
        why = f": {step['why']}" if step.get("why") else ""
        table.add_row(
            str(step["wave"]),
            clean(step["service"]),
            clean(step.get("from") or "?"),
            clean(step.get("to") or "nobody"),
            clean(", ".join(step["after"]) or "-"),
            "not known" if expected is None else seconds(expected / 1000),
            Text(clean(f"{step['state']}{why}"), style=_STYLES.get(step["state"], "")),
        )
    console(settings).print(table)


def print_rest(plan_: Mapping[str, Any]) -> None:
    """Who stays and why, and how long it takes."""
    for staying in plan_.get("staying", []):
        click.echo(clean(f"{staying['service']} stays: {staying['reason']}"))
    if plan_.get("steps"):
        expected = plan_.get("expected_ms")
        took = "not known: no past run of a move" if expected is None else seconds(expected / 1000)
        click.echo(f"the longest chain of moves takes, without the time that people take: {took}")
