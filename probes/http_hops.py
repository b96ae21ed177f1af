"""The requests of one attempt: the first, and those that redirects ask for.

What the user gave for one place is sent there and nowhere else: headers, credentials, a body and a client
certificate go to the scheme, host and port of the first URL, until another was visited.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from probes.http_options import PORTS, HttpOptions, checked_url
from probes.http_response import Response
from probes.texts import one_line

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What may stand in a URL as it is; the rest of a Location is written as %XX.
_URL_CHARACTERS = "%/:=&?~#+!$,;'@()*[]"


class RedirectError(Exception):
    """A redirect that is not followed, and why."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One request. `trusted`: it goes where the user said, and nowhere else has been."""

    url: str
    method: str
    scheme: str
    host: str
    port: int
    trusted: bool = True

    @property
    def shown(self) -> str:
        """For people: without the query, which may hold a token that the server gave."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{one_line(parts.path)}"


def first_hop(options: HttpOptions) -> Hop:
    return _hop(options.url, options.method, trusted=True)


def next_hop(hop: Hop, response: Response, options: HttpOptions) -> Hop | None:
    """Where a response sends us; None if it is no redirect. Raises RedirectError."""
    if response.status not in _REDIRECTS:
        return None
    location = response.headers.get("location")
    if not location:
        raise RedirectError(f"status {response.status} without a Location")
    try:
        escaped = quote(location.encode("latin-1"), safe=_URL_CHARACTERS)
        url = checked_url(urljoin(hop.url, escaped).partition("#")[0])
        method = _method(hop.method, response.status)
        following = _hop(url, method, trusted=hop.trusted)
    except ValueError:
        # Its words are not repeated: they may hold a token.
        raise RedirectError("redirects to what is no http or https URL, or to one with a password") from None
    same_place = (following.scheme, following.host, following.port) == (hop.scheme, hop.host, hop.port)
    if hop.scheme == "https" and following.scheme == "http" and not options.allow_downgrade:
        raise RedirectError(f"redirects from https to {following.shown}, and `allow_downgrade` is not set")
    if method == "POST" and not (same_place and hop.trusted):
        raise RedirectError(f"redirects the POST to another place, {following.shown}")
    return following if same_place else _hop(url, method, trusted=False)


def request_of(hop: Hop, options: HttpOptions, authorization: str) -> bytes:
    """`authorization`: value of that header, none if empty."""
    parts = urlsplit(hop.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Host": parts.netloc, "User-Agent": "bcm-failover", "Accept": "*/*"}
    given = dict(options.headers) if hop.trusted else {}
    if authorization and hop.trusted:
        given["Authorization"] = authorization
    body = options.request_body.encode() if hop.method == "POST" else b""
    if hop.method == "POST":
        headers["Content-Type"] = "application/json"
    names = {name.lower() for name in given}
    headers = {name: value for name, value in headers.items() if name.lower() not in names} | given
    if hop.method == "POST":
        headers["Content-Length"] = str(len(body))
    # Nothing is asked for in a form that would have to be unpacked: a few bytes could become gigabytes.
    headers |= {"Accept-Encoding": "identity", "Connection": "close"}
    lines = [f"{hop.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _hop(url: str, method: str, *, trusted: bool) -> Hop:
    parts = urlsplit(url)
    return Hop(url, method, parts.scheme, parts.hostname or "", parts.port or PORTS[parts.scheme], trusted)


def _method(method: str, status: int) -> str:
    """As browsers do: only 307 and 308 keep a POST one."""
    return "GET" if method == "POST" and status in (301, 302, 303) else method
