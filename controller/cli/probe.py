"""`probe`: the types of probes that are installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from controller.cli.base import BcmGroup, command
from controller.cli.exits import ExitCode
from controller.cli.settings import current_settings
from controller.cli.terminal import emit

_GROUP = "bcm_failover.probes"


@click.group("probe", cls=BcmGroup, examples=("bcm-failover probe list",))
def probe() -> None:
    """The types of probes that are installed."""


@command("list", examples=("bcm-failover probe list", "bcm-failover probe list -o yaml"))
def list_() -> int:
    """List the types of probes and where each comes from.

    A type is an entry point of the group `bcm_failover.probes`: other packages can bring their own.
    """
    from importlib.metadata import entry_points

    items = [
        {"type": point.name, "class": point.value, "from": point.dist.name if point.dist else ""}
        for point in sorted(entry_points(group=_GROUP))
    ]
    emit(current_settings(), {"kind": "ProbeTypeList", "items": items}, _print)
    return ExitCode.OK


def _print(body: Mapping[str, Any]) -> None:
    for item in body["items"]:
        click.echo(f"{item['type']:<20} {item['class']:<50} {item['from']}")


probe.add_command(list_)
