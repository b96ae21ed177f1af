"""`journal`: is it what was written, and how to go on if it is not."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from controller.cli.base import BcmGroup, command
from controller.cli.exits import ExitCode
from controller.cli.settings import current_settings
from controller.cli.terminal import clean, emit
from model.errors import UsageError


@click.group(
    "journal",
    cls=BcmGroup,
    examples=("bcm-failover journal verify", "bcm-failover journal export > journal.jsonl"),
)
def journal() -> None:
    """The journal: verify, export, repair.

    These read the store itself (--state-dir), whether a daemon runs or not: as root or the daemon's user.
    """


@command("verify", examples=("bcm-failover journal verify", "bcm-failover journal verify -o json"))
def verify() -> int:
    """Check every record, the chain of hashes and the anchors.

    Exit code 1 with problems. What the state directory alone can't show (journal and anchor both replaced)
    the heads in the system log, in closed reports and in their signatures do.
    """
    from controller.store.verify import verify as verify_journal

    settings = current_settings()
    _must_be_there(settings.state_path)
    report = verify_journal(settings.state_path)
    emit(settings, {"kind": "JournalVerification", **report.to_json()}, _print_verification)
    return ExitCode.OK if report.ok else ExitCode.FAILED


@command(
    "export",
    examples=(
        "bcm-failover journal export > journal.jsonl",
        "bcm-failover journal export --to /backup/journal.jsonl",
    ),
)
@click.option("--to", "to", type=click.Path(path_type=Path), help="Write to this new file instead of stdout.")
def export(to: Path | None) -> int:
    """Print every record with its hash, one JSON object a line, as stored.

    Whoever has the lines can check the chain without this product: a record's hash is SHA-256 over the
    canonical JSON of all its other fields.
    """
    from controller.store.reader import export_jsonl

    settings = current_settings()
    _must_be_there(settings.state_path)
    if to is None:
        export_jsonl(settings.state_path, sys.stdout)
        return ExitCode.OK
    try:
        with to.open("x", encoding="utf-8") as out:
            count = export_jsonl(settings.state_path, out)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise UsageError(
            f"can't write the export: {error.strerror}", where=str(to), hint="name a new file"
        ) from error
    click.echo(f"{count} records written to {to}")
    return ExitCode.OK


@command(
    "repair",
    examples=(
        'bcm-failover journal repair --person li.wei --reason "disk replaced, tail lost, see TICKET-7"',
    ),
)
@click.option("--reason", required=True, help="Why; becomes part of the new journal's first record.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def repair(reason: str, yes: bool) -> int:
    """Begin a new journal in place of one that can't be trusted.

    Nothing is deleted: the old files are moved aside and stay evidence. The daemon must not be running.
    --person says who does it.
    """
    from controller.cli.ownership import become_owner_of
    from controller.store.repair import seal_and_restart

    settings = current_settings()
    if not settings.person:
        raise UsageError("a repair needs a person", hint="add --person ID: it lands in the new journal")
    _must_be_there(settings.state_path)
    if not yes:
        click.confirm(f"Seal the journal in {settings.state_path} and begin a new one?", abort=True)
    become_owner_of(settings.state_path)
    first = seal_and_restart(settings.state_path, settings.person, reason)
    body = {"kind": "JournalRepair", **first.to_json()}
    emit(settings, body, lambda _body: _print_repair(settings.state_path, first.data))
    return ExitCode.OK


journal.add_command(verify)
journal.add_command(export)
journal.add_command(repair)


def _must_be_there(state_dir: Path) -> None:
    """A wrong path must not look like an empty journal."""
    if not state_dir.is_dir():
        raise UsageError(
            "there is no such state directory",
            where=str(state_dir),
            hint="name it with --state-dir DIR or -c FILE",
        )


def _print_verification(body: Mapping[str, Any]) -> None:
    for problem in body["problems"]:
        click.echo(clean(problem))
    anchored = "" if body["anchored_seq"] is None else f", anchored up to {body['anchored_seq']}"
    if body["ok"]:
        click.echo(f"ok: {body['records']} records, the last is {body['last_seq']}{anchored}")
        click.echo(f"head {body['head_hash']}")
    else:
        click.echo(f"NOT what was written: the last good record is {body['last_good_seq']}{anchored}")
        click.echo("keep the files; to go on: bcm-failover journal repair --help")


def _print_repair(state_dir: Path, data: Mapping[str, Any]) -> None:
    click.echo(clean(f"the old files are in {state_dir / str(data.get('sealed'))}; a new journal has begun"))
    click.echo("start the daemon: systemctl start bcm-failover")
