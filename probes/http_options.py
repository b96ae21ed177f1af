"""What an `http` probe is told: where to ask, how, and which answer is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, model_validator

from config.secrets import SecretRef
from probes.families import FamilyOptions
from probes.json_path import parse_path
from probes.patterns import checked_pattern
from probes.tls_settings import TlsOptions

PORTS = {"http": 80, "https": 443}
# Set by the probe itself: another value would change how the answer has to be read.
_OWN_HEADERS = frozenset({"connection", "content-length", "transfer-encoding", "accept-encoding"})


def checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"not a URL to probe: {url!r}; it must be http://HOST[:PORT]/PATH or https://…")
    if "@" in parts.netloc:
        raise ValueError("no user and password in a URL: it would be shown in logs and reports")
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError(f"a URL has no spaces or control characters: {url!r}")
    assert parts.port != 0  # noqa: S101  # reading it raises ValueError for a port out of range
    return url


def _checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not name or any(character in "\r\n\0" for character in name + value) or ":" in name or " " in name:
            raise ValueError(f"not a header: {name!r}: {value!r}")
        if name.lower() in _OWN_HEADERS:
            raise ValueError(f"the probe itself sets the header {name!r}")
        if name.lower() == "authorization":
            # The text is not repeated: it may be the secret.
            raise ValueError("no credentials in `headers`: use `bearer`, or `user` and `password`")
    return headers


def _checked_patterns(patterns: Mapping[str, str]) -> Mapping[str, str]:
    for pattern in patterns.values():
        checked_pattern(pattern)
    return patterns


def _checked_paths(expected: Mapping[str, Scalar]) -> Mapping[str, Scalar]:
    for path in expected:
        parse_path(path)
    return expected


Scalar = StrictStr | StrictInt | StrictBool | None
Url = Annotated[str, AfterValidator(checked_url)]
Headers = Annotated[Mapping[str, str], AfterValidator(_checked_headers)]
PatternText = Annotated[str, AfterValidator(checked_pattern)]
Patterns = Annotated[Mapping[str, str], AfterValidator(_checked_patterns)]
Paths = Annotated[Mapping[str, Scalar], AfterValidator(_checked_paths)]
Status = Annotated[int, Field(ge=100, le=599)]


class HttpOptions(TlsOptions, FamilyOptions):
    """The request, then what is right, then redirects; TLS as everywhere."""

    url: Url = Field(description="What to ask for: http://HOST[:PORT]/PATH or https://…")
    method: Literal["GET", "HEAD", "POST"] = Field("GET", description="POST only where it is harmless.")
    headers: Headers = Field({}, description="Headers to send, besides Host, User-Agent and Accept.")
    request_body: str = Field(
        "", description="Body to POST; as application/json, unless `headers` has a Content-Type."
    )
    user: str = Field("", description="User to log in as (basic authentication), with `password`.")
    password: SecretRef | None = Field(None, repr=False, description="Where the user's password is.")
    bearer: SecretRef | None = Field(None, repr=False, description="Where the bearer token is.")

    status: tuple[Status, ...] = Field(
        (), description="The statuses that are right; any 2xx, if none is named."
    )
    expect_headers: Mapping[str, str] = Field(
        {}, description="Header to the text that it must contain; with an empty text it must be there."
    )
    expect_headers_match: Patterns = Field(
        {}, description="Header to the pattern (RE2) that must be found in it."
    )
    body: str = Field("", description="A text that must be in the body, within its first 256 KiB.")
    body_matches: PatternText = Field("", description="A pattern (RE2) that must be found in the body.")
    body_lacks: PatternText = Field(
        "", description="A pattern (RE2) that must not be found in the first 256 KiB of the body."
    )
    expect_json: Paths = Field(
        {}, description="Path within a JSON body, as `data.items[0].state`, to the value that must be there."
    )

    redirects: Literal["refuse", "follow"] = Field(
        "refuse", description="Refuse: a redirect is an answer like another, judged by its status."
    )
    max_redirects: int = Field(5, ge=1, le=20, description="More than these are a bad answer.")
    allow_downgrade: bool = Field(False, description="Follow a redirect from https to http.")

    @property
    def wants_body(self) -> bool:
        return bool(self.body or self.body_matches or self.body_lacks or self.expect_json)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.method == "HEAD" and self.wants_body:
            raise ValueError("the answer to HEAD has no body; use GET for what is expected of the body")
        if self.request_body and self.method != "POST":
            raise ValueError("`request_body` is sent with `method: POST` only")
        if self.bearer is not None and (self.user or self.password is not None):
            raise ValueError("give `bearer`, or `user` and `password`, and not both")
        if bool(self.user) != (self.password is not None):
            raise ValueError("`user` and `password` go together")
        if ":" in self.user or any(character < " " for character in self.user):
            raise ValueError("a user's name has no colon and no control characters")
        return self
