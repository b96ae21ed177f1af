"""mariadb.follow: members are made replicas of the new primary, by GTID.

Before anything follows, its binary log is compared: a member that has transactions which the primary never
had is left as it is, read-only, and it is said which they are. With `attached: required` each must hear its
primary in the end.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from config.credentials import Credential
from model.errors import BcmError, DeclinedError, RunbookError
from model.execution import Reconciled, StepResult
from model.gtid import format_gtids, parse_gtids, unknown_to
from model.ports import NoAnswerError
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.mariadb.asking import Asking, address_of, member_of, service_of
from runbooks.actions.mariadb.choosing import shown_candidate
from runbooks.actions.mariadb.closing import CLOSE, end_clients
from runbooks.actions.mariadb.locks import changing
from runbooks.actions.mariadb.quoting import quoted
from runbooks.actions.mariadb.semi_sync import ACKNOWLEDGES, NO_WAITING, wanted
from runbooks.actions.mariadb.state import MariadbState, read_state, state_over
from runbooks.actions.together import on_each, reasons

_AGAIN_S: Final = 0.02
# Whoever was told that it lacks what is asked for will be told so for ever.
_FATAL: Final = "fatal error 1236"


class FollowOptions(ActionOptions):
    """members: who. to: the primary; the candidate, if not given. attached: `required`: each must hear it.
    `told`: each must say that it follows it; `any` too, and whoever can't be reached is left out."""

    members: list[str]
    to: str | None = None
    attached: Literal["required", "told", "any"] = "any"


class Follow(Action):
    """Output: `attached`: who follows it; `left_out`: {member: why}; `streaming`: all of them hear it."""

    name: ClassVar[str] = "mariadb.follow"
    Options: ClassVar[type[ActionOptions]] = FollowOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("attached", "left_out", "streaming")

    def __init__(self, options: FollowOptions) -> None:
        super().__init__(options)
        self._options = options

    def describe(self, ctx: StepContext) -> list[str]:
        to = self._to(ctx)
        if to not in service_of(ctx).members:
            return [f"{', '.join(self._options.members)}: CHANGE MASTER TO {to}"]
        host, port = address_of(ctx, to)
        text = f"CHANGE MASTER TO MASTER_HOST='{host}', MASTER_PORT={port}, MASTER_USE_GTID=slave_pos"
        return [f"{m}: {CLOSE}; STOP SLAVE; {text}; START SLAVE ({to})" for m in self._members(ctx)]

    def where(self, ctx: StepContext) -> str:
        return ", ".join(self._members(ctx))

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        to, members = self._to(ctx), self._members(ctx)
        host, port = address_of(ctx, to)
        try:
            upstream = await read_state(ctx, to, deadline_s)
        except (BcmError, NoAnswerError) as error:
            return StepResult.failed(f"what {to} has is not known: {error}", **_nobody(members, str(error)))

        async def follow(member: str) -> bool:
            async with changing(ctx, member, deadline_s, late=True) as asking:
                state = await state_over(asking)
                if not (state.follows(host, port) and state.hears):
                    _refuse_errant(state, upstream)
                    await _turn(ctx, asking, state, (host, port))
                return await self._hears(asking, (host, port))

        done, failed = await on_each(members, follow, clock=ctx.ports.clock, deadline_s=deadline_s)
        return self._result(to, done, failed)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        to, members = self._to(ctx), self._members(ctx)
        host, port = address_of(ctx, to)

        async def look(member: str) -> bool:
            state = await read_state(ctx, member, deadline_s)
            if not state.follows(host, port):
                raise RunbookError("it does not follow it")
            return state.hears

        done, failed = await on_each(members, look, clock=ctx.ports.clock, deadline_s=deadline_s)
        result = self._result(to, done, failed)
        if failed or (self._options.attached == "required" and not all(done.values())):
            return Reconciled.not_done(result.detail)
        return Reconciled.done(result.detail, **result.output)

    async def _hears(self, asking: Asking, upstream: tuple[str, int]) -> bool:
        """Does it hear its primary? Waited for only where that is required. Raises RunbookError."""
        while True:
            state = await state_over(asking)
            if not state.follows(*upstream):
                raise RunbookError("it follows somebody else")
            if state.hears or self._options.attached != "required":
                return state.hears
            if _FATAL in state.fault or any(s["sql_error"] for s in state.sources):
                raise RunbookError(state.fault)
            if asking.clock.monotonic_s() + _AGAIN_S >= asking.deadline_s:
                raise RunbookError(f"it does not hear its primary in time: {state.fault or 'connecting'}")
            await asking.clock.sleep(_AGAIN_S)

    def _result(self, to: str, done: dict[str, bool], failed: dict[str, str]) -> StepResult:
        streaming = bool(done) and all(done.values()) and not failed
        output = {"attached": list(done), "left_out": failed, "streaming": streaming}
        text = f"follow {to}: {', '.join(done) or 'nobody'}{reasons(failed)}"
        if failed and self._options.attached != "any":
            return StepResult.failed(text, **output)
        return StepResult.ok(text, **output)

    def _to(self, ctx: StepContext) -> str:
        return self._options.to or shown_candidate(ctx)

    def _members(self, ctx: StepContext) -> list[str]:
        to = self._to(ctx)
        for name in self._options.members:
            member_of(ctx, name)
        return [m for m in self._options.members if m != to]


def _refuse_errant(state: MariadbState, upstream: MariadbState) -> None:
    """Raises RunbookError: it would have to forget what only it has, and that is a person's to decide."""
    own = unknown_to(state.logged, upstream.logged)
    if own:
        raise RunbookError(
            f"it has transactions that {upstream.member} never had: {', '.join(own)}",
            hint="look at them with mariadb-binlog, then copy the primary onto it (mariadb-backup)",
        )


async def _turn(ctx: StepContext, asking: Asking, state: MariadbState, upstream: tuple[str, int]) -> None:
    """Closed first: a member that follows takes no writes of its own. Raises NoAnswerError, BcmError."""
    settings = service_of(ctx).mariadb
    if not state.read_only:
        await asking.query(CLOSE)
        await end_clients(ctx, asking)
    await asking.query(NO_WAITING)  # else it would wait for replicas of its own while it applies
    if wanted(ctx):
        await asking.query(ACKNOWLEDGES)
    if state.replicates:
        await asking.query("STOP SLAVE")
    elif state.applied != parse_gtids(str(state.facts.get("gtid_slave_pos") or "")):
        # What it wrote as a primary counts as received. The new primary has all of it: that was looked at.
        await asking.query(f"SET GLOBAL gtid_slave_pos = {quoted(format_gtids(state.applied))}")
    await _change_master(ctx, asking, state, upstream, settings.replication)
    await asking.query("START SLAVE")


async def _change_master(
    ctx: StepContext,
    asking: Asking,
    state: MariadbState,
    upstream: tuple[str, int],
    account: Credential | None,
) -> None:
    """The password is sent where the server does not have it yet, and only then; no error repeats it."""
    host, port = upstream
    words = [f"MASTER_HOST = {quoted(host)}", f"MASTER_PORT = {port}", "MASTER_USE_GTID = slave_pos"]
    known = [s["user"] for s in state.sources]
    secret = ""
    if account is not None and known != [account.user]:
        secret = "" if account.password is None else ctx.ports.secrets.get(account.password)
        words += [f"MASTER_USER = {quoted(account.user)}", f"MASTER_PASSWORD = {quoted(secret)}"]
        words.append("MASTER_CONNECT_RETRY = 1")
    elif not known:
        raise RunbookError(
            "it has never replicated, and the estate names no account for it",
            hint="mariadb: {replication: {user: …, password: …}}",
        )
    try:
        await asking.query(f"CHANGE MASTER TO {', '.join(words)}")
    except DeclinedError as error:
        if secret and secret in str(error):
            raise DeclinedError("CHANGE MASTER was declined", code=error.code, where=error.where) from None
        raise


def _nobody(members: list[str], why: str) -> dict[str, object]:
    return {"attached": [], "left_out": dict.fromkeys(members, why), "streaming": False}
