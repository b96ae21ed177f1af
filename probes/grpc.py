"""Probe type `grpc`: does a gRPC server say that a service of it is serving (grpc.health.v1)?

Each attempt makes one call of Health/Check over HTTP/2 on a fresh connection. A server that does not know the
health service is `unknown`: it lives, and what was asked can't be found out.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, field_validator

from config.secrets import SecretRef
from model.errors import SecretError
from model.observation import Failure, Layer
from probes.addresses import Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.grpc_call import Answer, GoAway, GoAwayError, Http2, NoGrpcError, health_request, health_status
from probes.sockets import keep_alive, reading_of_end
from probes.streams import Stream, open_stream, reading_of_stream_error
from probes.tls_settings import TlsOptions, certificate_facts, tls_context
from probes.trace import note

_PATH = "/grpc.health.v1.Health/Check"
_SERVING = 1
# ServingStatus, https://github.com/grpc/grpc-proto/blob/master/grpc/health/v1/health.proto
_STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")


class GrpcOptions(TlsOptions):
    """Where to ask, and for which service."""

    host: str = Field(min_length=1, description="Address or name of the server.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(description="Port of the server.")
    service: str = Field(
        "", max_length=200, description="Name of the service to ask for; the server as a whole, if empty."
    )
    tls: bool = Field(False, description="Speak TLS.")
    authority: str = Field("", description="Value of `:authority`, for proxies; HOST:PORT, if empty.")
    metadata: Mapping[str, str] = Field({}, description="Metadata to send; names in small letters.")
    bearer: SecretRef | None = Field(None, repr=False, description="Where the bearer token is.")
    hold: bool = Field(False, description="Keep a connection open, to notice a crash or a stop at once.")

    @field_validator("metadata")
    @classmethod
    def _sendable(cls, metadata: Mapping[str, str]) -> Mapping[str, str]:
        for name, value in metadata.items():
            legal = name and all(c.islower() or c.isdigit() or c in "-_." for c in name) and name.isascii()
            if not legal or name.startswith("grpc-") or name in ("te", "content-type"):
                raise ValueError(f"not a name of metadata: {name!r}")
            if name == "authorization":
                raise ValueError("no credentials in `metadata`: use `bearer`")
            if not value.isascii() or not value.isprintable():
                raise ValueError(f"the value of {name!r} has other characters than printable ASCII")
        return metadata


class GrpcProbe(Probe):
    """One service of one server.

    Facts: `serving_status` (SERVING, NOT_SERVING, SERVICE_UNKNOWN, UNKNOWN); `grpc_status`, the code of the
    call; `certificate_ends_s`, seconds since 1970, with `tls`.
    """

    type: ClassVar[str] = "grpc"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = GrpcOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, GrpcOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._addresses = Addresses(options.host, options.port, ports.clock)
        self._tls: ssl.SSLContext | None = tls_context(options, target, ("h2",)) if options.tls else None
        self._request = health_request(options.service)

    async def check(self) -> Reading:
        facts: dict[str, Any] = {}
        try:
            headers = self._headers()
            stream = await self._open()
        except SecretError as exc:
            return Reading.unknown(Failure.LOCAL, f"{exc.where}: {exc.what}")
        except OSError as exc:
            return reading_of_stream_error(exc)
        try:
            facts |= certificate_facts(stream.certificate)
            if self._tls is not None and stream.alpn != "h2":
                return Reading.failed(Failure.BAD_ANSWER, "it does not offer HTTP/2 (ALPN h2)", **facts)
            answer = await Http2(stream).call(headers, self._request)
            note("answered: HTTP %d, gRPC status %s %s", answer.http_status, answer.status, answer.text)
            return self._judged(answer, facts)
        except (NoGrpcError, GoAwayError) as exc:
            note("failed: %s", exc)
            kind = Failure.STOPPING if isinstance(exc, GoAwayError) else Failure.BAD_ANSWER
            return Reading.failed(kind, str(exc), **facts)
        except OSError as exc:
            reading = reading_of_stream_error(exc)
            return Reading(reading.outcome, reading.failure, reading.detail, facts)
        finally:
            stream.close()

    async def hold(self) -> Reading | None:
        """A farewell in good order comes before a stop, and at the end of an idle connection's time too."""
        if not self.keeps_connection:
            return None
        try:
            stream = await self._open()
        except OSError:
            return None  # the attempts tell what is wrong
        try:
            keep_alive(stream.sock)
            connection = Http2(stream, most_bytes=math.inf)  # nothing of it is kept
            while True:
                for event in await connection.events():
                    if isinstance(event, GoAway):
                        return Reading.unknown(None, "the server closed the held connection in good order")
        except NoGrpcError as exc:
            note("the held connection: %s", exc)
            return None
        except ssl.SSLError:
            return reading_of_end()
        except OSError as exc:
            return reading_of_end(exc if exc.errno else None)
        finally:
            stream.close()

    async def _open(self) -> Stream:
        options = self._options
        return await open_stream(await self._addresses.get(), self._tls, options.server_name or options.host)

    def _headers(self) -> Mapping[str, str]:
        """Raises SecretError."""
        options = self._options
        host = f"[{options.host}]" if ":" in options.host else options.host
        headers = {
            ":method": "POST",
            ":scheme": "https" if options.tls else "http",
            ":path": _PATH,
            ":authority": options.authority or f"{host}:{options.port}",
            "te": "trailers",
            "content-type": "application/grpc",
            "user-agent": "bcm-failover",
            **options.metadata,
        }
        if options.bearer is not None:
            token = self.ports.secrets.get(options.bearer)
            if any(character <= " " or character > "~" for character in token):
                raise SecretError(
                    "no header can hold it", where=str(options.bearer), hint="write the token alone"
                )
            headers["authorization"] = f"Bearer {token}"
        return headers

    def _judged(self, answer: Answer, facts: dict[str, Any]) -> Reading:
        """Raises NoGrpcError."""
        if answer.status is None:
            raise NoGrpcError(f"no gRPC: HTTP status {answer.http_status}, {answer.content_type!r}")
        facts["grpc_status"] = answer.status
        said = f": {answer.text}" if answer.text else ""
        match answer.status:  # https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
            case 0:
                return self._health(answer, facts)
            case 5:  # NOT_FOUND
                text = f"the server does not know the service {self._options.service!r}{said}"
                return Reading.failed(Failure.BAD_ANSWER, text, **facts)
            case 12:  # UNIMPLEMENTED
                text = f"the server does not offer grpc.health.v1{said}"
                return Reading.unknown(Failure.BAD_ANSWER, text, **facts)
            case 7 | 16:  # PERMISSION_DENIED, UNAUTHENTICATED
                return Reading.unknown(Failure.CREDENTIALS, f"gRPC status {answer.status}{said}", **facts)
            case 8:  # RESOURCE_EXHAUSTED
                return Reading.failed(Failure.SATURATED, f"gRPC status 8{said}", **facts)
            case _:
                return Reading.failed(Failure.BAD_ANSWER, f"gRPC status {answer.status}{said}", **facts)

    def _health(self, answer: Answer, facts: dict[str, Any]) -> Reading:
        status = health_status(answer.message)
        name = _STATUSES[status] if status < len(_STATUSES) else str(status)
        facts["serving_status"] = name
        if status == _SERVING:
            return Reading.ok(name, **facts)
        return Reading.failed(Failure.BAD_ANSWER, f"it says {name}", **facts)
