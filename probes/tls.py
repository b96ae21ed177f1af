"""Probe type `tls`: is the certificate that a server shows good, and for how long?

When it ends is told also where it is not good: by a second connection on which nothing is checked.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, field_validator

from model.observation import Failure, Layer
from probes.addresses import Address, Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.families import FamilyOptions, check_by_family
from probes.sockets import connect
from probes.starttls import NoStartTlsError, StartTls, begin
from probes.streams import Stream, reading_of_stream_error
from probes.tls_certificates import facts_of_chain, shown_chain
from probes.tls_settings import TlsOptions, tls_context
from probes.trace import note

DAY_S: Final = 86400
# As OpenSSL names them, in their order.
_VERSIONS: Final = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")


class TlsProbeOptions(FamilyOptions, TlsOptions):
    """Where to connect, and what is good."""

    host: str = Field(min_length=1, description="Name or address of the host.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(443, description="Its port.")
    starttls: StartTls = Field(
        "none", description="Protocol that begins in the clear and turns to TLS: postgresql or smtp."
    )
    min_days: int = Field(
        0,
        ge=0,
        le=3650,
        description="A certificate that ends in fewer days is a failure; with 0 one that has ended: for a"
        " warning in time the fact suffices.",
    )
    min_version: Literal["TLSv1.2", "TLSv1.3"] = Field(
        "TLSv1.2", description="The oldest version of TLS that may come of the handshake."
    )

    @field_validator("host", "server_name")
    @classmethod
    def _a_name_for_tls(cls, value: str) -> str:
        try:
            value.encode("idna")
        except UnicodeError as exc:
            raise ValueError(f"not a host's name: {value!r}: {exc}") from None
        if value.startswith("."):
            raise ValueError(f"a host's name does not begin with a dot: {value!r}")
        return value


class TlsProbe(Probe):
    """A server's certificate: its chain, name and dates.

    Facts: `certificate_ends_s`, seconds since 1970, of whichever certificate of the chain ends first, told
    also where it is not good; of the server's own `certificate_begins_s`, `subject`, `issuer` and `names`;
    `chain_length`; `verified`; `version` and `cipher` of the connection; `address`, which of the host's
    addresses answered; `families` with `family: both`, what each said.
    """

    type: ClassVar[str] = "tls"
    layer: ClassVar[Layer] = Layer.NETWORK
    Options = TlsProbeOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, TlsProbeOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._addresses = Addresses(options.host, options.port, ports.clock)
        self._context = tls_context(options, target)
        self._unchecked = tls_context(options.model_copy(update={"verify": False}), target)

    async def check(self) -> Reading:
        try:
            addresses = await self._addresses.get()
        except OSError as exc:
            return reading_of_stream_error(exc)
        return await check_by_family(addresses, self._options.family, self._check)

    async def _check(self, addresses: Sequence[Address]) -> Reading:
        try:
            facts = await self._shown(addresses, self._context, verified=self._options.verify)
        except ssl.SSLCertVerificationError as exc:
            note("not verified: %s", exc.verify_message)
            return reading_of_stream_error(exc).adding(await self._shown_unchecked(addresses))
        except NoStartTlsError as exc:
            return Reading.failed(Failure.BAD_ANSWER, str(exc))
        except OSError as exc:
            return reading_of_stream_error(exc)
        return self._judged(facts)

    async def _shown_unchecked(self, addresses: Sequence[Address]) -> dict[str, Any]:
        note("connecting again, without a check, to see the certificate")
        try:
            return await self._shown(addresses, self._unchecked, verified=False)
        except (OSError, NoStartTlsError) as exc:
            note("failed: %s", exc)
            return {"verified": False}

    async def _shown(
        self, addresses: Sequence[Address], context: ssl.SSLContext, *, verified: bool
    ) -> dict[str, Any]:
        """The facts of one connection. Raises OSError, NoStartTlsError."""
        options = self._options
        stream = Stream(await connect(addresses))
        try:
            address = stream.address
            note("connected to %s", address)
            await begin(stream, options.starttls)
            await stream.start_tls(context, options.server_name or options.host)
            secure = stream.sock
            assert isinstance(secure, ssl.SSLSocket)  # noqa: S101  # after the handshake
            cipher = secure.cipher()
            facts = {
                "address": address,
                "verified": verified,
                "version": secure.version() or "",
                "cipher": cipher[0] if cipher else "",
                **facts_of_chain(shown_chain(secure, verified=verified)),
            }
            note("the certificate is of %s, by %s", facts.get("subject"), facts.get("issuer"))
            return facts
        finally:
            stream.close()

    def _judged(self, facts: dict[str, Any]) -> Reading:
        options = self._options
        ends_s = facts.get("certificate_ends_s")
        if ends_s is None:
            return Reading.failed(
                Failure.BAD_ANSWER, "the server shows no certificate that can be read", **facts
            )
        if _VERSIONS.index(facts["version"]) < _VERSIONS.index(options.min_version):
            text = f"{facts['version']} was agreed on, at least {options.min_version} is wanted"
            return Reading.failed(Failure.BAD_ANSWER, text, **facts)
        left_s = ends_s - int(self.ports.clock.wall_s())
        days = left_s // DAY_S
        if left_s < 0:
            return Reading.failed(Failure.BAD_ANSWER, "the certificate has expired", **facts)
        if left_s < options.min_days * DAY_S:
            text = f"the certificate ends in {days} days, at least {options.min_days} are wanted"
            return Reading.failed(Failure.BAD_ANSWER, text, **facts)
        return Reading.ok(f"{facts['version']}, the certificate ends in {days} days", **facts)
