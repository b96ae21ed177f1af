"""Alertmanager's API v2, as far as silences need it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from pydantic import Field

from config.secrets import SecretRef
from model.errors import RunbookError
from model.ports import HttpAnswer, HttpError, HttpRequest
from probes.http_request import authorization
from probes.texts import one_line
from runbooks.actions.base import ActionOptions, StepContext

_ALIVE: Final = ("active", "pending")


class AlertmanagerOptions(ActionOptions):
    """Which Alertmanager, and who asks it."""

    url: str = Field("", description="Its base URL; that of the estate's `pager`, if empty.")
    user: str = Field("", description="User to log in as (basic authentication), with `password`.")
    password: SecretRef | None = Field(None, description="Where the user's password is.")
    bearer: SecretRef | None = Field(None, description="Where the bearer token is.")
    verify: bool = Field(True, description="Check the server's certificate: its issuer, name and dates.")
    ca_file: str = Field("", description="PEM file of the authorities to trust, instead of the system's.")


@dataclass(frozen=True, slots=True)
class Silence:
    id: str
    alive: bool
    comment: str


class UncertainError(Exception):
    """It was asked, and may have done it."""


class Api:
    """Raises RunbookError where nothing was done, UncertainError where that is not known."""

    def __init__(self, ctx: StepContext, options: AlertmanagerOptions) -> None:
        self._ctx = ctx
        self._options = options

    @property
    def url(self) -> str:
        pager = self._ctx.estate.pager.alertmanager
        url = self._options.url or (pager.url if pager is not None else "")
        if not url:
            raise RunbookError(
                "there is no Alertmanager: the step names no `url`, and the estate's `pager` has none"
            )
        return url.rstrip("/")

    async def create(self, silence: Mapping[str, Any], deadline_s: float) -> str:
        """Its id."""
        answer = await self._ask("POST", "/api/v2/silences", deadline_s, silence)
        return str(_json(answer).get("silenceID", ""))

    async def expire(self, silence_id: str, deadline_s: float) -> None:
        await self._ask("DELETE", f"/api/v2/silence/{quote(silence_id, safe='')}", deadline_s)

    async def silences(self, label: str, value: str, deadline_s: float) -> list[Silence]:
        """Those with this matcher: of all of them an answer could be longer than what is read."""
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        query = urlencode({"filter": f'{label}="{escaped}"'})
        answer = await self._ask("GET", f"/api/v2/silences?{query}", deadline_s)
        try:
            return [
                Silence(str(found["id"]), found["status"]["state"] in _ALIVE, str(found["comment"]))
                for found in _json(answer)
            ]
        except (KeyError, TypeError):
            raise UncertainError("what answered does not speak as Alertmanager does") from None

    async def _ask(
        self, method: str, path: str, deadline_s: float, body: Mapping[str, Any] | None = None
    ) -> HttpAnswer:
        given = self._options
        login = authorization(
            self._ctx.ports.secrets, user=given.user, password=given.password, bearer=given.bearer
        )
        headers = {"Accept": "application/json"} | ({"Authorization": login} if login else {})
        if body is not None:
            headers["Content-Type"] = "application/json"
        request = HttpRequest(
            method=method,
            url=self.url + path,
            headers=headers,
            body=b"" if body is None else json.dumps(body).encode(),
            verify=given.verify,
            ca_file=given.ca_file or None,
        )
        try:
            answer = await self._ctx.ports.http.request(request, timeout_s=self._ctx.left_s(deadline_s))
        except HttpError as error:
            raise (UncertainError(str(error)) if error.sent else RunbookError(str(error))) from None
        said = one_line(answer.body.decode(errors="replace"))
        if answer.status >= 500:
            raise UncertainError(f"Alertmanager answered {answer.status}: {said}")
        if not 200 <= answer.status < 300:
            raise RunbookError(f"Alertmanager answered {answer.status}: {said}")
        return answer


def _json(answer: HttpAnswer) -> Any:
    if not answer.complete:
        raise UncertainError("Alertmanager's answer is longer than what is read")
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise UncertainError("Alertmanager's answer is no JSON") from None
