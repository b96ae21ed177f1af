"""Follows an execution to its end and prints each step as it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import click

from controller.cli.client import Client
from controller.cli.exits import ExitCode, OutcomeUnknownError, UnreachableError
from controller.cli.settings import Settings
from controller.cli.terminal import clean, console, mark_of, say, seconds, structured, style_of

if TYPE_CHECKING:
    from rich.status import Status

_WAIT_S: Final = 10.0
# A daemon that was restarted resumes what was open; after this long somebody has to look.
_PATIENCE_S: Final = 15.0
_LOOK_AGAIN_S: Final = 0.5
_ENDED: Final = frozenset({"succeeded", "failed", "unknown", "skipped", "undone"})
_EXIT_BY_STATE: Final = {"succeeded": ExitCode.OK, "unknown": ExitCode.UNKNOWN}


class Follower:
    """Prints what it has not printed yet."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings = settings
        self._client = client
        self._console = console(settings)
        self._printed: set[tuple[str, str, int]] = set()

    def follow(self, execution: str) -> ExitCode:
        """Until it is closed. Ctrl-C ends the following, never the execution."""
        try:
            with self._live() as status:
                body = self._to_the_end(execution, status)
        except KeyboardInterrupt:
            say(
                f"{execution} goes on in the daemon; follow: bcm-failover execution show {execution} --wait; "
                f'take it back: bcm-failover execution abort {execution} --reason "…"'
            )
            raise
        if self._settings.structured:
            click.echo(structured(self._settings, body))
        else:
            print_end(self._settings, body)
        return exit_code_of_execution(body)

    def _to_the_end(self, execution: str, status: Status | None) -> dict[str, Any]:
        last_seq, lost_since_s = 0, None
        while True:
            body = self._next(execution, last_seq, _WAIT_S if lost_since_s is None else _LOOK_AGAIN_S)
            self._print_new(body)
            news, last_seq = int(body["last_seq"]) > last_seq, int(body["last_seq"])
            if body.get("closed_utc") is not None:
                return body
            # Whoever ran it is gone. A daemon that starts resumes it: waited for, though not for ever.
            lost = body.get("state") == "unknown"
            if not lost or news or lost_since_s is None:
                lost_since_s = time.monotonic() if lost else None
            elif time.monotonic() - lost_since_s > _PATIENCE_S:
                return body
            running = [step["id"] for step in body.get("steps", []) if step.get("state") == "running"]
            if status is not None:
                status.update(clean(", ".join(running) or "…"))

    def _next(self, execution: str, after: int, wait_s: float) -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._client.get("executions", execution, wait_s=wait_s, after=after)
            except UnreachableError as error:
                if time.monotonic() > until:
                    raise OutcomeUnknownError(
                        f"the daemon went away while {execution} was running",
                        where=execution,
                        hint=f"a daemon that starts resumes it: bcm-failover execution show {execution}",
                    ) from error
                time.sleep(0.2)

    def _print_new(self, body: Mapping[str, Any]) -> None:
        for step in body.get("steps", []):
            key = (str(step["id"]), str(step.get("state")), len(step.get("attempts", [])))
            if step.get("state") not in _ENDED or key in self._printed:
                continue
            self._printed.add(key)
            if not self._settings.structured:
                print_step(self._console, step)

    def _live(self) -> AbstractContextManager[Status | None]:
        if self._settings.structured or not sys.stdout.isatty():
            return nullcontext()
        return self._console.status("…")


def print_step(out: Any, step: Mapping[str, Any]) -> None:
    """One line: mark, step, time, what it did."""
    from rich.text import Text

    state = str(step.get("state"))
    tried = step.get("undo") if state == "undone" else None
    tried = tried or (step.get("attempts") or [{}])[-1]
    said = tried.get("detail") or tried.get("reason") or ""
    took = "" if tried.get("took_s") is None else seconds(tried["took_s"])
    mark = mark_of(state)
    again = len(step.get("attempts", []))
    times = f" (attempt {again})" if again > 1 else ""
    line = Text(f"{mark:<9}" if mark.isalpha() else f"{mark} ", style=style_of(state))
    line.append(clean(f"{step.get('id', ''):<16} {took:>9}  {said}{times}"), style="")
    out.print(line, soft_wrap=True)


def print_end(settings: Settings, body: Mapping[str, Any]) -> None:
    from rich.text import Text

    state = str(body.get("state"))
    took = body.get("took_s")
    after = "" if took is None else f" after {seconds(took)}"
    why = f": {body['reason']}" if body.get("reason") else ""
    out = console(settings)
    out.print(Text(clean(f"{body.get('id')} {state}{after}{why}"), style=style_of(state)), soft_wrap=True)
    if state == "undone":
        say("everything tentative was taken back: nothing is changed")
    if state == "unknown":
        open_steps = ", ".join(body.get("open_steps", [])) or "a step"
        again = f"bcm-failover execution resume {body.get('id')}"
        say(f"the effect of {open_steps} can't be seen: look, then {again}")
    if body.get("incident"):
        say(f"report: bcm-failover incident report {body['incident']}")


def exit_code_of_execution(body: Mapping[str, Any]) -> ExitCode:
    return _EXIT_BY_STATE.get(str(body.get("state")), ExitCode.FAILED)


def follow_started(settings: Settings, client: Client, started: Mapping[str, Any], wait: bool) -> ExitCode:
    """After a request that starts an execution, or that has to be approved first."""
    approval = started.get("approval")
    if started.get("state") == "waiting_for_approval":
        if settings.structured:
            click.echo(structured(settings, started))
        needs = f" ({started['needs']})" if started.get("needs") else ""
        say(f"waiting for approval by another person{needs}: bcm-failover approve {approval}")
        return ExitCode.WAITING
    execution = started.get("execution")
    if not execution or not wait:
        if settings.structured:
            click.echo(structured(settings, started))
        elif execution:
            click.echo(clean(f"{execution} started: bcm-failover execution show {execution} --wait"))
        else:
            click.echo(
                clean(
                    f"{approval or 'done'} {started.get('state', '')}: bcm-failover status shows what follows"
                )
            )
        return ExitCode.OK
    say(f"{execution} started" + (f" for {started['incident']}" if started.get("incident") else ""))
    return Follower(settings, client).follow(str(execution))
