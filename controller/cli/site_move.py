"""Carries out a site's plan from the command line: one switchover after another, those of a wave at once.

It keeps nothing: what has moved is read from the daemon, so that the same command goes on where it was ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controller.cli.client import Client
from controller.cli.exits import ApiError, ExitCode

_WAIT_S: Final = 10.0
MOVED, HELD, ASKED, FAILED, WAITS = "moved", "held", "asked", "failed", "waits"


@dataclass(frozen=True, slots=True)
class Move:
    """What became of one service. state: moved, held (by a gate), asked (somebody must approve), failed, or
    waits (for one that it needs). took_s: of its execution."""

    service: str
    state: str
    why: str = ""
    to: str | None = None
    execution: str | None = None
    approval: str | None = None
    took_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "service": self.service,
            "state": self.state,
            "why": self.why,
            "to": self.to,
            "execution": self.execution,
            "approval": self.approval,
            "took_s": self.took_s,
        }


def carry_out(client: Client, steps: Sequence[Mapping[str, Any]], tell: Callable[[Move], None]) -> list[Move]:
    """steps: of a `SitePlan`. tell: each as soon as it is known."""
    moves: dict[str, Move] = {}
    for wave in sorted({int(step["wave"]) for step in steps}):
        begun = [_begin(client, step, moves) for step in steps if int(step["wave"]) == wave]
        for move in begun:
            ended = _ended(client, move) if move.execution is not None else move
            moves[ended.service] = ended
            tell(ended)
    return [moves[str(step["service"])] for step in steps]


def verdict(moves: Sequence[Move]) -> str:
    """Of the whole: done, asked (people have to answer), partial, stuck (none has moved)."""
    states = [move.state for move in moves]
    if all(state == MOVED for state in states):
        return "done"
    if ASKED in states and FAILED not in states:
        return "asked"
    return "partial" if MOVED in states else "stuck"


def exit_code_of_moves(moves: Sequence[Move]) -> ExitCode:
    match verdict(moves):
        case "done":
            return ExitCode.OK
        case "asked":
            return ExitCode.WAITING
        case "stuck" if all(move.state in (HELD, WAITS) for move in moves):
            return ExitCode.HELD
        case _:
            return ExitCode.FAILED


def _begin(client: Client, step: Mapping[str, Any], moves: Mapping[str, Move]) -> Move:
    service = str(step["service"])
    needed = [name for name in step["after"] if name in moves and moves[name].state != MOVED]
    if needed:
        return Move(service, WAITS, f"{', '.join(needed)} has not moved")
    if step.get("to") is None:
        return Move(service, HELD, _obstacles(step) or "nobody there can be primary")
    try:
        body = {"to": step["to"], "dry_run": False}
        started = client.post("services", service, "switchover", body=body)
    except ApiError as error:
        gate = f"{error.gate}: " if error.gate else ""
        return Move(service, HELD if error.kind == "held" else FAILED, f"{gate}{error.what}")
    if started.get("state") == "waiting_for_approval":
        return Move(service, ASKED, str(started.get("needs") or ""), approval=started.get("approval"))
    return Move(service, MOVED, to=str(step["to"]), execution=str(started["execution"]))


def _ended(client: Client, move: Move) -> Move:
    """Once its execution is closed. An error of the way there is passed on: then nobody knows."""
    last_seq = 0
    while True:
        body = client.get("executions", str(move.execution), wait_s=_WAIT_S, after=last_seq)
        last_seq = int(body["last_seq"])
        if body.get("closed_utc") is None:
            continue
        state, took_s = str(body.get("state")), body.get("took_s")
        if state == "succeeded":
            return Move(move.service, MOVED, to=move.to, execution=move.execution, took_s=took_s)
        why = f"{state}: {body.get('reason') or ''}"
        return Move(move.service, FAILED, why, execution=move.execution, took_s=took_s)


def _obstacles(step: Mapping[str, Any]) -> str:
    return "; ".join(f"{o['gate']}: {o['reason']}" for o in step.get("obstacles", []))
