"""`action`: what the steps of a runbook can do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click

from controller.cli import completing
from controller.cli.base import BcmGroup, command
from controller.cli.exits import ExitCode
from controller.cli.settings import current_settings
from controller.cli.terminal import clean, emit

_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_CHANGES = {"yes": "changes", "no": "looks", "option": "by options"}


@click.group(
    "action", cls=BcmGroup, examples=("bcm-failover action list", "bcm-failover action show ssh.run")
)
def action() -> None:
    """Actions: what the steps of a runbook can do."""


@command("list", examples=("bcm-failover action list", "bcm-failover action list -o json"))
def list_() -> int:
    """List the actions that are installed.

    An action is an entry point of the group `bcm_failover.actions`: other packages can bring their own.
    """
    from controller.action_types import describe_all

    emit(current_settings(), {"kind": "ActionList", "items": describe_all()}, _print_list)
    return ExitCode.OK


@command(
    "show", examples=("bcm-failover action show ssh.run", "bcm-failover action show http.request -o json")
)
@click.argument("name", shell_complete=completing.actions)
def show(name: str) -> int:
    """Say what the action NAME does: its options, its outputs, its effect, and how it is taken back."""
    from controller.action_types import describe

    emit(current_settings(), {"kind": "Action", **describe(name)}, _print_one)
    return ExitCode.OK


def _print_list(body: Mapping[str, Any]) -> None:
    for item in body["items"]:
        origin = "" if item["from"] == "bcm-failover" else f"  (from {item['from']})"
        click.echo(clean(f"{item['action']:<28} {_CHANGES[item['changes']]:<11} {item['summary']}{origin}"))


def _print_one(body: Mapping[str, Any]) -> None:
    from controller.report.actions_page import behaviour

    click.echo(clean(f"{body['action']}: {body['summary']}\n"))
    if body["about"]:
        click.echo(clean(f"{body['about']}\n"))
    click.echo(clean(f"{behaviour(body)}\n"))
    for option in body["options"]:
        default = "required" if option["required"] else option["default"] or "-"
        kind = _LINK.sub(r"\1", option["type"]).replace("\\|", "|")
        click.echo(clean(f"  {option['name']:<24} {kind:<28} {default}"))
        if option["meaning"]:
            click.echo(clean(f"      {option['meaning']}"))
    if body["output"]:
        click.echo(clean(f"\nOutput: {body['output']}"))


action.add_command(list_)
action.add_command(show)
