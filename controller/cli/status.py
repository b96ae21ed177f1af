"""`status`: every service and its members, once or once a second."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from controller.cli.base import command
from controller.cli.client import Client
from controller.cli.exits import ExitCode, UnreachableError
from controller.cli.settings import Settings, current_settings
from controller.cli.terminal import clean, console, emit, seconds, size, structured, style_of

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

_EVERY_S: Final = 1.0
_NAMED: Final = 6
_DOT: Final = {"up": "●", "suspect": "◐", "down": "✗", "unknown": "?"}


@command(
    "status",
    examples=(
        "bcm-failover status",
        "bcm-failover status --watch",
        "bcm-failover status -o json | jq '.services[] | {name, health, primary}'",
    ),
)
@click.option("--watch", is_flag=True, help="Show it again every second, until Ctrl-C.")
def status(watch: bool) -> int:
    """Show every service and its members.

    For each service: its health, its primary, what it may do by itself (mode), the open incident, and for
    each member its role, health, lag behind the primary and the age of the last reading. A reading that is
    stale says `unknown`, never `down`.
    """
    settings = current_settings()
    client = Client.of(settings)
    if watch:
        _watch(settings, client)
    emit(settings, client.get("status"), lambda body: console(settings).print(render(body)))
    return ExitCode.OK


def _watch(settings: Settings, client: Client) -> None:
    """Ends only by Ctrl-C. A daemon that does not answer is shown as such; it may come back."""
    if settings.structured or not sys.stdout.isatty():
        for body in _readings(client):
            if settings.structured:
                click.echo(structured(settings, body))
            else:
                console(settings).print(render(body))
            sys.stdout.flush()
    from rich.live import Live

    with Live(console=console(settings), auto_refresh=False, vertical_overflow="visible") as live:
        for body in _readings(client):
            live.update(render(body), refresh=True)


def _readings(client: Client) -> Iterator[dict[str, Any]]:
    body: dict[str, Any] | None = None
    while True:
        try:
            body = client.get("status")
        except UnreachableError as error:
            if body is None:
                raise
            body = {**body, "unreachable": f"{error.what}: what follows is the last answer"}
        yield body
        time.sleep(_EVERY_S)


def render(body: Mapping[str, Any]) -> Group:
    from rich.console import Group

    parts: list[Any] = [_daemon_line(body)]
    services = body.get("services", [])
    parts.append(_table(services) if services else _text("no services in the estate"))
    parts += [_root(root) for root in body.get("roots", [])]
    parts += [line for service in services for line in _remarks(service)]
    incidents = body.get("incidents_open", [])
    parts += [_incident(lead, parts_of) for lead, parts_of in _by_lead(incidents)]
    parts += [_declared(probe) for probe in body.get("probes", []) if probe.get("health") != "up"]
    parts += [_warning(warning) for warning in body.get("warnings", [])]
    parts += [_approval(approval) for approval in body.get("approvals", [])]
    return Group(*parts)


def _daemon_line(body: Mapping[str, Any]) -> Text:
    daemon = body.get("daemon", {})
    leads, journal_ok = bool(daemon.get("leader")), bool(daemon.get("journal_ok"))
    words = [
        f"bcm-failover {daemon.get('version', '?')}",
        "leader" if leads else "NOT leading: it observes and pages, and acts on nothing",
        f"epoch {daemon.get('epoch', '?')}",
        "journal ok" if journal_ok else "JOURNAL NOT USABLE: it acts on nothing",
        f"up {seconds(daemon.get('uptime_s'))}",
    ]
    line = _text(" · ".join(words), "" if leads and journal_ok else "bold red")
    for problem in (daemon.get("why_not_leader"), daemon.get("journal_problem")):
        if problem:
            line.append(f"\n{clean(problem)}", "red")
    if daemon.get("estate_error"):
        line.append(
            f"\nthe estate was not reloaded, the old one is in force: {clean(daemon['estate_error'])}", "red"
        )
    if body.get("unreachable"):
        line.append(f"\n{clean(body['unreachable'])}", "bold red")
    return line


def _table(services: list[Mapping[str, Any]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("SERVICE", "HEALTH", "PRIMARY", "MODE", "INCIDENT"):
        table.add_column(heading, no_wrap=True)
    for heading in ("MEMBER", "ROLE", "SITE", "STATE", "LAG", "SYNC", "AGE"):
        table.add_column(heading, no_wrap=True, justify="right" if heading in ("LAG", "AGE") else "left")
    for service in services:
        health = str(service.get("health", "unknown"))
        head = [
            _text(service.get("name")),
            _text(health, style_of(health)),
            _text(service.get("primary") or "?"),
            _mode(service),
            _text(service.get("incident") or "-", "bold red" if service.get("incident") else ""),
        ]
        for member in service.get("members") or [{}]:
            table.add_row(*head, *_member_cells(member, service))
            head = [_text("")] * 5
    return table


def _mode(service: Mapping[str, Any]) -> Text:
    if service.get("paused"):
        return _text(f"{service.get('mode')} (paused)", "yellow")
    if service.get("blocked"):
        return _text(f"{service.get('mode')} (blocked)", "yellow")
    return _text(service.get("mode"))


def _member_cells(member: Mapping[str, Any], service: Mapping[str, Any]) -> list[Text]:
    health = str(member.get("health", "unknown"))
    primary = member.get("name") == service.get("primary")
    age_ms = member.get("age_ms")
    return [
        _text(member.get("name"), "bold" if primary else ""),
        _role(member, primary),
        _text(member.get("site")),
        _text(f"{_DOT.get(health, '?')} {health}", style_of(health)),
        _text("-" if primary else size(member.get("lag_bytes"))),
        _text("-" if primary else member.get("sync_state") or "-"),
        _text(seconds(None if age_ms is None else age_ms / 1000)),
    ]


def _left(left_s: float) -> str:
    return f"{seconds(left_s)} left" if left_s >= 0 else f"{seconds(-left_s)} beyond the end"


def _role(member: Mapping[str, Any], primary: bool) -> Text:
    """What it is now. The estate's `primary` that has handed over is a standby like others; a member that
    takes writes although another is primary is told loudly."""
    if primary:
        return _text("primary")
    if member.get("in_recovery") is False and member.get("health") == "up":
        return _text("NOT A STANDBY", "bold red")
    return _text("standby" if member.get("role") == "primary" else member.get("role"))


def _remarks(service: Mapping[str, Any]) -> Iterator[Text]:
    """What a person should know beyond the table."""
    name = service.get("name")
    if service.get("code") and (service.get("health") != "up" or service.get("incident")):
        yield _text(f"{name}: {service['code']}: {service.get('sentence', '')}", "bold")
    for member in service.get("members", []):
        if member.get("health") != "up" and member.get("why"):
            yield _text(f"{name}/{member.get('name')}: {member['why']}")
        if member.get("retired"):
            yield _text(f"{name}/{member.get('name')}: was primary, has to be rejoined", "yellow")
    if service.get("health") == "up" and str(service.get("tolerance", "")).startswith("would not"):
        yield _text(f"{name}: {service['tolerance']}", "yellow")
    readiness = service.get("readiness") or {}
    if readiness.get("verdict") == "partial" and not service.get("incident"):
        yield _text(f"{name}: partly ready: {readiness['why']}", "yellow")
    if service.get("paused"):
        yield _text(f"{name}: {service['paused']} (end it: bcm-failover resume {name})", "yellow")
    if service.get("blocked"):
        advice = f'bcm-failover acknowledge {name} --comment "…"'
        yield _text(f"{name}: blocked: {service['blocked']} (allow it again: {advice})", "yellow")
    if service.get("execution"):
        left_ms = service.get("execution_left_ms")
        left = "" if left_ms is None else f", {_left(left_ms / 1000)} of the RTO"
        show = f"bcm-failover execution show {service['execution']}"
        yield _text(f"{name}: {service['execution']} is running{left}: {show}")


def _root(root: Mapping[str, Any]) -> Text:
    """What services suffer from, before what each of them says."""
    services = [str(service) for service in root.get("services", [])]
    more = f" and {len(services) - _NAMED} more" if len(services) > _NAMED else ""
    suffer = f"{', '.join(services[:_NAMED])}{more}"
    text = f"{root.get('key')}: {root.get('code')}: {root.get('sentence')} It takes along: {suffer}"
    return _text(text, "bold red")


def _by_lead(incidents: list[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Each incident that is not the consequence of another open one, with the ids of those that are."""
    known = {incident.get("id") for incident in incidents}
    parts: dict[Any, list[str]] = {}
    for incident in incidents:
        if incident.get("part_of") in known:
            parts.setdefault(incident["part_of"], []).append(str(incident.get("id")))
    return [(i, parts.get(i.get("id"), [])) for i in incidents if i.get("part_of") not in known]


def _incident(incident: Mapping[str, Any], parts: list[str]) -> Text:
    """How grave it is, for how long, and what people still owe it."""
    with_ = f" with {', '.join(parts)}" if parts else ""
    words = [f"{incident.get('id')}{with_} ({_concerned(incident)}): level {incident.get('level')}"]
    if incident.get("elapsed_s") is not None:
        words.append(f"{seconds(incident['elapsed_s'])} since the outage")
    if incident.get("commander"):
        words.append(f"commander: {incident['commander']}")
    who = incident.get("acknowledged")
    words.append(f"acknowledged by {who}" if who else "not acknowledged")
    missed = incident.get("missed") or []
    words += [f"{what} is OVERDUE" for what in missed]
    words += [_due(due) for due in incident.get("due") or [] if due.get("what") not in missed]
    return _text(" · ".join(words), "bold red" if missed else "yellow")


def _due(due: Mapping[str, Any]) -> str:
    by = "by" if due.get("what") == "confirmation" else "to"
    return f"{due.get('what')} {by} the {due.get('office')} due in {seconds(max(0, due.get('left_s') or 0))}"


def _concerned(incident: Mapping[str, Any]) -> str:
    if incident.get("tier"):
        plan = incident.get("plan") or {}
        moved = f", {plan['moved']} of {plan['of']} moved: {plan['state']}" if plan.get("of") else ""
        return f"{incident['tier']} disaster at {incident.get('scope')}{moved}"
    return str(incident.get("service"))


def _declared(probe: Mapping[str, Any]) -> Text:
    """One that is not as it should be; the others would only be noise."""
    health = str(probe.get("health"))
    flapping = ", flapping" if probe.get("flapping") else ""
    why = probe.get("detail") or probe.get("why") or ""
    text = f"probe {probe.get('name')} ({probe.get('about')}): {health}{flapping}: {why}"
    return _text(text, style_of(health))


def _warning(warning: Mapping[str, Any]) -> Text:
    """Nothing is out yet."""
    since = str(warning.get("since", ""))[:16].replace("T", " ")
    source = f", says {warning['source']}" if warning.get("source") else ""
    about = f"{warning.get('about')}{source}"
    text = f"{warning.get('code')} ({about}): {warning.get('sentence')}, since {since} UTC"
    return _text(text, "yellow")


def _approval(approval: Mapping[str, Any]) -> Text:
    left = seconds(approval.get("expires_in_s"))
    what = approval.get("what") or approval.get("runbook") or ""
    needs = f"; {approval['needs']}" if approval.get("needs") else ""
    return _text(
        f"{approval.get('service')} waits for approval: {what}, asked for by {approval.get('requester')}, "
        f"{left} left{needs}: bcm-failover approve {approval.get('id')}",
        "bold yellow",
    )


def _text(value: object, style: str = "") -> Text:
    from rich.text import Text

    return Text(clean(value), style=style)
