"""The `bcm-failover` command: which commands there are, and what the shell gets back."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from controller.cli.base import PROGRAM, BcmGroup, PipeClosedError
from controller.cli.exits import ApiError, ExitCode, error_json, exit_code_of
from controller.cli.settings import Settings, settings_of
from model.errors import BcmError, HeldError

_HERE: Final = "controller.cli"
_COMMANDS: Final = {
    "run": (f"{_HERE}.run:run", "Run the daemon: watch, decide, act."),
    "check": (f"{_HERE}.check:check", "Find everything that is wrong in an estate."),
    "schema": (f"{_HERE}.check:schema", "Print the estate's JSON Schema."),
    "init": (f"{_HERE}.init:init", "Write a starter estate, or print the SQL for its roles."),
    "status": (f"{_HERE}.status:status", "Show every service and its members."),
    "explain": (f"{_HERE}.explain:explain", "Say what would happen now, and which gate would stop it."),
    "inspect": (f"{_HERE}.inspect:inspect", "Make every check once, now, and say what to do."),
    "switchover": (f"{_HERE}.switch:switchover", "Move the primary, with both sides alive."),
    "drain": (f"{_HERE}.pool:drain", "Take a member of a pool out of use."),
    "restore": (f"{_HERE}.pool:restore", "Put a member of a pool back."),
    "site": (f"{_HERE}.site:site", "Move every service away from a site, or back."),
    "failover": (f"{_HERE}.switch:failover", "Replace a lost primary."),
    "pause": (f"{_HERE}.hands:pause", "Keep hands off a service for a while."),
    "resume": (f"{_HERE}.hands:resume", "End a pause."),
    "acknowledge": (f"{_HERE}.hands:acknowledge", "Allow automatic failovers again after one has happened."),
    "approve": (f"{_HERE}.approvals:approve", "Say yes to what somebody else has asked for."),
    "reject": (f"{_HERE}.approvals:reject", "Say no to it."),
    "incident": (f"{_HERE}.incident:incident", "Incidents and their reports."),
    "execution": (f"{_HERE}.execution:execution", "Runs of runbooks, open and past."),
    "runbook": (f"{_HERE}.runbook:runbook", "Runbooks: list, show, lint, plan."),
    "action": (f"{_HERE}.action:action", "Actions: what the steps of a runbook can do."),
    "journal": (f"{_HERE}.journal:journal", "The journal: verify, export, repair."),
    "probe": (f"{_HERE}.probe:probe", "Probes: their types, and one attempt with all that it saw."),
    "simulate": (
        f"{_HERE}.simulate:simulate",
        "Break things in a virtual world, and see what is done.",
    ),
    "reload": (f"{_HERE}.hands:reload", "Read the estate again, or keep the old one and say why."),
    "demo": ("controller.demo.command:demo", "Fail over a real three-node PostgreSQL on this machine."),
    "completion": (f"{_HERE}.completion:completion", "Print the shell's completion script."),
}


@click.group(
    PROGRAM,
    cls=BcmGroup,
    lazy=_COMMANDS,
    root=True,
    examples=(
        "bcm-failover demo --fault crash",
        "bcm-failover check /etc/bcm-failover/estate.yaml",
        "bcm-failover status --watch",
        "bcm-failover switchover orders --to pg2 --dry-run",
    ),
)
@click.version_option(package_name="bcm-failover", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Takes a business service from outage to recovered, proven and written up.

    Exit codes: 0 ok; 1 findings or failed; 2 usage; 3 held by a gate; 4 the outcome is unknown; 5 no daemon
    answers; 6 waiting for approval.
    """
    settings_of(ctx)


def main(args: Sequence[str] | None = None) -> int:
    """Exit code. Nothing that goes wrong reaches a user as a traceback, unless BCM_DEBUG=1 asks for it."""
    settings = Settings()
    try:
        code = _run(args, settings)
        sys.stdout.flush()
    except (PipeClosedError, BrokenPipeError):
        # Whoever read us has gone. What is still buffered must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    return code


def _run(args: Sequence[str] | None, settings: Settings) -> int:
    try:
        result = cli.main(args, prog_name=PROGRAM, standalone_mode=False, obj=settings)
        return result if isinstance(result, int) else ExitCode.OK
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except BcmError as error:
        _show(error, settings)
        return exit_code_of(error)
    except (PipeClosedError, BrokenPipeError):
        raise
    except Exception as error:  # noqa: BLE001 the last line of defence: the user gets a sentence
        if os.environ.get("BCM_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        click.echo(
            f"{PROGRAM}: an error of its own: {type(error).__name__}: {' '.join(str(error).split())}\n"
            "  what to do: please report this, with the output of the same command under BCM_DEBUG=1",
            err=True,
        )
        return ExitCode.FAILED


def _show(error: BcmError, settings: Settings) -> None:
    """What happened, where and what to do, on stderr; with -o json or yaml the same as data on stdout."""
    from controller.cli.terminal import clean, structured

    if settings.structured:
        click.echo(structured(settings, {"error": error_json(error)}))
    # `problems` of an estate, `findings` of a runbook: each with its line.
    for problem in (*getattr(error, "problems", ()), *getattr(error, "findings", ())):
        click.echo(clean(problem), err=True)
    gate = error.gate if isinstance(error, HeldError | ApiError) else None
    held = f"held by the gate `{gate}`: " if gate else ""
    where = f"{error.where}: " if error.where else ""
    click.echo(clean(f"{PROGRAM}: {where}{held}{error.what}"), err=True)
    if error.hint:
        click.echo(clean(f"  what to do: {error.hint}"), err=True)


if __name__ == "__main__":
    sys.exit(main())
