"""`execution approve`, `deny`, `confirm`, `retry`, `skip`, `pause`: what people say while one runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from controller.cli import completing
from controller.cli.base import BcmCommand, command
from controller.cli.client import Client
from controller.cli.exits import ExitCode
from controller.cli.settings import current_settings
from controller.cli.terminal import clean, emit

_EXECUTION = click.argument("execution_id", metavar="ID", shell_complete=completing.executions)
_STEP = click.argument("step", metavar="STEP", shell_complete=completing.asking_steps)
_WHY = click.option("--reason", required=True, help="Why; lands in the evidence.")
_COMMENT = click.option("--comment", default="", help="What there is to say of it; lands in the evidence.")

# The words of an answer, and the commands that say them.
_COMMAND_OF: Final = {
    "approval": "approve",
    "manual": "confirm",
    "retry": "retry",
    "skip": "skip",
    "no": "deny",
}


@command("approve", examples=("bcm-failover execution approve EXE-13 go_ahead",))
@_EXECUTION
@_STEP
@_COMMENT
def approve(execution_id: str, step: str, comment: str) -> int:
    """Say yes to a step that waits for approval.

    Whoever began the execution can't approve it, and a person counts once. Where two persons are needed the
    first yes waits for the second (exit code 6). No answer before the step's time-out means no.
    """
    return _say(execution_id, step, {"word": "yes", "kind": "approval", "reason": comment})


@command("confirm", examples=('bcm-failover execution confirm EXE-13 cable --comment "it is in port 7"',))
@_EXECUTION
@_STEP
@_COMMENT
def confirm(execution_id: str, step: str, comment: str) -> int:
    """Say that you have done what a step asks to be done by hand."""
    return _say(execution_id, step, {"word": "yes", "kind": "manual", "reason": comment})


@command("deny", examples=('bcm-failover execution deny EXE-13 go_ahead --reason "the backup still runs"',))
@_EXECUTION
@_STEP
@_WHY
def deny(execution_id: str, step: str, reason: str) -> int:
    """Say no to what a step asks; it fails, and the runbook says what follows."""
    return _say(execution_id, step, {"word": "no", "reason": reason})


@command(
    "retry", examples=('bcm-failover execution retry EXE-13 attached --reason "the disk has room again"',)
)
@_EXECUTION
@_STEP
@_WHY
def retry(execution_id: str, step: str, reason: str) -> int:
    """Try a step again that did not succeed and asks how to go on.

    Where its outcome is not known its effect is looked at first: what is there is not made twice.
    """
    return _say(execution_id, step, {"word": "retry", "reason": reason})


@command("skip", examples=('bcm-failover execution skip EXE-13 verify --reason "the test client is down"',))
@_EXECUTION
@_STEP
@_WHY
def skip(execution_id: str, step: str, reason: str) -> int:
    """Pass over a step that has not begun, that waits for somebody's hand, or that failed and asks.

    What a promotion rests on (fence, proof, look, lock), and an approval, can't be skipped (exit code 3).
    """
    return _say(execution_id, step, {"word": "skip", "reason": reason})


@command("pause", examples=('bcm-failover execution pause EXE-13 --reason "the application team checks"',))
@_EXECUTION
@_WHY
def pause(execution_id: str, reason: str) -> int:
    """Let an execution rest before its next step, until `execution resume`.

    What is at work ends first. A switch rests only where nothing tentative stands: a primary without its
    standbys takes no writes, and would wait as long as you do.
    """
    settings = current_settings()
    answer = Client.of(settings).post("executions", execution_id, "pause", body={"reason": reason})

    def told(found: Mapping[str, Any]) -> None:
        click.echo(clean(f"{execution_id} rests {found.get('rests', 'before the next step')}"))
        click.echo(f"it goes on with: bcm-failover execution resume {execution_id}")

    emit(settings, answer, told)
    return ExitCode.OK


COMMANDS: Final[tuple[BcmCommand, ...]] = (approve, confirm, deny, retry, skip, pause)


def _say(execution: str, step: str, body: Mapping[str, Any]) -> int:
    settings = current_settings()
    answer = Client.of(settings).post("executions", execution, "steps", step, body=body)

    def told(found: Mapping[str, Any]) -> None:
        needs = found.get("needs")
        click.echo(clean(f"{step}: {needs}" if needs else f"{step}: {found.get('word')}"))
        click.echo(clean(f"follow it: bcm-failover execution show {execution} --wait"))

    emit(settings, answer, told)
    return ExitCode.WAITING if answer.get("state") == "waiting_for_approval" else ExitCode.OK


def print_question(out: Any, execution: str, asked: Mapping[str, Any]) -> None:
    """What a step waits for, and how it is answered."""
    from rich.text import Text

    kind, given = str(asked["kind"]), asked.get("given") or []
    agreed = f" ({' and '.join(given)} agreed, {asked['needed']} needed)" if given else ""
    head = f"{asked['step']} waits until {str(asked['expires_utc'])[:19]}{agreed}: {asked['text']}"
    out.print(Text(clean(head), style="bold yellow"), soft_wrap=True)
    words = [_COMMAND_OF[kind if word == "yes" else word] for word in asked["words"]]
    for word in words:
        line = f"  bcm-failover execution {word} {execution} {asked['step']}"
        out.print(
            Text(clean(line if word in ("approve", "confirm") else f'{line} --reason "…"')), soft_wrap=True
        )
