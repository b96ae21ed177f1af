"""`drain` and `restore`: one member of a pool is taken out of use, or put back."""

from __future__ import annotations

import click

from controller.cli import completing
from controller.cli.base import command
from controller.cli.client import Client
from controller.cli.settings import current_settings
from controller.cli.switch import WAIT, answer_started

_SERVICE = click.argument("service", shell_complete=completing.services)
_MEMBER = click.argument("member", shell_complete=completing.members)
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Print what would be done; change nothing.")


@command(
    "drain",
    examples=("bcm-failover drain shop web2 --dry-run", "bcm-failover drain shop web2"),
)
@_SERVICE
@_MEMBER
@_DRY_RUN
@WAIT
def drain(service: str, member: str, dry_run: bool, wait: bool) -> int:
    """Take MEMBER of the pool SERVICE out of use: no new requests, and those under way are answered first.

    It stays out until `restore`. Refused where fewer members than the service's minimum would be left.
    """
    return _ask("drain", service, member, dry_run, wait)


@command("restore", examples=("bcm-failover restore shop web2",))
@_SERVICE
@_MEMBER
@_DRY_RUN
@WAIT
def restore(service: str, member: str, dry_run: bool, wait: bool) -> int:
    """Put MEMBER of the pool SERVICE back, once it is seen to work."""
    return _ask("restore", service, member, dry_run, wait)


def _ask(kind: str, service: str, member: str, dry_run: bool, wait: bool) -> int:
    settings = current_settings()
    client = Client.of(settings)
    body = {"member": member, "dry_run": dry_run}
    return answer_started(settings, client, client.post("services", service, kind, body=body), dry_run, wait)
