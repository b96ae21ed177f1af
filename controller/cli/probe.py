"""`probe`: the types that are installed, and one attempt of a probe with everything that it saw."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

import click

from controller.cli import completing
from controller.cli.base import BcmGroup, command
from controller.cli.client import Client
from controller.cli.exits import ExitCode
from controller.cli.settings import Settings, current_settings
from controller.cli.terminal import clean, console, emit, style_of

_EXITS: Final = {"succeeded": ExitCode.OK, "failed": ExitCode.FAILED, "unknown": ExitCode.UNKNOWN}
_LONGEST_FACT: Final = 200


@click.group(
    "probe", cls=BcmGroup, examples=("bcm-failover probe list", "bcm-failover probe run orders/pg1 --debug")
)
def probe() -> None:
    """Probes: the types that are installed, and a look through one of them."""


@command(
    "list",
    examples=("bcm-failover probe list", "bcm-failover probe list http", "bcm-failover probe list -o yaml"),
)
@click.argument("type_", metavar="[TYPE]", required=False)
def list_(type_: str | None) -> int:
    """List the types of probes, or the options of one TYPE.

    A type is an entry point of the group `bcm_failover.probes`: other packages can bring their own.
    """
    from controller.probe_types import describe, describe_all

    settings = current_settings()
    if type_ is None:
        emit(settings, {"kind": "ProbeTypeList", "items": describe_all()}, _print_types)
    else:
        emit(settings, {"kind": "ProbeType", **describe(type_)}, _print_type)
    return ExitCode.OK


@command(
    "run",
    examples=(
        "bcm-failover probe run orders-web --debug",
        "bcm-failover probe run orders/pg1 --count 5",
        "bcm-failover probe run node/db1 --type icmp -o json",
    ),
)
@click.argument("name", shell_complete=completing.probes)
@click.option("--type", "type_", metavar="TYPE", help="Only the probe of this type.")
@click.option("--debug", is_flag=True, help="Show every step, with its time.")
@click.option("--count", type=click.IntRange(1, 1000), default=1, help="Attempts, one after the other.")
@click.option("--every", type=click.FloatRange(0, 3600), default=1.0, help="Seconds between two attempts.")
def run(name: str, type_: str | None, debug: bool, count: int, every: float) -> int:
    """Make one attempt of the probe NAME now, in the daemon, and show what it saw.

    NAME is a declared probe, or what is watched: SERVICE/MEMBER, node/NAME, reference/HOST:PORT. The attempt
    is apart from the schedule and changes no health. Exit code 0 if it succeeded, 1 if it failed, 4 if it
    could not be found out.
    """
    settings = current_settings()
    worst = ExitCode.OK
    for number in range(count):
        if number:
            time.sleep(every)
        body = Client.of(settings, timeout_s=60).post("probes", "run", body={"name": name, "type": type_})
        emit(settings, body, lambda found: _print_run(settings, found, debug))
        for attempt in body.get("attempts", []):
            code = _EXITS.get(str(attempt.get("outcome")), ExitCode.UNKNOWN)
            worst = code if worst is ExitCode.OK or code is ExitCode.FAILED else worst
    return worst


def _print_types(body: Mapping[str, Any]) -> None:
    for item in body["items"]:
        click.echo(f"{item['type']:<18} {item['layer']:<12} {item['summary']}" + _origin(item))


def _origin(item: Mapping[str, Any]) -> str:
    return "" if item["from"] == "bcm-failover" else f"  (from {item['from']})"


def _print_type(body: Mapping[str, Any]) -> None:
    click.echo(f"{body['type']} ({body['layer']}): {body['summary']}\n")
    for option in body["options"]:
        default = "required" if option["required"] else option["default"] or "-"
        click.echo(clean(f"  {option['name']:<22} {option['type']:<28} {default}"))
        if option["meaning"]:
            click.echo(clean(f"      {option['meaning']}"))
    if body["facts"]:
        click.echo(f"\n{body['facts']}")


def _print_run(settings: Settings, body: Mapping[str, Any], debug: bool) -> None:
    from rich.text import Text

    out = console(settings)
    for attempt in body.get("attempts", []):
        outcome = str(attempt.get("outcome"))
        failure = f" ({attempt['failure']})" if attempt.get("failure") else ""
        took = f"{attempt.get('latency_us', 0) / 1000:.2f} ms"
        text = f"{body.get('name')} {attempt.get('type')}: {outcome}{failure} after {took}"
        if attempt.get("detail"):
            text += f": {attempt['detail']}"
        out.print(Text(clean(text), style=style_of(outcome)), soft_wrap=True)
        if not debug:
            continue
        for step in attempt.get("steps", []):
            out.print(Text(clean(f"  {step['at_us'] / 1000:9.2f} ms  {step['text']}")), soft_wrap=True)
        for key, value in (attempt.get("facts") or {}).items():
            shown = json.dumps(value, ensure_ascii=False)
            cut = shown if len(shown) <= _LONGEST_FACT else shown[:_LONGEST_FACT] + "…"
            out.print(Text(clean(f"  fact {key} = {cut}")), soft_wrap=True)


probe.add_command(list_)
probe.add_command(run)
