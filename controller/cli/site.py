"""`site leave`, `site return`: planned work at a whole site, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from controller.cli import completing
from controller.cli.base import BcmGroup, command
from controller.cli.client import Client
from controller.cli.disaster import print_rest, print_steps
from controller.cli.exits import ExitCode
from controller.cli.settings import Settings, current_settings
from controller.cli.site_move import Move, carry_out, exit_code_of_moves, verdict
from controller.cli.terminal import clean, console, emit, seconds

_SITE = click.argument("name", metavar="SITE", shell_complete=completing.sites)
_DRY_RUN = click.option(
    "--dry-run", is_flag=True, help="Print who would move where, after whom; move nobody."
)
_YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
_STYLES = {
    "moved": "green", "done": "green", "asked": "bold yellow", "held": "bold red", "failed": "bold red",
    "partial": "bold red", "stuck": "bold red", "waits": "",
}  # fmt: skip


@click.group(
    "site",
    cls=BcmGroup,
    examples=("bcm-failover site leave dc1 --dry-run", "bcm-failover site return dc1"),
)
def site() -> None:
    """Move every service away from a site, or back.

    For planned work: a power test, a firmware night. A site that is lost is declared instead:
    `bcm-failover incident declare --tier natural`.
    """


@command("leave", examples=("bcm-failover site leave dc1 --dry-run", "bcm-failover site leave dc1 --yes"))
@_SITE
@_DRY_RUN
@_YES
def leave(name: str, dry_run: bool, yes: bool) -> int:
    """Move every primary away from SITE, by planned switchovers.

    A service moves after those that it depends on; those that need none of each other move at once. Each goes
    through its own gates and approvals. The whole is `done`, `partial` (some have moved, and the others are
    held: by which gate is said), `asked` (somebody must approve) or `stuck`. Given again, the command goes on
    with those that have not moved.
    """
    return _move(name, back=False, dry_run=dry_run, yes=yes)


@command("return", examples=("bcm-failover site return dc1 --dry-run", "bcm-failover site return dc1 --yes"))
@_SITE
@_DRY_RUN
@_YES
def return_(name: str, dry_run: bool, yes: bool) -> int:
    """Move those services back whose home is SITE (a member there has the role `primary`).

    In the same order and through the same gates as `site leave`: a service whose members there do not stream
    yet is held, and moved by the same command later.
    """
    return _move(name, back=True, dry_run=dry_run, yes=yes)


site.add_command(leave)
site.add_command(return_)


def _move(name: str, *, back: bool, dry_run: bool, yes: bool) -> int:
    settings = current_settings()
    client = Client.of(settings)
    plan = client.get("sites", name, "plan", direction="return" if back else "leave")
    if dry_run or not plan["steps"]:
        emit(settings, plan, lambda found: _print_plan(settings, found))
        return ExitCode.OK
    if not settings.structured:
        _print_plan(settings, plan)
    if not yes:
        count = len(plan["steps"])
        click.confirm(f"Move {count} service{'s' * (count != 1)}?", abort=True, err=True)

    def tell(move: Move) -> None:
        if not settings.structured:
            _print_move(settings, move)

    moves = carry_out(client, plan["steps"], tell)
    whole = verdict(moves)
    body = {**plan, "kind": "SiteMove", "state": whole, "moves": [move.to_json() for move in moves]}
    emit(settings, body, lambda found: _print_verdict(settings, found, name, back=back))
    return exit_code_of_moves(moves)


def _print_plan(settings: Settings, plan: Mapping[str, Any]) -> None:
    verb = "come back to" if plan["direction"] == "return" else "leave"
    click.echo(clean(f"{len(plan['steps'])} would {verb} {plan['site']}"))
    print_steps(settings, plan["steps"])
    print_rest(plan)


def _print_move(settings: Settings, move: Move) -> None:
    from rich.text import Text

    to = f" to {move.to}" if move.to else ""
    took = "" if move.took_s is None else f" in {seconds(move.took_s)}"
    how = f": bcm-failover approve {move.approval}" if move.approval else ""
    why = f": {move.why}" if move.why else ""
    by = f" ({move.execution})" if move.execution else ""
    text = f"{move.service} {move.state}{to}{took}{by}{how or why}"
    console(settings).print(Text(clean(text), style=_STYLES[move.state]), soft_wrap=True)


def _print_verdict(settings: Settings, body: Mapping[str, Any], name: str, *, back: bool) -> None:
    from rich.text import Text

    states = [move["state"] for move in body["moves"]]
    text = f"{body['state']}: {states.count('moved')} of {len(states)} have moved"
    console(settings).print(Text(text, style=_STYLES[body["state"]]), soft_wrap=True)
    if body["state"] != "done":
        again = f"bcm-failover site {'return' if back else 'leave'} {name}"
        click.echo(clean(f"go on with the others: {again}"))
