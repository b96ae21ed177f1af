"""`incident`: what happened, how long it took, what was lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from controller.cli import completing
from controller.cli.base import BcmGroup, command
from controller.cli.client import Client
from controller.cli.disaster import declare, merge, plan, split
from controller.cli.exits import ExitCode
from controller.cli.records import as_list, daemon_or_store
from controller.cli.settings import Settings, current_settings
from controller.cli.terminal import clean, console, emit, seconds
from controller.incidents import list_incidents, show_incident
from model.events import Event

_INCIDENT = click.argument("incident_id", metavar="ID", shell_complete=completing.incidents)
_STATE_STYLES = {"open": "bold red", "recovered": "yellow", "closed": "green"}


@click.group(
    "incident",
    cls=BcmGroup,
    examples=("bcm-failover incident list", "bcm-failover incident report INC-12 > INC-12.md"),
)
def incident() -> None:
    """Incidents and their reports.

    They read the store where no daemon answers.
    """


@command("list", examples=("bcm-failover incident list", "bcm-failover incident list --limit 5 -o json"))
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="The newest N.")
def list_(limit: int) -> int:
    """List the newest incidents, the newest first.

    Those that come from one root, as a site that is out, or that people have merged, are one line: `incident
    show` has its parts, each with its own incident.
    """
    settings = current_settings()
    body = daemon_or_store(
        settings,
        lambda: Client.of(settings).get("incidents"),
        lambda events: as_list("IncidentList", list_incidents(events)),
    )
    emit(settings, {**body, "items": body["items"][:limit]}, lambda found: _print_list(settings, found))
    return ExitCode.OK


@command("show", examples=("bcm-failover incident show INC-12", "bcm-failover incident show INC-12 -o json"))
@_INCIDENT
def show(incident_id: str) -> int:
    """Show an incident: diagnosis, clock, verdict on lost data, executions, people."""
    settings = current_settings()
    body = daemon_or_store(
        settings,
        lambda: Client.of(settings).get("incidents", incident_id),
        lambda events: {"kind": "Incident", **show_incident(events, incident_id)},
    )
    emit(settings, body, lambda found: _print(settings, found))
    return ExitCode.OK


@command(
    "report",
    examples=(
        "bcm-failover incident report INC-12 > INC-12.md",
        "bcm-failover incident report INC-12 --lang zh",
        "bcm-failover incident report INC-12 --format json",
    ),
)
@_INCIDENT
@click.option("--format", "format_", type=click.Choice(["md", "json"]), help="md (default) or json.")
@click.option(
    "--lang",
    type=click.Choice(["en", "zh"]),
    default="en",
    show_default=True,
    help="Of the page's own words.",
)
def report(incident_id: str, format_: str | None, lang: str) -> int:
    """Print an incident's report: a page for people, or everything as data.

    Overrides first; then target against actual, diagnosis with the evidence for and against, every decision
    with its gates, each step, the frozen facts, and the head of the journal.
    """
    settings = current_settings()
    data = format_ == "json" or (format_ is None and settings.structured)
    form = "json" if data else "md"
    body = daemon_or_store(
        settings,
        lambda: Client.of(settings).get("incidents", incident_id, "report", format=form, lang=lang),
        lambda events: _made_here(events, incident_id, data, lang),
    )
    if data:
        # --format json alone asks for data too, whatever -o says.
        settings.output = "yaml" if settings.output == "yaml" else "json"
        emit(settings, body, lambda _body: None)
    else:
        click.echo(body["text"], nl=False)
    return ExitCode.OK


@command("acknowledge", examples=('bcm-failover incident acknowledge INC-12 --comment "seen, on it"',))
@_INCIDENT
@click.option("--comment", required=True, help="What the person says to it.")
def acknowledge(incident_id: str, comment: str) -> int:
    """Confirm an open incident and its level, by name. It lands in the record."""
    return _post(incident_id, "acknowledge", {"comment": comment}, "acknowledged")


@command("reported", examples=('bcm-failover incident reported INC-12 --to "Zhao Min, deputy"',))
@_INCIDENT
@click.option("--to", required=True, help="Who was told.")
@click.option("--comment", default="", help="What was said.")
def reported(incident_id: str, to: str, comment: str) -> int:
    """Say that an open incident was reported, as its level asks for."""
    return _post(incident_id, "reported", {"to": to, "comment": comment}, "report noted")


@command(
    "close",
    examples=('bcm-failover incident close INC-12 --reason "pg3 is scrapped, a new one comes in May"',),
)
@_INCIDENT
@click.option("--reason", required=True, help="Why it is closed, or closed without redundancy.")
def close(incident_id: str, reason: str) -> int:
    """Close an incident that is recovered, without waiting for redundancy.

    A declared disaster is ended or withdrawn by it. What works again of its parts is closed with it; an
    outage that it leaves behind goes on as an incident of its own.
    """
    settings = current_settings()
    answer = Client.of(settings).post("incidents", incident_id, "close", body={"reason": reason})

    def table(found: Mapping[str, Any]) -> None:
        plan_ = f", its site plan: {found['plan']}" if found.get("plan") else ""
        click.echo(clean(f"{found.get('incident')}: closed{plan_}"))
        for part in found.get("closed_with_it", []):
            click.echo(clean(f"{part}: closed with it"))
        for part in found.get("still_open", []):
            click.echo(clean(f"{part}: is still open, as an incident of its own"))

    emit(settings, answer, table)
    return ExitCode.OK


def _post(incident_id: str, what: str, body: Mapping[str, Any], said: str) -> int:
    settings = current_settings()
    answer = Client.of(settings).post("incidents", incident_id, what, body=dict(body))
    emit(settings, answer, lambda found: click.echo(clean(f"{found.get('incident')}: {said}")))
    return ExitCode.OK


incident.add_command(list_)
incident.add_command(acknowledge)
incident.add_command(reported)
incident.add_command(close)
incident.add_command(declare)
incident.add_command(plan)
incident.add_command(merge)
incident.add_command(split)
incident.add_command(show)
incident.add_command(report)


def _made_here(events: Sequence[Event], incident_id: str, data: bool, lang: str) -> dict[str, Any]:
    from controller.report import report_json, report_markdown

    if data:
        return report_json(events, incident_id)
    return {"text": report_markdown(events, incident_id, lang)}


def _print_list(settings: Settings, body: Mapping[str, Any]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    if not body["items"]:
        click.echo("no incidents")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("ID", "SERVICE", "LEVEL", "STATE", "DIAGNOSIS", "OPENED", "RTO", "RPO"):
        table.add_column(heading, no_wrap=True)
    for row in body["items"]:
        state = str(row["state"])
        table.add_row(
            clean(row["id"]),
            clean(row["service"] or row.get("scope") or "-") + _with_others(row),
            clean(row["level"]),
            Text(clean(state), style=_STATE_STYLES.get(state, "")),
            clean(row["code"]) + (f" ({row['root']})" if row["root"] else "") + _by_whom(row),
            clean(str(row["opened_utc"])[:19]),
            seconds(row["rto_s"]),
            clean(row["rpo"] or "-"),
        )
    console(settings).print(table)


def _with_others(row: Mapping[str, Any]) -> str:
    """Services that suffer from the same, and other parts of it."""
    suffering = {c["incident"] for c in row["consequences"]}
    others = len(row["consequences"]) + len([p for p in row.get("parts", []) if p not in suffering])
    return f" and {others} more" if others else ""


def _by_whom(row: Mapping[str, Any]) -> str:
    if row.get("tier"):
        return f" ({clean(row['tier'])})"
    return " (by hand)" if row["manual"] else ""


def _print(settings: Settings, body: Mapping[str, Any]) -> None:
    from rich.text import Text

    out = console(settings)

    def line(text: str, style: str = "") -> None:
        out.print(Text(clean(text), style=style), soft_wrap=True)

    state = str(body["state"])
    about = body["service"] or body.get("scope")
    line(f"{body['id']}: {about}: {body['code']} (level {body['level']})", "bold")
    line(f"  {body['sentence']}")
    _print_family(line, body)
    line(f"state: {state}, opened {body['opened_utc']}", _STATE_STYLES.get(state, ""))
    for key in ("recovered_utc", "closed_utc"):
        if body.get(key):
            line(f"  {key.removesuffix('_utc')} {body[key]}")
    if body["root"]:
        line(f"root: {body['root']}", "bold")
    for consequence in body["consequences"]:
        own = f", {consequence['incident']}" if consequence["incident"] else ""
        line(f"  consequence: {consequence['service']} ({consequence['root']}{own})")
    for override in body["overrides"]:
        line(f"OVERRIDDEN: {override['rule']} by {override['person']}: {override['reason']}", "bold red")
    _print_clock(line, body["timings"])
    for verdict in body["verdicts"]:
        line(f"data: {verdict['label']}: {verdict['reason']}", "bold")
        for text in verdict["not_covered"]:
            line(f"  not covered: {text}")
    for execution in body["executions"]:
        line(f"execution: bcm-failover execution show {execution}")
    for duty in body.get("duties", []):
        who = f" by {duty['person']}" if duty["person"] else ""
        line(f"{duty['kind']}{who}: {duty['text']}", "bold red" if duty["kind"] == "missed" else "")
    for page in body["pages"]:
        failed = f", FAILED by {', '.join(page['failed'])}" if page["failed"] else ""
        reached = ", ".join(page["delivered"]) or "nobody yet"
        line(f"page: {page['summary']}: delivered to {reached}{failed}")
    if body["people"]:
        line(f"people: {', '.join(body['people'])}")
    line(f"report: bcm-failover incident report {body['id']}")


def _print_family(line: Any, body: Mapping[str, Any]) -> None:
    """What it is a part of, and its parts; of a declared disaster who has declared it, and the plan."""
    if body.get("part_of"):
        line(f"part of {body['part_of']}: bcm-failover incident show {body['part_of']}")
    suffering = {c["incident"] for c in body["consequences"]}
    for part in body.get("parts", []):
        if part not in suffering:
            line(f"  part: {part}")
    declared = body.get("declared")
    if not declared:
        return
    line(f"{declared['tier']} disaster, declared by {declared['person']}: {declared['reason']}")
    line(f"concerns: {', '.join(declared['services'])}")
    for step in declared["plan"]["steps"]:
        after = f" after {', '.join(step['after'])}" if step["after"] else ""
        line(f"plan: {step['service']} from {step['from'] or '?'} to {step['to'] or 'nobody'}{after}")
    for staying in declared["plan"]["staying"]:
        line(f"plan: {staying['service']} stays: {staying['reason']}")
    line(f"how far it has come: bcm-failover incident plan {body['id']}")


def _print_clock(line: Any, timings: Mapping[str, Any]) -> None:
    about = " (estimated)" if timings["estimated"] else ""
    line(f"time: outage to verified recovery {_observed(timings['rto_s'])}{about}", "bold")
    phases = (f"{k.removesuffix('_s')} {_observed(v)}" for k, v in timings["phases"].items() if v is not None)
    line(f"  {', '.join(phases) or 'no phase observed'}")


def _observed(value: float | None) -> str:
    """What was not observed is said so, and never 0."""
    return "not observed" if value is None else seconds(value)
