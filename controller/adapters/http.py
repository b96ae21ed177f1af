"""Requests over HTTP for actions: the port `Http` on the connections that probes use."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

from model.errors import UsageError
from model.ports import Clock, HttpAnswer, HttpError, HttpRequest
from probes.addresses import Addresses
from probes.http_options import PORTS
from probes.http_request import request_bytes
from probes.http_response import BadAnswerError, read_response
from probes.streams import Stream, open_stream, reading_of_stream_error
from probes.tls_settings import TlsOptions, tls_context


class HttpConnections:
    """model.ports.Http. Each request has a connection of its own, which is shut at the time-out."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def request(self, request: HttpRequest, *, timeout_s: float) -> HttpAnswer:
        exchange = _Exchange(request, self._clock)
        try:
            async with asyncio.timeout(timeout_s):
                return await exchange.run()
        except TimeoutError:
            raise HttpError(
                f"{exchange.where}: no answer within {timeout_s:g} s", sent=exchange.sent
            ) from None
        except BadAnswerError as error:
            raise HttpError(f"{exchange.where}: {error}", sent=True) from None
        except UsageError as error:
            raise HttpError(error.what, sent=False) from None
        except OSError as error:
            reading = reading_of_stream_error(error)
            text = reading.detail or str(reading.failure)
            raise HttpError(f"{exchange.where}: {text}", sent=exchange.sent) from None


class _Exchange:
    """sent: the server may have taken the request."""

    def __init__(self, request: HttpRequest, clock: Clock) -> None:
        parts = urlsplit(request.url)
        self._request = request
        self._host = parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self._secure = parts.scheme == "https"
        self._clock = clock
        self.where = f"{parts.scheme}://{parts.netloc}"
        self.sent = False

    async def run(self) -> HttpAnswer:
        request = self._request
        data = request_bytes(request.method, request.url, request.headers, request.body)
        stream = await self._connect()
        try:
            self.sent = True
            await stream.send(data)
            response = await read_response(stream, want_body=request.method != "HEAD")
        finally:
            stream.close()
        return HttpAnswer(response.status, response.headers, response.body, response.complete)

    async def _connect(self) -> Stream:
        addresses = await Addresses(self._host, self._port, self._clock).get()
        if not self._secure:
            return await open_stream(addresses)
        ca_file = Path(self._request.ca_file) if self._request.ca_file else None
        options = TlsOptions(verify=self._request.verify, ca_file=ca_file)
        return await open_stream(addresses, tls_context(options, self.where), self._host)
