"""What machines push over the HTTP port: Alertmanager's webhook (version 4) and heartbeats.

Everything here needs the bearer token of `daemon.push_token`; it is asked for before a byte of the body is
read. Nothing that is pushed makes anything happen by itself.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal, TypeVar

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config.secrets import SecretRef
from controller.alerts import Alert, Taken, alert_of, shown
from model.errors import SecretError

MOST_ALERT_BYTES: Final = 1 << 20
MOST_HEARTBEAT_BYTES: Final = 4096
# A body that drips in holds a connection, and no more than that.
_BODY_WITHIN_S: Final = 10.0

_log = structlog.get_logger(__name__)

_Text = Annotated[str, Field(max_length=8192)]
_Labels = Annotated[dict[Annotated[str, Field(max_length=256)], _Text], Field(max_length=128)]


class _Model(BaseModel):
    """Keys that we do not know are left alone: a newer Alertmanager may send more."""

    model_config = ConfigDict(extra="ignore", strict=True)


class _WebhookAlert(_Model):
    status: Literal["firing", "resolved"]
    labels: _Labels
    annotations: _Labels = {}
    fingerprint: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{1,64}$")]


class _Webhook(_Model):
    version: Literal["4"]
    alerts: Annotated[list[_WebhookAlert], Field(max_length=5000)]


_M = TypeVar("_M", bound=BaseModel)


class _Beat(_Model):
    status: Literal["ok", "fail"] = "ok"
    message: _Text = ""


class RefusedError(Exception):
    """An answer other than 200, with a text for whoever pushes."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


class Pushes:
    """The routes and what they need.

    token: where the token is, None if nothing may be pushed. secret: reads it; raises SecretError. beat:
    name, status → is there such a heartbeat?
    """

    def __init__(
        self,
        *,
        token: Callable[[], SecretRef | None],
        secret: Callable[[SecretRef], str],
        alerts: Callable[[Sequence[Alert]], Taken],
        beat: Callable[[str, str], bool],
    ) -> None:
        self._token = token
        self._secret = secret
        self._alerts = alerts
        self._beat = beat

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/api/v1/alerts", self.alerts),
            web.post("/api/v1/heartbeat/{name}", self.heartbeat),
        ]

    async def alerts(self, request: web.Request) -> web.Response:
        try:
            self._admit(request)
            body = await _body(request, MOST_ALERT_BYTES)
            # Off the loop: a large group takes longer than a probe may be late.
            pushed = await asyncio.to_thread(read_webhook, body)
        except RefusedError as refused:
            return _refusal(refused)
        taken = self._alerts(pushed)
        return web.json_response({"accepted": taken.accepted, "ignored": taken.ignored})

    async def heartbeat(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        try:
            self._admit(request)
            beat = _read(await _body(request, MOST_HEARTBEAT_BYTES) or b"{}", _Beat)
            if not self._beat(name, beat.status):
                raise RefusedError(404, "no probe of type `heartbeat` is declared under this name")
        except RefusedError as refused:
            return _refusal(refused)
        if beat.status != "ok":
            _log.warning("a heartbeat says that it failed", name=name, message=shown(beat.message, 300))
        return web.json_response({"heartbeat": name, "status": beat.status})

    def _admit(self, request: web.Request) -> None:
        """Raises RefusedError."""
        reference = self._token()
        if reference is None:
            raise RefusedError(503, "nothing is taken: daemon.push_token is not set in the estate")
        try:
            expected = self._secret(reference)
        except SecretError as error:
            _log.error("daemon.push_token can't be read", where=str(reference), why=error.what)
            raise RefusedError(
                503, "nothing is taken: the token can't be read; see the daemon's log"
            ) from None
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), expected.encode())
        if scheme.lower() != "bearer" or not same:
            raise RefusedError(401, "the bearer token is missing or wrong")


def read_webhook(body: bytes) -> list[Alert]:
    """The alerts of a push. Raises RefusedError."""
    webhook = _read(body, _Webhook)
    return [
        alert_of(a.fingerprint, a.labels, a.annotations, firing=a.status == "firing") for a in webhook.alerts
    ]


async def _body(request: web.Request, most: int) -> bytes:
    """Raises RefusedError for one that is too long or takes too long."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            async for chunk in request.content.iter_chunked(65536):
                size += len(chunk)
                if size > most:
                    raise RefusedError(413, f"the body is longer than {most} bytes")
                parts.append(chunk)
    except TimeoutError:
        raise RefusedError(408, f"the body did not come within {_BODY_WITHIN_S:g} s") from None
    return b"".join(parts)


def _read(body: bytes, model: type[_M]) -> _M:
    """Raises RefusedError with the first thing that is wrong; what was sent is not repeated."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError(400, "the body is not JSON") from None
    if model is _Webhook and isinstance(value, dict) and value.get("version") != "4":
        raise RefusedError(400, 'version must be "4": Alertmanager\'s webhook of versions 0.6 and later')
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        where = f"{shown(place, 100)}: " if place else ""
        more = f" (and {error.error_count() - 1} more problems)" if error.error_count() > 1 else ""
        raise RefusedError(400, f"{where}{first['msg']}{more}") from None


def _refusal(refused: RefusedError) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if refused.status == 401 else None
    return web.json_response({"error": str(refused)}, status=refused.status, headers=headers)
