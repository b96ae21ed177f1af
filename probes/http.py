"""Probe type `http`: does a URL answer with the status, headers and text that it should?

HTTP/1.1 on a fresh connection each time. An unexpected status is an answer too: alive, but `bad_answer` (S6).
Redirects are not followed unless it is asked for: where a server sends people is an answer of its own.
"""

from __future__ import annotations

import base64
import functools
import socket
from collections.abc import Sequence
from typing import Any, ClassVar

from model.errors import SecretError
from model.observation import Failure, Layer
from model.ports import Clock
from probes.addresses import Address, Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.families import Family, check_by_family, of_family
from probes.http_hops import Hop, RedirectError, first_hop, next_hop, request_of
from probes.http_judge import Expectations
from probes.http_options import HttpOptions
from probes.http_response import BadAnswerError, Response, read_response
from probes.sockets import connect
from probes.streams import Stream, reading_of_stream_error
from probes.tls_settings import certificate_facts, tls_context
from probes.trace import note

_MOST_DOORS = 8  # hosts of redirects whose addresses are kept


class HttpProbe(Probe):
    """One URL.

    Facts: `status`; `address` that answered; `resolve_ms`, `connect_ms`, `tls_ms` and `first_byte_ms` (from
    the request to the end of the answer's head), added up over redirects; `redirects` followed;
    `http_version` (as `1.1`) and `content_length_bytes`, as the last answer states them; `tls_version`;
    `certificate_ends_s`, seconds since 1970, of the certificate that ends first, verified or not; `families`
    with `family: both`, what each said.
    """

    type: ClassVar[str] = "http"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = HttpOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, HttpOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._expectations = Expectations(options)
        self._first = first_hop(options)
        self._doors: dict[tuple[str, int], Addresses] = {}
        # Without secrets the first request is the same at each attempt.
        has_secrets = options.bearer or options.password
        self._first_request = None if has_secrets else request_of(self._first, options, "")
        follows = options.redirects == "follow"
        self._tls = tls_context(options, target) if follows or self._first.scheme == "https" else None
        anonymous = options.model_copy(update={"client_certificate": None, "client_key": None})
        self._foreign_tls = tls_context(anonymous, target) if follows else None

    async def check(self) -> Reading:
        if self._options.family == "any":
            return await self._check("any")
        try:
            addresses = await self._door(self._first).get()
        except OSError as exc:
            return reading_of_stream_error(exc)
        return await check_by_family(addresses, self._options.family, self._check_over)

    async def _check_over(self, addresses: Sequence[Address]) -> Reading:
        """Over the family of `addresses`, redirects too."""
        return await self._check("ipv6" if addresses[0].family == socket.AF_INET6 else "ipv4")

    async def _check(self, family: Family) -> Reading:
        facts: dict[str, Any] = {}
        phases = _Phases(self.ports.clock)
        try:
            response = await self._final_response(family, facts, phases)
        except SecretError as exc:
            return Reading.unknown(Failure.LOCAL, f"{exc.where}: {exc.what}")
        except (BadAnswerError, RedirectError) as exc:
            note("judged: %s", exc)
            return Reading.failed(Failure.BAD_ANSWER, str(exc), **facts, **phases.facts())
        except OSError as exc:
            note("failed: %s", exc)
            return reading_of_stream_error(exc).adding(facts | phases.facts())
        return self._expectations.judge(response, facts | phases.facts())

    async def _final_response(self, family: Family, facts: dict[str, Any], phases: _Phases) -> Response:
        """Raises SecretError, BadAnswerError, RedirectError, OSError."""
        hop, redirects = self._first, 0
        while True:
            response = await self._fetch(hop, family, facts, phases)
            if self._options.redirects == "refuse" or self._expectations.is_right(response.status):
                return response
            following = next_hop(hop, response, self._options)
            if following is None:
                return response
            redirects += 1
            note("redirected to %s", following.shown)
            if redirects > self._options.max_redirects:
                raise RedirectError(
                    f"over {self._options.max_redirects} redirects, the last to {following.shown}"
                )
            facts["redirects"] = redirects
            hop = following

    async def _fetch(self, hop: Hop, family: Family, facts: dict[str, Any], phases: _Phases) -> Response:
        request = self._request(hop)
        phases.begin()
        addresses = of_family(await self._door(hop).get(), family)
        if not addresses:  # the first hop has some
            raise RedirectError(f"redirects to {hop.shown}, which has no address of {family}")
        phases.end("resolve")
        stream = Stream(await connect(addresses))
        try:
            phases.end("connect")
            facts["address"] = addresses[0].host if len(addresses) == 1 else stream.address
            note("connected to %s, port %d", facts["address"], hop.port)
            if hop.scheme == "https":
                await self._start_tls(stream, hop)
                phases.end("tls")
                facts["tls_version"] = stream.tls_version
                _add_certificate(facts, stream)
            await stream.send(request)
            note("asked: %s %s", hop.method, hop.shown)
            response = await read_response(
                stream,
                want_body=self._options.wants_body,
                head_came=functools.partial(phases.end, "first_byte"),
            )
            note("answered: status %d, %d bytes of body were read", response.status, len(response.body))
            facts["status"], facts["http_version"] = response.status, response.version
            length = response.content_length
            if length is not None:
                facts["content_length_bytes"] = length
            return response
        finally:
            stream.close()

    async def _start_tls(self, stream: Stream, hop: Hop) -> None:
        context = self._tls if hop.trusted else self._foreign_tls
        assert context is not None  # noqa: S101  # it is, for https and where redirects are followed
        name = self._options.server_name if hop.trusted else ""
        await stream.start_tls(context, name or hop.host)

    def _request(self, hop: Hop) -> bytes:
        if hop is self._first and self._first_request is not None:
            return self._first_request
        return request_of(hop, self._options, self._authorization() if hop.trusted else "")

    def _authorization(self) -> str:
        """Raises SecretError."""
        options, secrets = self._options, self.ports.secrets
        if options.bearer is not None:
            token = secrets.get(options.bearer)
            if any(character <= " " or character > "~" for character in token):
                raise SecretError(
                    "no header can hold it", where=str(options.bearer), hint="write the token alone"
                )
            return f"Bearer {token}"
        if options.password is None:
            return ""
        pair = f"{options.user}:{secrets.get(options.password)}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def _door(self, hop: Hop) -> Addresses:
        key = (hop.host, hop.port)
        door = self._doors.get(key)
        if door is None:
            door = Addresses(hop.host, hop.port, self.ports.clock)
            if len(self._doors) < _MOST_DOORS:
                self._doors[key] = door
        return door


class _Phases:
    """Where the time of an attempt went."""

    __slots__ = ("_clock", "_spent_s", "_start_s")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spent_s: dict[str, float] = {}
        self._start_s = 0.0

    def begin(self) -> None:
        self._start_s = self._clock.monotonic_s()

    def end(self, phase: str) -> None:
        now_s = self._clock.monotonic_s()
        self._spent_s[phase] = self._spent_s.get(phase, 0.0) + now_s - self._start_s
        self._start_s = now_s

    def facts(self) -> dict[str, int]:
        return {f"{phase}_ms": round(spent_s * 1000) for phase, spent_s in self._spent_s.items()}


def _add_certificate(facts: dict[str, Any], stream: Stream) -> None:
    key = "certificate_ends_s"
    found = certificate_facts(stream.certificate)
    if found:
        facts[key] = min(found[key], facts.get(key, found[key]))
