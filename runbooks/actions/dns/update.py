"""dns.update: a name has other addresses, on every server that is listed; old answers are waited for."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Self, cast

import dns.name
import dns.tsig
from pydantic import Field, model_validator

from config.base import Flag
from config.durations import Seconds
from config.endpoints import DnsEndpoint
from model.errors import NameServerError, RunbookError
from model.execution import Precheck, Reconciled, StepResult
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.dns.target import dns_endpoint
from runbooks.actions.dns.zone import Answer, RefusedError, ZoneName, ordered

_POLL_S: Final = 0.1
_BEFORE: Final = "dns.update:before"
_PRECHECK_S: Final = 3.0


class Was(ActionOptions):
    """What a name was."""

    addresses: tuple[str, ...] = Field(description="Its addresses.")
    ttl_s: Annotated[int, Field(ge=0)] = Field(description="How long resolvers might keep them.")


class UpdateOptions(ActionOptions):
    """Where the name is found is said by the endpoint, of type dns."""

    endpoint: DnsEndpoint | None = Field(None, description="As in the estate; the service's own, if none.")
    member: str = Field("", description="The member whose address the name gets.")
    addresses: tuple[str, ...] = Field((), description="Or IP addresses.")
    wait_ttl: Flag = Field(
        False,
        description="Wait so long after it as resolvers may keep the old answer; the step's time-out must "
        "be longer.",
    )
    was: Was | None = Field(
        None,
        description="The output of a `dns.find` before it: what an undo goes back to, also where the process "
        "that changed it died before it could record that.",
    )
    ttl: Seconds | None = Field(None, ge=1, description="How long resolvers may keep it; the endpoint's.")

    @model_validator(mode="after")
    def _some_address(self) -> Self:
        if bool(self.member) == bool(self.addresses):
            raise ValueError("give `member` or `addresses`, and not both")
        return self


class Update(Action):
    """The name's A and AAAA records are replaced in one update; every server of the endpoint must then give
    exactly these addresses, by its own authority.

    Output: `name`, `addresses`; `before`, {addresses, ttl_s}; `waited_ms` for old answers. Undo: the
    addresses before.
    """

    name: ClassVar[str] = "dns.update"
    Options = UpdateOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("name", "addresses", "before", "waited_ms")
    check_limit_s: ClassVar[float] = 10.0

    @property
    def given(self) -> UpdateOptions:
        return cast("UpdateOptions", self.options)

    def describe(self, ctx: StepContext) -> list[str]:
        at, wanted = self._endpoint(ctx), self._addresses(ctx)
        key = f" signed with {at.key.name}" if at.key else ""
        lines = [f"{at.primary}: update {at.name} = {', '.join(wanted)} ttl {self._ttl_s(ctx)}{key}"]
        lines += [f"{server}: ask for {at.name}" for server in _all_servers(at)]
        return [*lines, "wait until the old answer is out of date"] if self.given.wait_ttl else lines

    def where(self, ctx: StepContext) -> str:
        return f"name server {self._endpoint(ctx).primary}"

    async def precheck(self, ctx: StepContext) -> list[Precheck]:
        at, deadline_s = self._endpoint(ctx), ctx.ports.clock.monotonic_s() + _PRECHECK_S
        seen = await self._looks(ctx, deadline_s)
        bad = "; ".join(str(e) for e in seen.values() if isinstance(e, NameServerError))
        now = {s: ", ".join(a.addresses) or "nothing" for s, a in seen.items() if isinstance(a, Answer)}
        told = "; ".join(f"{server}: {text}" for server, text in now.items())
        return [
            Precheck(
                what=f"{at.name} at every server",
                how=f"asked {', '.join(seen)} by TCP",
                ok=not bad,
                result="; ".join(part for part in (told, bad) if part),
                why="a server that can't be asked may go on giving the old address",
                if_failed="mend the list of servers, or the way to them (TCP port 53)",
            )
        ]

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        at, wanted = self._endpoint(ctx), self._addresses(ctx)
        name = self._name(ctx, self._key(ctx))
        try:
            before = await name.addresses(at.primary, deadline_s)
            if before.extra:
                return StepResult.failed(f"nothing is changed: {before.extra}")
            known = ctx.resources.setdefault(
                f"{_BEFORE}:{at.name}", {"addresses": list(before.addresses), "ttl_s": before.ttl_s}
            )
            output: dict[str, Any] = {"name": at.name, "addresses": list(wanted), "before": known}
            if before.addresses != wanted or before.ttl_s != self._ttl_s(ctx):
                await name.replace(at.primary, wanted, self._ttl_s(ctx), deadline_s)
            changed_s = ctx.ports.clock.monotonic_s()
            missing = await self._until_everywhere(ctx, deadline_s)
        except RefusedError as error:
            return StepResult.failed(str(error))
        except NameServerError as error:
            return StepResult.unknown(str(error)) if error.sent else StepResult.failed(str(error))
        if missing:
            return StepResult.failed(f"{at.name}: {missing}", **output)
        waited = await self._old_answers(ctx, changed_s + before.ttl_s, deadline_s)
        if waited is None:
            return StepResult.failed(
                f"resolvers may keep the old answer for {before.ttl_s} s, and the time is up", **output
            )
        return StepResult.ok(f"{at.name} is {', '.join(wanted)} everywhere", **output, waited_ms=waited)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        seen = await self._looks(ctx, deadline_s)
        missing = self._missing(seen, self._addresses(ctx))
        if missing:
            bad = any(isinstance(a, NameServerError) for a in seen.values())
            return Reconciled.unknown(missing) if bad else Reconciled.not_done(missing)
        if self.given.wait_ttl:
            return Reconciled.not_done("whether old answers are out of date is not known: it is waited again")
        at, wanted = self._endpoint(ctx), self._addresses(ctx)
        output = {"name": at.name, "addresses": list(wanted), "before": {}, "waited_ms": 0}
        return Reconciled.done(f"{at.name} is {', '.join(wanted)} everywhere", **output)

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        at = self._endpoint(ctx)
        before = ctx.output(ctx.step).get("before") or ctx.resources.get(f"{_BEFORE}:{at.name}")
        if not before and self.given.was is not None:
            before = self.given.was.model_dump(mode="json")
        name = self._name(ctx, self._key(ctx))
        try:
            if not before:
                now = await name.addresses(at.primary, deadline_s)
                if now.addresses != self._addresses(ctx):
                    return StepResult.ok("nothing had been changed")
                return StepResult.failed("the addresses that it had before are not recorded")
            addresses, ttl_s = ordered(before["addresses"]), max(int(before["ttl_s"]), 1)
            await name.replace(at.primary, addresses, ttl_s, deadline_s)
            missing = await self._until_everywhere(ctx, deadline_s, addresses)
        except RefusedError as error:
            return StepResult.failed(str(error))
        except NameServerError as error:
            return StepResult.unknown(str(error)) if error.sent else StepResult.failed(str(error))
        if missing:
            return StepResult.failed(missing)
        return StepResult.ok(f"{at.name} is {', '.join(addresses) or 'nothing'} again")

    # --- behind

    async def _until_everywhere(
        self, ctx: StepContext, deadline_s: float, addresses: tuple[str, ...] | None = None
    ) -> str:
        """What is missing at the deadline; '' if nothing."""
        clock = ctx.ports.clock
        wanted = self._addresses(ctx) if addresses is None else addresses
        while True:
            missing = self._missing(await self._looks(ctx, deadline_s), wanted)
            if not missing or clock.monotonic_s() + _POLL_S >= deadline_s:
                return missing
            await clock.sleep(_POLL_S)

    async def _looks(self, ctx: StepContext, deadline_s: float) -> dict[str, Answer | NameServerError]:
        name, servers = self._name(ctx, None), _all_servers(self._endpoint(ctx))

        async def look(server: str) -> Answer | NameServerError:
            try:
                return await name.addresses(server, deadline_s)
            except NameServerError as error:
                return error

        found = await asyncio.gather(*(look(server) for server in servers))
        return dict(zip(servers, found, strict=True))

    @staticmethod
    def _missing(seen: dict[str, Answer | NameServerError], wanted: tuple[str, ...]) -> str:
        wrong = []
        for server, answer in seen.items():
            if isinstance(answer, NameServerError):
                wrong.append(f"{server} does not tell: {answer.what}")
            elif answer.extra:
                wrong.append(f"{server}: {answer.extra}")
            elif answer.addresses != wanted:
                wrong.append(f"{server} says {', '.join(answer.addresses) or 'nothing'}")
        return "; ".join(wrong)

    async def _old_answers(self, ctx: StepContext, until_s: float, deadline_s: float) -> int | None:
        """Milliseconds that were waited; None where there is no time to."""
        left_s = until_s - ctx.ports.clock.monotonic_s()
        if not self.given.wait_ttl or left_s <= 0:
            return 0
        if until_s >= deadline_s:
            return None
        ctx.progress(f"resolvers may keep the old answer for {left_s:.0f} s")
        await ctx.ports.clock.sleep(left_s)
        return int(left_s * 1000)

    def _endpoint(self, ctx: StepContext) -> DnsEndpoint:
        """Raises RunbookError where nothing says which name."""
        return dns_endpoint(ctx, self.given.endpoint)

    def _addresses(self, ctx: StepContext) -> tuple[str, ...]:
        """Raises RunbookError for what is no IP address: a name could mean another host tomorrow."""
        given: Sequence[str] = self.given.addresses
        if self.given.member:
            member = ctx.service.members.get(self.given.member)
            if member is None:
                raise RunbookError(f"{self.given.member!r} is no member of {ctx.service.name}")
            given = (member.host or ctx.estate.nodes[member.node].address,)
        try:
            return ordered(given)
        except ValueError:
            raise RunbookError(
                f"not IP addresses: {', '.join(given)}",
                hint="give the addresses, or declare the host by its own",
            ) from None

    def _name(self, ctx: StepContext, key: dns.tsig.Key | None) -> ZoneName:
        at = self._endpoint(ctx)
        return ZoneName(ctx.ports.name_servers, ctx.ports.clock, at.zone, at.name, key)

    def _key(self, ctx: StepContext) -> dns.tsig.Key | None:
        """Raises SecretError, and RunbookError for a secret that is no base64 (without showing it)."""
        key = self._endpoint(ctx).key
        if key is None:
            return None
        try:
            return dns.tsig.Key(
                dns.name.from_text(key.name), ctx.ports.secrets.get(key.secret), key.algorithm
            )
        except (binascii.Error, ValueError):
            raise RunbookError(
                f"the secret of the key {key.name} is no base64", where=str(key.secret)
            ) from None

    def _ttl_s(self, ctx: StepContext) -> int:
        ttl = self.given.ttl
        return max(int(self._endpoint(ctx).ttl if ttl is None else ttl), 1)


def _all_servers(at: DnsEndpoint) -> list[str]:
    return list(dict.fromkeys((at.primary, *at.servers)))
