"""One exception hierarchy. A message says what happened, where, and what to do next."""

from __future__ import annotations


class BcmError(Exception):
    """An error meant for a person: `what` happened, `where`, and the `hint` what to do next."""

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  what to do: {self.hint}" if self.hint else text


class EstateError(BcmError):
    """The estate file can't be used; `problems` holds every finding as `file:line:col: …`."""

    def __init__(self, what: str, *, problems: tuple[str, ...] = (), where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join((*self.problems, super().__str__()))


class SecretError(BcmError):
    """A secret can't be read. Never carries the secret."""


class JournalError(BcmError):
    """The journal can't be trusted or can't be written: nothing may be changed."""


class JournalFullError(JournalError):
    """The disk under the journal is full: stop acting, go on observing, say so."""


class LeadershipLostError(BcmError):
    """Another controller has taken over (a newer epoch): this one changes nothing any more (S4)."""


class NodeAccessError(BcmError):
    """A command could not be run on a node, or its outcome is unknown."""


class BalancerError(BcmError):
    """A load balancer's control socket did not answer. `sent`: the command may have been carried out."""

    def __init__(self, what: str, *, sent: bool = False, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.sent = sent


class NameServerError(BcmError):
    """A name server did not answer, or not to the question. `sent`: an update may have been carried out."""

    def __init__(self, what: str, *, sent: bool = False, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.sent = sent


class RunbookError(BcmError):
    """A runbook or plan is not valid."""


class DeclinedError(RunbookError):
    """A server of MariaDB answered something else than that it did it. `code`: its own of the error."""

    def __init__(self, what: str, *, code: int = 0, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.code = code


class UsageError(BcmError):
    """The request itself is wrong: unknown service, member, incident or option."""


class HeldError(BcmError):
    """A gate holds the request; `gate` names it."""

    def __init__(self, what: str, *, gate: str, where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.gate = gate
