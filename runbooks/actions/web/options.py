"""What an HTTP request is made of: where, what, with which credentials, and which answer is right.

Values fill in segments of the path, values of the query, of JSON, of a form, of headers: each is escaped
for its place. The server, and every text that is sent as it stands, is written out in the runbook.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from config.document import Path
from config.secrets import SecretRef, is_secret_key
from probes.http_options import Paths, PatternText, Status, checked_url
from runbooks.actions.base import ActionOptions

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
# By the meaning that HTTP gives them: a second time changes nothing more.
REPEATABLE: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
READING: Final = frozenset({"GET", "HEAD"})
_OWN_HEADERS: Final = frozenset(
    {"connection", "content-length", "transfer-encoding", "accept-encoding", "host"}
)


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _segment(value: str) -> str:
    if value in ("", ".", ".."):
        raise ValueError(f"{value!r} is no segment of a path")
    return value


def _header_value(value: str) -> str:
    if any(character < " " or character == "\x7f" for character in value):
        raise ValueError("a header has no control characters in it")
    return value


Text = Annotated[str, BeforeValidator(_as_text)]
Segment = Annotated[Text, AfterValidator(_segment)]
HeaderValue = Annotated[Text, AfterValidator(_header_value)]


class Target(ActionOptions):
    """Where a request goes."""

    url: str = Field("", description="http://HOST[:PORT]/PATH or https://…; or `member` and `port`.")
    member: str = Field("", description="Name of a member of the service, for its address.")
    port: int | None = Field(None, ge=1, le=65535, description="With `member`; its own port, if left out.")
    scheme: Literal["http", "https"] = Field("http", description="With `member`.")
    path: tuple[Segment, ...] = Field(
        (), description="Segments to add to the path; each is escaped, so that it stays one segment."
    )
    query: Mapping[str, Text] = Field({}, description="The query, escaped.")

    @field_validator("url")
    @classmethod
    def _a_url(cls, value: str) -> str:
        return checked_url(value) if value else value

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.url and self.member:
            raise ValueError("give `url` or `member`, and not both")
        return self

    @property
    def named(self) -> bool:
        return bool(self.url or self.member)


class Body(ActionOptions):
    """What a request carries; one of the three."""

    request_json: Any = Field(None, description="Sent as JSON.")
    request_form: Mapping[str, Text] = Field({}, description="Sent as a form.")
    request_body: str = Field("", description="Sent as it stands, with a Content-Type in `headers`.")

    @model_validator(mode="after")
    def _one_body(self) -> Self:
        if sum((self.request_json is not None, bool(self.request_form), bool(self.request_body))) > 1:
            raise ValueError("give one of `request_json`, `request_form` and `request_body`")
        return self


class Expected(ActionOptions):
    """Which answer is right."""

    status: tuple[Status, ...] = Field((), description="Statuses that are right; any 2xx, if none is named.")
    body: str = Field("", description="A text that must be in the body, within its first 256 KiB.")
    body_matches: PatternText = Field("", description="A pattern (RE2) that must be found in the body.")
    expect_json: Paths = Field(
        {}, description="Path within a JSON body, as `data.items[0].state`, to the value that must be there."
    )


class EffectRequest(Expected, Target):
    """A GET whose answer says whether the effect is there."""


class UndoRequest(Body, Target):
    """A request that takes it back, and may be sent twice."""

    method: Method = Field("DELETE", description="What to do there.")
    status: tuple[Status, ...] = Field(
        (), description="Statuses that are right, beside 404 and 410; any 2xx, if none is named."
    )


class RequestOptions(Expected, Body, Target):
    """A request, and what is known of it."""

    method: Method = Field("GET", description="GET and HEAD only look; any other is a change.")
    headers: Mapping[str, HeaderValue] = Field({}, description="Headers to send.")
    secret_headers: Mapping[str, SecretRef] = Field(
        {}, description="Headers that hold secrets, by reference; masked wherever they would show."
    )
    user: str = Field("", description="User to log in as (basic authentication), with `password`.")
    password: SecretRef | None = Field(None, description="Where the user's password is.")
    bearer: SecretRef | None = Field(None, description="Where the bearer token is.")
    verify: bool = Field(True, description="Check the server's certificate: its issuer, name and dates.")
    ca_file: str = Field("", description="PEM file of the authorities to trust, instead of the system's.")
    keep: Mapping[str, str] = Field(
        {}, description="Name to a path within the JSON answer: kept as `values.NAME` for later steps."
    )
    effect: EffectRequest | None = Field(
        None,
        description="A GET that says whether the effect is there, with the same credentials: an answer as "
        "expected says yes, any other no; 401, 403, 5xx and no answer leave it open. Where it names no "
        "server, it goes to the same one; where it names no path either, to the same URL.",
    )
    undo: UndoRequest | None = Field(
        None, description="A request that takes it back; as `effect`, the server."
    )

    @field_validator("headers", "secret_headers")
    @classmethod
    def _headers(cls, headers: Mapping[str, Any]) -> Mapping[str, Any]:
        for name, value in headers.items():
            if not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
                raise ValueError(f"not a header: {name!r}")
            if name.lower() in _OWN_HEADERS:
                raise ValueError(f"the action itself sets the header {name!r}")
            if isinstance(value, str) and (name.lower() == "authorization" or is_secret_key(name)):
                # The text is not repeated: it may be the secret.
                raise ValueError(f"{name}: a secret goes into `secret_headers`, `bearer` or `password`")
        return headers

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.named:
            raise ValueError("give `url`, or `member`")
        if self.method in READING and (self.effect or self.undo):
            raise ValueError(f"{self.method} only looks; it has no `effect` and no `undo`")
        if self.bearer is not None and (self.user or self.password is not None):
            raise ValueError("give `bearer`, or `user` and `password`, and not both")
        if bool(self.user) != (self.password is not None):
            raise ValueError("`user` and `password` go together")
        if self.ca_file and not self.ca_file.startswith("/"):
            raise ValueError("`ca_file` must be an absolute path of a PEM file")
        return self


def literal_places(written: Mapping[str, Any]) -> Iterator[Path]:
    """What chooses the server, what is done there, which secret it gets, and what is sent as it stands."""
    yield from (
        (name,)
        for name in (
            "url", "scheme", "port", "method", "request_body", "body_matches", "verify", "ca_file",
        )
    )  # fmt: skip
    for part in ("effect", "undo"):
        if not isinstance(written.get(part), Mapping):
            yield (part,)
            continue
        for name in ("url", "scheme", "port", "method", "request_body", "body_matches"):
            yield (part, name)
