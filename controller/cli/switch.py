"""`switchover` and `failover`: asks the daemon, then follows what it does."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import click

from controller.cli import completing
from controller.cli.base import command
from controller.cli.client import Client
from controller.cli.follow import follow_started
from controller.cli.settings import Settings, current_settings
from controller.cli.terminal import emit
from model.errors import UsageError

WAIT = click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="Follow it to its end, or return once it has begun.",
)
_DRY_RUN = click.option(
    "--dry-run",
    is_flag=True,
    help="Print every resolved command and each precheck's live result; change nothing.",
)
_SERVICE = click.argument("service", shell_complete=completing.services)


@command(
    "switchover",
    examples=(
        "bcm-failover switchover orders --dry-run",
        "bcm-failover switchover orders --to pg2",
        "sudo bcm-failover switchover orders --to pg2 --person li.wei",
    ),
)
@_SERVICE
@click.option("--to", "to", metavar="MEMBER", shell_complete=completing.members, help="Who becomes primary.")
@_DRY_RUN
@WAIT
def switchover(service: str, to: str | None, dry_run: bool, wait: bool) -> int:
    """Move SERVICE's primary to another member, with both sides alive.

    Follows the execution and prints each step as it ends. Ctrl-C ends the following, not the execution.
    Without --to the preferred member is chosen.
    """
    settings = current_settings()
    client = Client.of(settings)
    body = {"to": to, "dry_run": dry_run}
    return answer_started(
        settings, client, client.post("services", service, "switchover", body=body), dry_run, wait
    )


@command(
    "failover",
    examples=(
        "bcm-failover failover orders --dry-run",
        "bcm-failover failover orders --to pg2",
        'bcm-failover failover orders --override S2 --reason "host pg1 is powered off, I have seen it"',
        "bcm-failover failover orders --no-daemon -c /etc/bcm-failover/estate.yaml --person li.wei",
    ),
)
@_SERVICE
@click.option("--to", "to", metavar="MEMBER", shell_complete=completing.members, help="Who becomes primary.")
@click.option(
    "--override",
    "override",
    metavar="RULE",
    multiple=True,
    help="Go on although this rule is not met (S2, S3, …); needs --reason; stands on page one of the report.",
)
@click.option("--reason", default="", help="Why; lands in the evidence.")
@_DRY_RUN
@WAIT
@click.option(
    "--no-daemon",
    is_flag=True,
    help="Break the glass: run it from here, with no daemon. Same gates, same journal; takes the state lock.",
)
@click.option(
    "--take-over", is_flag=True, help="With --no-daemon: although another process holds the state lock."
)
def failover(
    *,
    service: str,
    to: str | None,
    override: tuple[str, ...],
    reason: str,
    dry_run: bool,
    wait: bool,
    no_daemon: bool,
    take_over: bool,
) -> int:
    """Replace SERVICE's lost primary.

    All gates are judged as for an automatic failover; one that does not pass holds it (exit code 3). Nothing
    is promoted before the old primary can acknowledge no write any more, and with RPO 0 not without proof
    that the new one has every acknowledged write.
    """
    settings = current_settings()
    if override and not reason:
        raise UsageError("--override needs --reason: it lands in the evidence", hint='add --reason "…"')
    if no_daemon:
        return _break_glass(
            settings,
            service=service,
            to=to,
            override=override,
            reason=reason,
            take_over=take_over,
            dry_run=dry_run,
        )
    if take_over:
        raise UsageError("--take-over is for --no-daemon", hint="leave it out, or add --no-daemon -c FILE")
    client = Client.of(settings)
    body = {"to": to, "override": list(override), "reason": reason, "dry_run": dry_run}
    return answer_started(
        settings, client, client.post("services", service, "failover", body=body), dry_run, wait
    )


def answer_started(
    settings: Settings, client: Client, result: Mapping[str, Any], dry_run: bool, wait: bool
) -> int:
    if not dry_run:
        return follow_started(settings, client, result, wait)
    return _show_plan(settings, result)


def _show_plan(settings: Settings, plan: Mapping[str, Any]) -> int:
    from controller.cli.plan import exit_code_of_plan, print_plan

    emit(settings, plan, lambda found: print_plan(settings, found))
    return exit_code_of_plan(plan)


def _break_glass(
    settings: Settings,
    *,
    service: str,
    to: str | None,
    override: tuple[str, ...],
    reason: str,
    take_over: bool,
    dry_run: bool,
) -> int:
    import os

    from config.loader import load_estate
    from controller import breakglass
    from controller.api.people import resolve_caller
    from controller.cli.ownership import become_owner_of

    # Whoever may read the state directory could do it anyway; who it was lands in the evidence.
    estate = load_estate(settings.config_path).estate
    caller = resolve_caller(estate, os.getuid(), settings.person)
    become_owner_of(estate.daemon.state_dir)
    return breakglass.failover(
        settings.config_path,
        service,
        to=to,
        overrides=override,
        reason=reason,
        person=caller.person,
        take_over=take_over,
        show=partial(_show_plan, settings) if dry_run else None,
    )
