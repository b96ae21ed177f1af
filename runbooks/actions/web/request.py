"""http.request: one request, and an answer that must be right."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from config.document import Path
from model.errors import BcmError, RunbookError
from model.execution import Effect, Reconciled, StepResult
from model.observation import Outcome
from model.ports import HttpAnswer, HttpError, HttpRequest
from probes.http_judge import Expectations
from probes.http_options import HttpOptions
from probes.http_request import authorization
from probes.http_response import Response
from probes.json_path import NotThereError, find, parse_path
from probes.texts import MASK, masked
from runbooks.actions.base import Action, ActionOptions, StepContext
from runbooks.actions.commands.printed import brief
from runbooks.actions.repeats import before_acting
from runbooks.actions.web.options import (
    READING,
    REPEATABLE,
    Body,
    Expected,
    Method,
    RequestOptions,
    Target,
    literal_places,
)
from runbooks.values import unjournalable

_AGAIN_S: Final = 0.2  # between two looks at an effect that takes its time
_SHOWN: Final = 300


class Request(Action):
    """Sends it on a connection of its own; redirects are not followed, and no proxy is used. It succeeds
    with an answer as expected and, where `effect` is given, once the effect is seen, which may take until
    the time-out.

    Output: `status`; `body`, cut in the middle beyond 4000 characters; `values`, what `keep` names;
    `changed`: false where the effect was there before and nothing was sent.
    """

    name: ClassVar[str] = "http.request"
    Options: ClassVar[type[ActionOptions]] = RequestOptions
    outputs: ClassVar[tuple[str, ...] | None] = ("status", "body", "values", "changed")

    def __init__(self, options: RequestOptions) -> None:
        super().__init__(options)
        self._options = options

    @classmethod
    def changes(cls, written: Mapping[str, Any]) -> bool:
        return written.get("method", "GET") not in READING

    @classmethod
    def repeatable(cls, written: Mapping[str, Any]) -> bool:
        return bool(written.get("effect")) or written.get("method", "GET") in REPEATABLE

    @classmethod
    def observable(cls, written: Mapping[str, Any]) -> bool:
        return bool(written.get("effect"))

    @classmethod
    def reversible(cls, written: Mapping[str, Any]) -> bool:
        return bool(written.get("undo"))

    @classmethod
    def literals(cls, written: Mapping[str, Any]) -> Iterator[Path]:
        yield from literal_places(written)

    def describe(self, ctx: StepContext) -> list[str]:
        given = self._options
        shown = [_shown(given.method, _url(ctx, given), given)]
        shown += [f"with {name}: {value}" for name, value in given.headers.items()]
        shown += [f"with {name}: {MASK}" for name in given.secret_headers]
        if given.bearer is not None or given.user:
            shown.append(f"logged in as {given.user}" if given.user else "with a bearer token")
        if given.effect is not None:
            shown.append(f"effect: GET {_url(ctx, given.effect, given)}")
        if given.undo is not None:
            shown.append(f"undo: {_shown(given.undo.method, _url(ctx, given.undo, given), given.undo)}")
        return shown

    async def run(self, ctx: StepContext, deadline_s: float) -> StepResult:
        given = self._options
        if given.effect is not None:
            before = await self._effect(ctx, deadline_s)
            settled = before_acting(
                ctx,
                before,
                "its effect is there already; nothing is sent",
                harmless=given.method in REPEATABLE,
            )
            if settled is not None:
                return settled
        try:
            answer, secrets = await self._send(ctx, given.method, _url(ctx, given), given, deadline_s)
        except HttpError as error:
            unclear = error.sent or given.method in READING
            return (StepResult.unknown if unclear else StepResult.failed)(str(error))
        except BcmError as error:
            return StepResult.failed(f"nothing was sent: {error}")
        found = _outputs(answer, secrets, changed=given.method not in READING)
        wrong = _judge(given, answer, secrets)
        if wrong:
            # A server or proxy in trouble does not know what became of it.
            unclear = answer.status >= 500 and given.method not in READING
            return (StepResult.unknown if unclear else StepResult.failed)(wrong, **found)
        try:
            found["values"] = _kept(given.keep, answer)
        except NotThereError as error:
            return StepResult.failed(f"in the answer, {error}", **found)
        if given.effect is None:
            return StepResult.ok(f"status {answer.status}", **found)
        return await self._seen(ctx, answer.status, found, deadline_s)

    async def check(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        if self._options.effect is None:
            return Reconciled.unknown("the runbook names no request that says whether its effect is there")
        return await self._effect(ctx, deadline_s)

    async def undo(self, ctx: StepContext, deadline_s: float) -> StepResult:
        given = self._options
        if ctx.output(ctx.step).get("changed") is False:
            return StepResult.ok("nothing was sent")
        if given.effect is not None and (await self._effect(ctx, deadline_s)).effect is Effect.NOT_DONE:
            return StepResult.ok("its effect is not there")
        if given.undo is None:
            return StepResult.failed("the runbook names no request that takes it back")
        try:
            url = _url(ctx, given.undo, given)
            answer, secrets = await self._send(ctx, given.undo.method, url, given.undo, deadline_s)
        except HttpError as error:
            return (StepResult.unknown if error.sent else StepResult.failed)(str(error))
        except BcmError as error:
            return StepResult.failed(f"nothing was sent: {error}")
        wrong = _judge(Expected(status=given.undo.status), answer, secrets)
        if wrong and answer.status not in (404, 410):
            return StepResult.failed(f"it was not taken back: {wrong}")
        return StepResult.ok(f"taken back: status {answer.status}")

    async def _seen(
        self, ctx: StepContext, status: int, found: Mapping[str, Any], deadline_s: float
    ) -> StepResult:
        """Looks until the effect is there, or the time is up."""
        while True:
            seen = await self._effect(ctx, deadline_s)
            if seen.effect is Effect.DONE:
                return StepResult.ok(f"status {status}; {seen.detail}", **found)
            if ctx.ports.clock.monotonic_s() + _AGAIN_S >= deadline_s:
                outcome = StepResult.failed if seen.effect is Effect.NOT_DONE else StepResult.unknown
                return outcome(f"status {status}, but {seen.detail}", **found)
            await ctx.ports.clock.sleep(_AGAIN_S)

    async def _effect(self, ctx: StepContext, deadline_s: float) -> Reconciled:
        effect = self._options.effect
        assert effect is not None  # noqa: S101  # asked only where it is
        try:
            answer, secrets = await self._send(ctx, "GET", _url(ctx, effect, self._options), None, deadline_s)
        except (HttpError, BcmError) as error:
            return Reconciled.unknown(f"its effect can't be looked at: {error}")
        wrong = _judge(effect, answer, secrets)
        if not wrong:
            return Reconciled.done(
                "its effect is there", status=answer.status, body="", values={}, changed=True
            )
        if answer.status in (401, 403) or answer.status >= 500:
            return Reconciled.unknown(f"its effect can't be looked at: {wrong}")
        return Reconciled.not_done(f"its effect is not there: {wrong}")

    async def _send(
        self, ctx: StepContext, method: Method, url: str, body: Body | None, deadline_s: float
    ) -> tuple[HttpAnswer, list[str]]:
        """The answer, and the secrets that must not be seen in it. Raises HttpError and BcmError."""
        given, secrets = self._options, []
        headers = dict(given.headers)
        for name, reference in given.secret_headers.items():
            headers[name] = ctx.ports.secrets.get(reference)
            secrets.append(headers[name])
        login = authorization(
            ctx.ports.secrets, user=given.user, password=given.password, bearer=given.bearer
        )
        if login:
            headers["Authorization"] = login
            secrets += [login.partition(" ")[2]]
            if given.password is not None:
                secrets.append(ctx.ports.secrets.get(given.password))
        data, content_type = _encoded(body)
        if content_type and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = content_type
        request = HttpRequest(
            method=method,
            url=url,
            headers=headers,
            body=data,
            verify=given.verify,
            ca_file=given.ca_file or None,
        )
        try:
            return await ctx.ports.http.request(request, timeout_s=ctx.left_s(deadline_s)), secrets
        except ValueError as error:
            raise RunbookError(str(error)) from None


def _url(ctx: StepContext, target: Target, otherwise: Target | None = None) -> str:
    """Raises RunbookError."""
    if not target.named and otherwise is not None:
        bare = not target.path and not target.query
        add = {"path": otherwise.path, "query": otherwise.query} if bare else {}
        target = otherwise.model_copy(update={"path": target.path, "query": target.query, **add})
    base = urlsplit(target.url or _of_member(ctx, target))
    path = "/".join([base.path.rstrip("/"), *(quote(segment, safe="") for segment in target.path)])
    query = "&".join(part for part in (base.query, urlencode(target.query)) if part)
    return urlunsplit((base.scheme, base.netloc, path if target.path else base.path, query, ""))


def _of_member(ctx: StepContext, target: Target) -> str:
    member = ctx.service.members.get(target.member)
    if member is None:
        known = ", ".join(ctx.service.members)
        raise RunbookError(f"{ctx.service.name} has no member {target.member!r}", hint=f"there are: {known}")
    port = target.port or member.port
    if port is None:
        raise RunbookError(f"the member {member.name} has no port", hint="give `port`")
    host = f"[{member.host}]" if ":" in member.host else member.host
    url = f"{target.scheme}://{host}:{port}/"
    if urlsplit(url).hostname != member.host.lower():
        raise RunbookError(f"the address of {member.name} is no host: {member.host!r}")
    return url


def _encoded(body: Body | None) -> tuple[bytes, str]:
    """(the bytes, their Content-Type)."""
    if body is None:
        return b"", ""
    if body.request_json is not None:
        return json.dumps(body.request_json, ensure_ascii=False).encode(), "application/json"
    if body.request_form:
        return urlencode(body.request_form).encode(), "application/x-www-form-urlencoded"
    return body.request_body.encode(), ""


def _shown(method: str, url: str, body: Body) -> str:
    data, _ = _encoded(body)
    text = data.decode()
    cut = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return f"{method} {url}" + (f" {cut}" if cut else "")


def _judge(expected: Expected, answer: HttpAnswer, secrets: list[str]) -> str:
    """What is wrong with it; "" if nothing is."""
    options = HttpOptions(
        url="http://judged/",
        status=expected.status,
        body=expected.body,
        body_matches=expected.body_matches,
        expect_json=expected.expect_json,
    )
    lines = "\r\n".join(f"{name}: {value}" for name, value in answer.headers.items()).encode("latin-1")
    response = Response(answer.status, lines, answer.body, answer.complete)
    reading = Expectations(options).judge(response, {})
    return "" if reading.outcome is Outcome.SUCCEEDED else masked(reading.detail, secrets)


def _outputs(answer: HttpAnswer, secrets: list[str], *, changed: bool) -> dict[str, Any]:
    body = masked(answer.body.decode(errors="replace"), secrets)
    return {"status": answer.status, "body": brief(body), "values": {}, "changed": changed}


def _kept(names: Mapping[str, str], answer: HttpAnswer) -> dict[str, Any]:
    """Raises NotThereError."""
    if not names:
        return {}
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise NotThereError("there is no JSON") from None
    found = {name: find(document, parse_path(path)) for name, path in names.items()}
    wrong = unjournalable(found, "values")
    if wrong:
        raise NotThereError(wrong)
    return found
