"""What people tell the daemon: `pause`, `resume`, `acknowledge`, `reload`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from controller.cli import completing
from controller.cli.base import command
from controller.cli.client import Client
from controller.cli.exits import ExitCode
from controller.cli.settings import current_settings
from controller.cli.terminal import clean, emit

_SERVICE = click.argument("service", shell_complete=completing.services)


@command(
    "pause",
    examples=(
        'bcm-failover pause orders --for 2h --reason "storage firmware"',
        'bcm-failover pause orders --for 30m --reason "restart after a configuration change"',
    ),
)
@_SERVICE
@click.option("--for", "duration", required=True, metavar="DURATION", help="How long: 90s, 30m, 2h, 1d.")
@click.option("--reason", required=True, help="Why; everybody who looks at the status sees it.")
def pause(service: str, duration: str, reason: str) -> int:
    """Keep hands off SERVICE for a while.

    Nothing is done to it automatically until the pause ends by itself or by `resume`; it is still watched.
    """
    return _tell(("services", service, "pause"), {"for": duration, "reason": reason}, f"{service} is paused")


@command("resume", examples=("bcm-failover resume orders",))
@_SERVICE
@click.option("--reason", default="", help="Why.")
def resume(service: str, reason: str) -> int:
    """End SERVICE's pause."""
    return _tell(
        ("services", service, "resume"), {"reason": reason}, f"{service} is watched and acted on again"
    )


@command(
    "acknowledge",
    examples=('bcm-failover acknowledge orders --comment "power supply replaced, redundancy is back"',),
)
@_SERVICE
@click.option("--comment", required=True, help="What was found and done.")
def acknowledge(service: str, comment: str) -> int:
    """Allow SERVICE automatic failovers again after one has happened.

    After an automatic failover a service is blocked from another one until redundancy is back or a person
    says, with a comment, that the cause is known. Back to the member that lost the primary's role it goes by
    itself only after `no_return`, or after this.
    """
    return _tell(
        ("services", service, "acknowledge"), {"comment": comment}, f"{service} is no longer blocked"
    )


@command("reload", examples=("bcm-failover reload",))
def reload() -> int:
    """Make the daemon read its estate again.

    An estate that can't be used is refused, and the old one stays in force. SIGHUP (systemctl reload) does
    the same.
    """
    return _tell(("reload",), {}, "the estate was read again and is in force")


def _tell(path: tuple[str, ...], body: Mapping[str, Any], done: str) -> int:
    settings = current_settings()
    answer = Client.of(settings).post(*path, body=body)

    def table(found: Mapping[str, Any]) -> None:
        until = f" until {found['until']}" if found.get("until") else ""
        click.echo(clean(f"{done}{until}"))
        for warning in found.get("warnings", []):
            click.echo(clean(warning))

    emit(settings, answer, table)
    return ExitCode.OK
