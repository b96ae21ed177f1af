"""One GET for the probe types that ask an HTTP API: a fresh connection, credentials, one bounded answer."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Sequence
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
    parts = urlsplit(url)
    headers = {
        "Host": parts.netloc,
        "User-Agent": "bcm-failover",
        "Accept": "application/json",
        # Nothing is asked for in a form that would have to be unpacked: a few bytes could become gigabytes.
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if authorization:
        headers["Authorization"] = authorization
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    stream = await open_stream(addresses, tls, server_name or parts.hostname or "")
    try:
        await stream.send(("\r\n".join(lines) + "\r\n\r\n").encode())
        return await read_response(stream, want_body=True)
    finally:
        stream.close()
