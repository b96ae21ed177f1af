"""One request to an HTTP API: a fresh connection, credentials, one bounded answer."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from config.secrets import SecretRef
from model.errors import SecretError
from model.ports import Secrets
from probes.addresses import Address
from probes.http_response import Response, read_response
from probes.streams import open_stream


def authorization(
    secrets: Secrets, *, user: str, password: SecretRef | None, bearer: SecretRef | None
) -> str:
    """Value of the header, "" if there is nothing to show. Raises SecretError."""
    if bearer is not None:
        token = secrets.get(bearer)
        if any(character <= " " or character > "~" for character in token):
            raise SecretError("no header can hold it", where=str(bearer), hint="write the token alone")
        return f"Bearer {token}"
    if password is None:
        return ""
    return "Basic " + base64.b64encode(f"{user}:{secrets.get(password)}".encode()).decode()


async def get(
    url: str,
    addresses: Sequence[Address],
    *,
    authorization: str = "",
    tls: ssl.SSLContext | None = None,
    server_name: str = "",
) -> Response:
    """The response, whatever its status, with its body; redirects are not followed. `url` is escaped already.

    Raises BadAnswerError and OSError, of which ssl.SSLError is one.
    """
    headers = {"Accept": "application/json"}
    if authorization:
        headers["Authorization"] = authorization
    request = request_bytes("GET", url, headers)
    stream = await open_stream(addresses, tls, server_name or urlsplit(url).hostname or "")
    try:
        await stream.send(request)
        return await read_response(stream, want_body=True)
    finally:
        stream.close()


def request_bytes(method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """The request, on a connection that ends with it. Nothing in `headers` may hold a line's end.

    Raises ValueError for what no head of a request can hold.
    """
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    own = {
        "Host": parts.netloc,
        "User-Agent": "bcm-failover",
        # Nothing is asked for in a form that would have to be unpacked: a few bytes could become gigabytes.
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if body or method in ("POST", "PUT", "PATCH"):
        own["Content-Length"] = str(len(body))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {v}" for name, v in {**own, **headers}.items())]
    if any(character in line for line in lines for character in "\r\n\0"):
        raise ValueError("a line's end in the head of a request")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
