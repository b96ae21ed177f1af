"""`inspect`: every check once, now, in words for an operator."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import click

from controller.cli import completing
from controller.cli.base import command
from controller.cli.client import Client
from controller.cli.exits import ExitCode
from controller.cli.settings import Settings, current_settings
from controller.cli.terminal import clean, console, emit, say
from model.errors import BcmError, UsageError

# The slowest check has a minute; what waits before it may be another inspection.
_PATIENCE_S: Final = 300.0
# Below this many columns there is no room for a column of how it was looked at.
_WIDE: Final = 140
# A person who waits longer than this wants to see that something happens.
_QUIET_S: Final = 1.0
_LOOK_S: Final = 0.25
_STYLES: Final = {
    "ok": "green", "warning": "yellow", "failed": "bold red", "unknown": "yellow", "skipped": "dim",
}  # fmt: skip
_FINDINGS: Final = ("failed", "warning", "unknown")
_EXITS: Final = {"failed": ExitCode.FAILED, "warning": ExitCode.FAILED, "unknown": ExitCode.UNKNOWN}
Json = Mapping[str, Any]


@command(
    "inspect",
    examples=(
        "bcm-failover inspect",
        "bcm-failover inspect orders --since",
        "bcm-failover inspect --format md > inspection.md",
        "bcm-failover inspect -o json | jq '.rows[] | select(.result == \"failed\")'",
        "bcm-failover inspect --no-daemon -c /etc/bcm-failover/estate.yaml",
    ),
)
@click.argument("service", required=False, shell_complete=completing.services)
@click.option("--since", is_flag=True, help="Only what has changed since the last inspection in the journal.")
@click.option("--format", "format_", type=click.Choice(["table", "md"]), help="table (default) or md.")
@click.option(
    "--no-daemon", is_flag=True, help="From this process, with the daemon dead; -c names the estate."
)
def inspect(service: str | None, since: bool, format_: str | None, no_daemon: bool) -> int:
    """Make every check once, now, and say what to do.

    Of the whole estate, or of SERVICE with its members, nodes and probes: probes, readiness for a failover,
    access to every node, host keys, room, clocks, runbooks, secrets, the journal, and whether anybody is
    told. For each: what was looked at and how, what was found, why it matters and what to do. Changes
    nothing. Exit code 1 with findings, 4 if something could not be found out and nothing else is wrong.
    """
    settings = current_settings()
    body = _directly(settings, service) if no_daemon else _by_daemon(settings, service)
    if format_ == "md":
        click.echo(markdown(body, since_only=since), nl=False)
    else:
        emit(settings, body, lambda found: _print(settings, found, since))
    return _EXITS.get(str(body.get("worst")), ExitCode.OK)


def _by_daemon(settings: Settings, service: str | None) -> Json:
    client = Client.of(settings, timeout_s=_PATIENCE_S)

    def ask() -> Json:
        return client.post("inspections", body={"service": service})

    if not sys.stderr.isatty():
        return ask()
    return _with_progress(ask, lambda: Client.of(settings, timeout_s=1.0).get("inspections", "progress"))


def _directly(settings: Settings, service: str | None) -> Json:
    from controller import estate_file
    from controller.inspection.direct import inspect_directly
    from controller.logs import configure_logging

    if settings.config is None and not settings.config_path.exists():
        raise UsageError("an inspection without a daemon needs the estate", hint="name it with -c FILE")
    loaded = estate_file.load(settings.config_path)
    configure_logging()
    state = {"done": 0, "total": 0}

    def progressed(done: int, total: int) -> None:
        state.update(done=done, total=total)

    def make() -> Json:
        found = asyncio.run(inspect_directly(loaded, service, progressed))
        return {"kind": "Inspection", **found}

    return _with_progress(make, lambda: dict(state)) if sys.stderr.isatty() else make()


def _with_progress(work: Callable[[], Json], look: Callable[[], Json]) -> Json:
    """On a terminal: after a second it says how far it is."""
    answer: list[Json] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            answer.append(work())
        except BaseException as error:  # noqa: BLE001  # raised again below, in the thread that waits
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True, name="inspection")
    began_s = time.monotonic()
    thread.start()
    thread.join(_QUIET_S)
    shown = False
    while thread.is_alive():
        try:
            state = look()
        except BcmError:
            state = {}
        shown = True
        elapsed = f"{time.monotonic() - began_s:.0f} s"
        click.echo(
            f"\rinspecting: {state.get('done', 0)} of {state.get('total', '?')} checks, {elapsed} ",
            err=True,
            nl=False,
        )
        thread.join(_LOOK_S)
    if shown:
        click.echo("\r\x1b[K", err=True, nl=False)
    if failed:
        raise failed[0]
    return answer[0]


def _print(settings: Settings, body: Json, since_only: bool) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    out = console(settings)
    if since_only:
        _print_since(settings, body.get("since"))
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_lines=False)
    wide = out.width >= _WIDE
    for heading in ("RESULT", "ABOUT", "WHAT", *(["HOW"] if wide else []), "FOUND"):
        table.add_column(heading, overflow="fold")
    for row in body.get("rows", []):
        result = str(row.get("result"))
        found = Text(clean(row.get("text")))
        if result in _FINDINGS:
            if not wide:
                found.append(f"\nlooked at: {clean(row.get('how'))}", "dim")
            found.append(f"\nwhy it matters: {clean(row.get('why'))}", "dim")
            found.append(f"\nwhat to do: {clean(row.get('todo'))}", "bold")
        how = [clean(row.get("how"))] if wide else []
        mark = Text(result, style=_STYLES.get(result, ""))
        table.add_row(mark, clean(row.get("about")), clean(row.get("what")), *how, found)
    out.print(table)
    out.print(Text(_summary(body)), soft_wrap=True)


def _print_since(settings: Settings, since: Json | None) -> None:
    from rich.text import Text

    out = console(settings)
    if since is None:
        say("there is no earlier inspection in the journal to compare with")
        return
    out.print(Text(f"since {clean(since.get('at'))}:"), soft_wrap=True)
    for word, style in (("new", "bold red"), ("changed", "yellow"), ("gone", "green")):
        for finding in since.get(word, []):
            out.print(Text(clean(_finding(word, finding)), style=style), soft_wrap=True)
    if not any(since.get(word) for word in ("new", "changed", "gone")):
        out.print("nothing has changed")


def _finding(word: str, finding: Json) -> str:
    was = f" (was {finding['was']})" if finding.get("was") else ""
    return f"{word}: {finding.get('result')}{was}: {finding.get('about')}: {finding.get('text')}"


def _summary(body: Json) -> str:
    counts = body.get("counts") or {}
    told = ", ".join(f"{counts[word]} {word}" for word in (*_FINDINGS, "ok", "skipped") if counts.get(word))
    scope = f" of {body['scope']}" if body.get("scope") else ""
    return clean(
        f"inspection{scope}: {told or 'nothing to look at'}, in {body.get('took_ms', 0) / 1000:.1f} s"
    )


def markdown(body: Json, *, since_only: bool = False) -> str:
    """A page for a ticket or a wiki."""
    scope = f" of {_cell(body['scope'])}" if body.get("scope") else ""
    lines = [f"# Inspection{scope}", "", _summary(body), ""]
    if not since_only:
        lines += _table(
            ("result", "about", "what", "how", "found", "why it matters", "what to do"),
            [
                [row.get(k) for k in ("result", "about", "what", "how", "text", "why", "todo")]
                for row in body.get("rows", [])
            ],
        )
    since = body.get("since")
    if since is not None:
        lines += ["", f"## Since {_cell(since.get('at'))}", ""]
        changes = [
            [word, finding.get("result"), finding.get("about"), finding.get("text")]
            for word in ("new", "changed", "gone")
            for finding in since.get(word, [])
        ]
        lines += (
            _table(("change", "result", "about", "found"), changes) if changes else ["Nothing has changed."]
        )
    return "\n".join(lines) + "\n"


def _table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    head = [f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    return head + [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]


def _cell(value: Any) -> str:
    """On one line, and a bar in it ends no cell."""
    return " ".join(clean(value).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
