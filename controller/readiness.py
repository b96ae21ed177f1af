"""Is a service ready to lose its primary? What the last readings tell, line by line (P19). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from controller.losses import Loss, losses
from controller.views import ServiceView
from model.quorum import Choice, MemberPosition, Proof


@dataclass(frozen=True, slots=True)
class Ready:
    """One line. `ok` None: it can't be told. `hint`: what to do where it is not."""

    what: str
    ok: bool | None
    text: str
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "ok": self.ok, "text": self.text, "hint": self.hint}


def readiness(
    view: ServiceView, members: Sequence[MemberPosition], choice: Choice, proof: Proof
) -> tuple[Ready, ...]:
    """members, choice, proof: as made from the same view by `candidates.positions` and `model.quorum`."""
    return (
        _proof(proof),
        Ready("candidate", choice.candidate is not None, f"{choice.candidate or 'none'}: {choice.reason}"),
        *_losses(losses(view, members)),
        *_names(view),
        *_senders(view),
        *_rewind(view),
        *_copies(members),
    )


def _proof(proof: Proof) -> Ready:
    spare = len(proof.readable) - proof.needed
    hint = "one more standby, or `ANY 2`, is what buys tolerance"
    if not proof.complete:
        return Ready("proof", False, f"the loss of the primary would leave no proof: {proof.reason}", hint)
    also = f" and {spare} standby(s)" if spare > 0 else ", and no standby beside it"
    return Ready(
        "proof", True, f"survives the primary{also} with proof: {proof.reason}", "" if spare else hint
    )


def _losses(found: Sequence[Loss]) -> Iterator[Ready]:
    """The first is the loss of the primary alone: the line of the proof."""
    for loss in found[1:]:
        if loss.candidate is not None:
            asked = "; a person may be asked first (S9)" if loss.asks else ""
            yield Ready("loss", True, f"survives {loss.what}: {loss.why}{asked}")
        elif loss.built_for:
            yield Ready("loss", False, f"would not survive {loss.what} now: {loss.why}", "mend what it names")
        else:
            yield Ready("loss", None, f"is not built to survive {loss.what}: {loss.why}")


def _names(view: ServiceView) -> Iterator[Ready]:
    """Each name must be exactly one known server (P1)."""
    known = {m.application_name.lower() for m in view.members}
    for setting in view.settings:
        ambiguous = setting.ambiguous()
        strangers = [n for n in setting.names if n.lower() not in known and n != "*"]
        if ambiguous:
            yield Ready("names", False, f"synchronous_standby_names is ambiguous: {ambiguous}")
        elif strangers:
            text = f"{', '.join(strangers)} in synchronous_standby_names is no member of this service"
            yield Ready("names", False, text)
        else:
            yield Ready("names", True, f"each name of {setting.text!r} is one member")


def _senders(view: ServiceView) -> Iterator[Ready]:
    """A new primary serves every other member, and a base backup or a rewind beside them."""
    wanted = len(view.members) + 1
    for member in view.members:
        senders = member.fact_int("max_wal_senders")
        if senders is not None and senders < wanted:
            text = f"{member.name} has max_wal_senders = {senders}, as primary it needs {wanted}"
            yield Ready("max_wal_senders", False, text, "raise it and restart")


def _rewind(view: ServiceView) -> Iterator[Ready]:
    for member in view.members:
        hints, sums = member.facts.get("wal_log_hints"), member.facts.get("data_checksums")
        if hints is False and sums is False:
            text = f"{member.name} has neither data checksums nor wal_log_hints: it can't be rewound"
            yield Ready(
                "rewind", False, text, "set wal_log_hints = on; until then it comes back by base backup"
            )


def _copies(members: Sequence[MemberPosition]) -> Iterator[Ready]:
    for member in members:
        if member.position is None:
            yield Ready("copy", False, f"{member.member} does not count: {member.why_not}")
        elif member.not_candidate is not None:
            yield Ready(
                "copy", None, f"{member.member} counts, but can't be promoted: {member.not_candidate}"
            )
