"""Probe type `http`: does a URL answer with the status, and the text, that it should?

HTTP/1.1 on a fresh connection each time, without following redirects: where a server sends people is an
answer of its own. An unexpected status is an answer too: alive, but `bad_answer` (S6).
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from model.errors import UsageError
from model.observation import Failure, Layer
from probes.addresses import Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.http_response import BadAnswerError, Response, read_response
from probes.os_errors import reading_of_os_error
from probes.sockets import connect

_PORTS = {"http": 80, "https": 443}


def _checked_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"not a URL to probe: {url!r}; it must be http://HOST[:PORT]/PATH or https://…")
    if "@" in parts.netloc:
        raise ValueError("no user and password in a URL: it would be shown in logs and reports")
    if any(character <= " " for character in url):
        raise ValueError(f"a URL has no spaces or control characters: {url!r}")
    assert parts.port != 0  # noqa: S101  # reading it raises ValueError for a port out of range
    return url


def _checked_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    for name, value in headers.items():
        if not name or any(character in "\r\n" for character in name + value) or ":" in name:
            raise ValueError(f"not a header: {name!r}: {value!r}")
    return headers


class HttpOptions(ProbeOptions):
    """`status`: the statuses that are right; any 2xx, if none is named. `body`: a text that must be in the
    body. `verify`: check the certificate, with `ca_file` instead of the system's authorities if given."""

    url: Annotated[str, AfterValidator(_checked_url)]
    method: Literal["GET", "HEAD"] = "GET"
    headers: Annotated[Mapping[str, str], AfterValidator(_checked_headers)] = {}
    status: tuple[Annotated[int, Field(ge=100, le=599)], ...] = ()
    body: str = ""
    verify: bool = True
    ca_file: Path | None = None
    server_name: str = Field("", description="Name asked for by TLS; the URL's host, if empty.")


class HttpProbe(Probe):
    """One URL. Facts: `status`; `certificate_ends_s`, seconds since 1970, for a verified certificate."""

    type: ClassVar[str] = "http"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = HttpOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, HttpOptions)  # noqa: S101  # narrows the type
        self._options = options
        parts = urlsplit(options.url)
        host = parts.hostname or ""
        self._addresses = Addresses(host, parts.port or _PORTS[parts.scheme], ports.clock)
        self._server_name = options.server_name or host
        self._request = _request(options)
        self._tls: ssl.SSLContext | None = None
        if parts.scheme == "https":
            try:
                self._tls = _tls_context(options.verify, options.ca_file)
            except OSError as exc:
                raise UsageError(
                    f"the certificates in {options.ca_file} can't be read: {exc}",
                    where=target,
                    hint="name a PEM file that this user may read",
                ) from exc

    async def check(self) -> Reading:
        try:
            sock = await connect(await self._addresses.get())
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=self._tls, server_hostname=self._server_name if self._tls else None
            )
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return Reading.failed(Failure.RESET, "closed in the middle of the TLS handshake")
        except ssl.SSLCertVerificationError as exc:
            return Reading.failed(Failure.BAD_ANSWER, f"certificate: {exc.verify_message}")
        except ssl.SSLError as exc:
            return Reading.failed(Failure.BAD_ANSWER, f"TLS: {exc.reason or exc}")
        except OSError as exc:
            return reading_of_os_error(exc)
        try:
            writer.write(self._request)
            response = await read_response(reader, want_body=bool(self._options.body))
            return self._judged(response, _certificate_end(writer))
        except BadAnswerError as exc:
            return Reading.failed(Failure.BAD_ANSWER, str(exc))
        except ssl.SSLError as exc:
            return Reading.failed(Failure.BAD_ANSWER, f"TLS: {exc.reason or exc}")
        except OSError as exc:
            return reading_of_os_error(exc)
        finally:
            writer.transport.abort()

    def _judged(self, response: Response, certificate: Mapping[str, int]) -> Reading:
        wanted = self._options.status
        facts = {"status": response.status, **certificate}
        right = response.status in wanted if wanted else 200 <= response.status < 300
        if not right:
            expected = ", ".join(map(str, wanted)) or "2xx"
            text = f"status {response.status}, expected {expected}"
            return Reading.failed(Failure.BAD_ANSWER, text, **facts)
        if self._options.body.encode() not in response.body:
            text = f"{self._options.body!r} is not in the body"
            return Reading.failed(Failure.BAD_ANSWER, text, **facts)
        return Reading.ok(f"status {response.status}", **facts)


def _request(options: HttpOptions) -> bytes:
    parts = urlsplit(options.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Host": parts.netloc, "User-Agent": "bcm-failover", "Accept": "*/*"}
    given = {name.lower() for name in options.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in given}
    lines = [f"{options.method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in (headers | dict(options.headers)).items()]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode()


@functools.cache
def _tls_context(verify: bool, ca_file: Path | None) -> ssl.SSLContext:
    """One for all probes that check alike: reading the system's authorities takes tens of milliseconds."""
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _certificate_end(writer: asyncio.StreamWriter) -> Mapping[str, int]:
    certificate = writer.get_extra_info("peercert") or {}
    if "notAfter" not in certificate:
        return {}
    return {"certificate_ends_s": int(ssl.cert_time_to_seconds(certificate["notAfter"]))}
