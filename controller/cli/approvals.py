"""`approve` and `reject`: the answers to what somebody else has asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

import click

from controller.cli import completing
from controller.cli.base import command
from controller.cli.client import Client
from controller.cli.exits import ExitCode
from controller.cli.follow import follow_started
from controller.cli.settings import current_settings
from controller.cli.switch import WAIT
from controller.cli.terminal import clean, emit

# An approved execution opens at the service's next judgement, a fraction of a second away.
_BEGINS_WITHIN_S: Final = 5.0

_APPROVAL = click.argument("approval", shell_complete=completing.approvals)


@command(
    "approve",
    examples=("bcm-failover approve APR-orders-1", "bcm-failover status  # lists what waits, and for whom"),
)
@_APPROVAL
@WAIT
def approve(approval: str, wait: bool) -> int:
    """Say yes to what somebody else has asked for.

    Whoever asked can't approve it, and a person counts once. Where two persons are needed the first yes waits
    for the second (exit code 6). An approval that was not given in time means no.
    """
    settings = current_settings()
    client = Client.of(settings)
    known = {e["id"] for e in client.get("executions")["items"]}
    given = client.post("approvals", approval)
    if wait and given.get("state") == "approved":
        given["execution"] = _opened_since(client, known, given.get("service"))
    return follow_started(settings, client, given, wait)


@command(
    "reject", examples=('bcm-failover reject APR-orders-1 --reason "the storage comes back in five minutes"',)
)
@_APPROVAL
@click.option("--reason", required=True, help="Why not; a record, like the no itself.")
def reject(approval: str, reason: str) -> int:
    """Say no to what somebody else has asked for, or take back what you asked for.

    One no ends it. The same is not asked again in this incident until the member, the level or the diagnosis
    is another.
    """
    settings = current_settings()
    answer = Client.of(settings).post("approvals", approval, "reject", body={"reason": reason})

    def table(found: Mapping[str, Any]) -> None:
        click.echo(clean(str(found.get("needs") or f"{approval} is refused")))

    emit(settings, answer, table)
    return ExitCode.OK


def _opened_since(client: Client, known: set[str], service: object) -> str | None:
    """The execution that the approval let begin; None if none does: the gates are judged again first."""
    until = time.monotonic() + _BEGINS_WITHIN_S
    while time.monotonic() < until:
        for execution in client.get("executions")["items"]:
            if execution["id"] not in known and execution["service"] == service:
                return str(execution["id"])
        time.sleep(0.1)
    return None
