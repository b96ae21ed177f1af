"""Exit codes, and the errors that stand for them."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from model.errors import BcmError, EstateError, HeldError, LeadershipLostError, UsageError


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1  # it failed, or there are findings
    USAGE = 2
    HELD = 3  # a gate holds it
    UNKNOWN = 4  # it may have happened or not: a person must look
    UNREACHABLE = 5  # no daemon answers
    WAITING = 6  # somebody has to approve it
    INTERRUPTED = 130  # 128 + SIGINT
    BROKEN_PIPE = 141  # 128 + SIGPIPE


_BY_KIND: Final = {"usage": ExitCode.USAGE, "not_found": ExitCode.USAGE, "held": ExitCode.HELD}


class ApiError(BcmError):
    """The daemon refused; `kind` says in what way, `gate` names the gate that holds the request."""

    def __init__(
        self, what: str, *, where: str = "", hint: str = "", kind: str = "failed", gate: str | None = None
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.kind = kind
        self.gate = gate
        self.problems: tuple[str, ...] = ()


class UnreachableError(BcmError):
    """No daemon answers on the socket; nothing was asked of it."""


class OutcomeUnknownError(BcmError):
    """The daemon was asked for a change and its answer was lost."""


def exit_code_of(error: BcmError) -> ExitCode:
    match error:
        case UnreachableError():
            return ExitCode.UNREACHABLE
        case OutcomeUnknownError():
            return ExitCode.UNKNOWN
        case ApiError():
            return _BY_KIND.get(error.kind, ExitCode.FAILED)
        case HeldError() | LeadershipLostError():
            return ExitCode.HELD
        case UsageError():
            return ExitCode.USAGE
        case _:
            return ExitCode.FAILED


def error_json(error: BcmError) -> dict[str, Any]:
    """The same shape as the API's errors."""
    gate = error.gate if isinstance(error, HeldError | ApiError) else None
    body: dict[str, Any] = {"what": error.what, "where": error.where, "hint": error.hint, "gate": gate}
    body["kind"] = error.kind if isinstance(error, ApiError) else exit_code_of(error).name.lower()
    if isinstance(error, EstateError | ApiError) and error.problems:
        body["problems"] = list(error.problems)
    return body
