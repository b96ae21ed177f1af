"""What the actions read from an execution's variables, the estate and earlier steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from config.schema import PostgresqlMember, PostgresqlService
from model.errors import RunbookError
from model.quorum import SyncSetting, parse_synchronous_standby_names, without
from runbooks.actions.base import StepContext
from runbooks.actions.inputs import members_in, preference, variable


def member_named(ctx: StepContext, name: str) -> PostgresqlMember:
    """Raises RunbookError."""
    member = ctx.pg.members.get(name)
    if member is None:
        raise RunbookError(
            f"{name!r} is no member of {ctx.service.name}",
            hint=f"its members are {', '.join(ctx.pg.members)}",
        )
    return member


def settings_in_force(ctx: StepContext) -> tuple[SyncSetting, ...]:
    """The settings that must all be satisfied, without the primary's own name (P1, P2).

    Raises RunbookError for one that can't be parsed.
    """
    primary = ctx.pg.members.get(str(ctx.vars.get("primary")))
    found: list[SyncSetting] = []
    for text in members_in(ctx, "settings"):
        try:
            setting = parse_synchronous_standby_names(text)
        except ValueError as error:
            raise RunbookError(str(error)) from error
        found.append(without(setting, primary.application_name) if primary else setting)
    return tuple(found)


def shortfall(settings: Sequence[SyncSetting], members: Iterable[PostgresqlMember]) -> str | None:
    """Why `members` can't have every acknowledged write between them (n − k + 1 of n, P1), or None.

    For an asynchronous setting one member is enough here: the proof says what that is worth.
    """
    names = [m.application_name.lower() for m in members]
    if not names:
        return "no standby"
    for setting in settings:
        have = [n for n in setting.names if names.count(n.lower()) == 1]
        if setting.synchronous and len(have) < setting.readable_needed:
            return (
                f"{len(have)} of {len(setting.names)} synchronous standbys, {setting.readable_needed} needed "
                f"({setting.method} {setting.k} of {', '.join(setting.names)})"
            )
    return None


def candidate_of(ctx: StepContext) -> str:
    """Whom the proof (or, in a planned switch, the readiness check) chose. Raises RunbookError."""
    for found in (ctx.output("prove").get("candidate"), ctx.output("ready").get("candidate")):
        if isinstance(found, str) and found:
            return found
    return variable(ctx, "candidate")


def shown_candidate(ctx: StepContext) -> str:
    """The same for a plan, where the proof has not been made yet: the preferred standby."""
    try:
        return candidate_of(ctx)
    except RunbookError:
        fit = [m for name in members_in(ctx, "standbys") if not (m := member_named(ctx, name)).excluded]
        best = min(fit, key=lambda m: (preference(ctx, m), m.name), default=None)
        return best.name if best else "CANDIDATE"


def role_user(service: PostgresqlService, role: str) -> str:
    return str(getattr(service.postgresql.roles, role).user)
