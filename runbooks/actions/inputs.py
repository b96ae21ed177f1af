"""What actions of every engine read from an execution's variables and from the estate."""

from __future__ import annotations

from typing import Any, Final

from config.schema import Member, MemberRole
from model.errors import RunbookError
from model.quorum import preference_of
from runbooks.actions.base import StepContext

# A person who overrides by name: an unfenced old primary, an incomplete proof, a primary that still answers.
OVERRIDE_FENCE: Final = "S2"
OVERRIDE_PROOF: Final = "S3"
OVERRIDE_ANSWERS: Final = "S6"
# What a diagnosis grants: a primary that says for ever that it is starting up is out (P13, P16).
STARTING_IS_OUT: Final = "P13"


def variable(ctx: StepContext, name: str) -> str:
    """A text variable. Raises RunbookError without it."""
    value = ctx.vars.get(name)
    if not isinstance(value, str) or not value:
        raise RunbookError(
            f"the variable {name!r} is not set", hint="declare it in the runbook and give its value"
        )
    return value


def members_in(ctx: StepContext, name: str) -> list[str]:
    """A variable that lists members; [] without it."""
    value = ctx.vars.get(name)
    return [str(m) for m in value] if isinstance(value, list | tuple) else []


def overridden(ctx: StepContext, rule: str) -> bool:
    return rule in members_in(ctx, "overrides")


def preference(ctx: StepContext, member: Member) -> tuple[int, ...]:
    """Lower is preferred: as the gate `candidate` ranks them, see `model.quorum.preference_of`."""
    return preference_of(
        ctx.estate.site_of(member).role.value,
        member.preference,
        remote=member.role is MemberRole.DR,
        returning=member.name in members_in(ctx, "returning"),
    )


def people_named_candidate(ctx: StepContext) -> bool:
    """Must it be `vars.candidate` and nobody else? True if a person named it: falling back to another would
    not be what was asked for. An automatic run only prefers it."""
    named = ctx.vars.get("candidate_named")
    return bool(named) if isinstance(named, bool) else ctx.actor != "daemon"


def as_int(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
