"""Patroni's REST API, as far as moving the primary and pausing need it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from pydantic import Field, field_validator

from config.document import Path
from config.secrets import SecretRef
from model.errors import BcmError, RunbookError
from model.execution import Precheck
from model.ports import HttpAnswer, HttpError, HttpRequest
from probes.http_options import checked_url
from probes.http_request import authorization
from probes.texts import one_line
from runbooks.actions.base import ActionOptions, StepContext

POLL_S: Final = 0.2
_LOOK_S: Final = 2.0
_LEADS: Final = frozenset({"leader", "standby_leader"})
_WORKS: Final = frozenset({"running", "streaming"})


class PatroniOptions(ActionOptions):
    """Which cluster, and who asks it."""

    urls: tuple[str, ...] = Field(
        min_length=1,
        description="REST addresses of its members, as `http://HOST:8008`; the first that answers.",
    )
    user: str = Field("", description="User of the REST API (basic authentication), with `password`.")
    password: SecretRef | None = Field(None, description="Where the user's password is.")
    verify: bool = Field(True, description="Check the server's certificate: its issuer, name and dates.")
    ca_file: str = Field("", description="PEM file of the authorities to trust, instead of the system's.")

    @field_validator("urls")
    @classmethod
    def _are_urls(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_url(url).rstrip("/") for url in value)


# What chooses the server or the secret is never filled in.
LITERAL: Final[tuple[Path, ...]] = (("urls",), ("user",), ("password",), ("verify",), ("ca_file",))


@dataclass(frozen=True, slots=True)
class Member:
    """timeline: None where it is not known. works: its server runs, as far as Patroni knows."""

    name: str
    leads: bool
    works: bool
    timeline: int | None


@dataclass(frozen=True, slots=True)
class Cluster:
    """As one of its members sees it, which may be some seconds old (`loop_wait`)."""

    members: tuple[Member, ...]
    paused: bool

    @property
    def leader(self) -> Member | None:
        return next((m for m in self.members if m.leads), None)

    def member(self, name: str) -> Member | None:
        return next((m for m in self.members if m.name == name), None)


class UncertainError(Exception):
    """It was asked, and may do it; `said` is what there is of an answer."""


class Api:
    """Raises RunbookError where nothing was done, UncertainError where that is not known."""

    NAME: ClassVar[str] = "Patroni"

    def __init__(self, ctx: StepContext, options: PatroniOptions) -> None:
        self._ctx = ctx
        self._options = options

    async def cluster(self, deadline_s: float) -> Cluster:
        """Of the first member that answers."""
        problems: list[str] = []
        for url in self._options.urls:
            try:
                answer = await self._ask("GET", f"{url}/cluster", min(deadline_s, self._soon_s()))
                return _cluster(_json(answer))
            except (RunbookError, UncertainError) as error:
                problems.append(f"{url}: {error}")
        raise RunbookError(
            f"no member of the Patroni cluster tells how it stands ({'; '.join(problems)})",
            hint="look at `urls`, and at `patronictl list` on a member",
        )

    async def move(self, how: str, body: Mapping[str, Any], deadline_s: float) -> str:
        """Ask for a `switchover` or `failover`; what Patroni says. Its word is no proof: it answers 503 while
        the switch goes on (patroni #743)."""
        return await self._change("POST", f"/{how}", body, deadline_s)

    async def pause(self, on: bool, deadline_s: float) -> str:
        """In the cluster's dynamic configuration, where every member reads it."""
        return await self._change("PATCH", "/config", {"pause": True if on else None}, deadline_s)

    async def _change(self, method: str, path: str, body: Mapping[str, Any], deadline_s: float) -> str:
        """At the first member that can be reached; at another one only where it has surely heard nothing."""
        problems: list[str] = []
        for url in self._options.urls:
            try:
                answer = await self._ask(method, f"{url}{path}", deadline_s, body)
            except RunbookError as error:
                problems.append(f"{url}: {error}")
                continue
            said = one_line(answer.body.decode(errors="replace"))
            if answer.status in (400, 401, 403, 404, 409, 412):
                raise RunbookError(f"Patroni refuses ({answer.status}): {said}")
            if not 200 <= answer.status < 300:
                raise UncertainError(f"Patroni answered {answer.status}: {said}")
            return said
        raise RunbookError(f"no member of the Patroni cluster can be asked ({'; '.join(problems)})")

    def _soon_s(self) -> float:
        return self._ctx.ports.clock.monotonic_s() + _LOOK_S

    async def _ask(
        self, method: str, url: str, deadline_s: float, body: Mapping[str, Any] | None = None
    ) -> HttpAnswer:
        given = self._options
        login = authorization(self._ctx.ports.secrets, user=given.user, password=given.password, bearer=None)
        headers = {"Accept": "application/json"} | ({"Authorization": login} if login else {})
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = HttpRequest(
            method=method,
            url=url,
            headers=headers,
            body=b"" if body is None else json.dumps(body).encode(),
            verify=given.verify,
            ca_file=given.ca_file or None,
        )
        try:
            return await self._ctx.ports.http.request(request, timeout_s=self._ctx.left_s(deadline_s))
        except HttpError as error:
            reading = method == "GET"
            raise (
                UncertainError(str(error)) if error.sent and not reading else RunbookError(str(error))
            ) from None


async def precheck(ctx: StepContext, options: PatroniOptions) -> tuple[Precheck, Cluster | None]:
    """Whether the cluster can be asked, and how it stands."""
    cluster = None
    try:
        cluster = await Api(ctx, options).cluster(ctx.ports.clock.monotonic_s() + 2 * _LOOK_S)
        leader = cluster.leader
        ok, result = (
            True,
            f"leader: {leader.name if leader else 'none'}{', paused' if cluster.paused else ''}",
        )
    except (BcmError, UncertainError) as error:
        ok, result = False, str(error)
    row = Precheck(
        what="Patroni answers",
        how=f"GET /cluster at {', '.join(options.urls)}",
        ok=ok,
        result=result,
        why="the step asks Patroni to do it",
        if_failed="mend `urls` or the way there; `patronictl list` shows the cluster",
    )
    return row, cluster


def shown(options: PatroniOptions, request: str, body: Mapping[str, Any]) -> list[str]:
    """For the plan."""
    login = f", logged in as {options.user}" if options.user else ""
    return [f"{request} {json.dumps(body)} at the first of {', '.join(options.urls)} that answers{login}"]


def _json(answer: HttpAnswer) -> Mapping[str, Any]:
    if not 200 <= answer.status < 300 or not answer.complete:
        raise RunbookError(f"it answered {answer.status}")
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise RunbookError("its answer is no JSON") from None
    if not isinstance(found, Mapping) or not isinstance(found.get("members"), Sequence):
        raise RunbookError("its answer is no cluster of Patroni's")
    return found


def _cluster(found: Mapping[str, Any]) -> Cluster:
    members = [m for m in found["members"] if isinstance(m, Mapping) and isinstance(m.get("name"), str)]
    return Cluster(
        tuple(
            Member(
                m["name"],
                m.get("role") in _LEADS,
                m.get("state") in _WORKS,
                m["timeline"] if isinstance(m.get("timeline"), int) else None,
            )
            for m in members
        ),
        found.get("pause") is True,
    )
