"""Probe type `amqp`: can one log in to a RabbitMQ (AMQP 0-9-1), and does it take messages?

Each attempt logs in on a fresh connection, opens the virtual host and closes it again. With `publish` it
sends one empty message to nowhere and waits for its confirmation: that finds a broker that has blocked
publishers for want of memory or disk, which nothing else shows to a client.
"""

from __future__ import annotations

import ssl
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from config.secrets import SecretRef
from model.errors import SecretError
from model.observation import Failure, Layer
from probes.addresses import Addresses
from probes.amqp_frames import NoAmqpError
from probes.amqp_session import AmqpSession, ClosedByBrokerError
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.sockets import keep_alive, reading_of_end
from probes.streams import Stream, open_stream, reading_of_stream_error
from probes.tls_settings import TlsOptions, tls_context
from probes.trace import note

# Of the specification, with RabbitMQ's use of them.
_CONNECTION_FORCED, _ACCESS_REFUSED, _NOT_ALLOWED = 320, 403, 530


class AmqpOptions(TlsOptions):
    """Where, as whom, and whether to send a message."""

    host: str = Field(min_length=1, description="Address or name of the broker.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        None, description="Port of the broker; 5672, or 5671 with `tls`."
    )
    user: str = Field(min_length=1, description="User to log in as (PLAIN).")
    password: SecretRef = Field(repr=False, description="Where the user's password is.")
    vhost: str = Field("/", min_length=1, max_length=200, description="Virtual host to open.")
    tls: bool = Field(False, description="Speak TLS.")
    publish: bool = Field(
        False,
        description="Send an empty message that no queue gets, and wait for its confirmation. The user needs "
        "to be allowed to write to `amq.default`.",
    )
    hold: bool = Field(True, description="Keep a connection open, to notice a crash or a stop at once.")

    @property
    def door(self) -> int:
        return self.port or (5671 if self.tls else 5672)

    @model_validator(mode="after")
    def _fit_to_send(self) -> Self:
        if "\0" in self.user or len(self.vhost.encode()) > 255:
            raise ValueError("a user has no NUL, and a virtual host at most 255 bytes")
        return self


class AmqpProbe(Probe):
    """One broker and virtual host.

    Facts: `product`, `version`, `cluster_name`; `blocked`, with `publish` only: publishers are blocked.

    A blocked broker is `disk_full` or `saturated`, as it says; one that closes connections because it is
    being stopped is `stopping`. A virtual host that is not there is a bad answer; a user who is not let in,
    there or at all, is unknown and never down.
    """

    type: ClassVar[str] = "amqp"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = AmqpOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, AmqpOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._addresses = Addresses(options.host, options.door, ports.clock)
        self._tls: ssl.SSLContext | None = tls_context(options, target) if options.tls else None

    async def check(self) -> Reading:
        facts: dict[str, Any] = {}
        try:
            stream = await self._open()
        except OSError as exc:
            return reading_of_stream_error(exc)
        try:
            session = AmqpSession(stream)
            await self._log_in(session, facts)
            blocked = await session.publish() if self._options.publish else None
            if self._options.publish:
                facts["blocked"] = blocked is not None
            if blocked is not None:
                # Not closed in good order: a blocked broker does not read that.
                kind = Failure.DISK_FULL if "disk" in blocked else Failure.SATURATED
                return Reading.failed(kind, f"publishers are blocked: {blocked}", **facts)
            await session.close()
            return Reading.ok(f"{facts['product']} {facts['version']}", **facts)
        except (ClosedByBrokerError, NoAmqpError, SecretError, OSError) as exc:
            note("failed: %s", exc)
            return _with(_reading_of(exc), facts)
        finally:
            stream.close()

    async def hold(self) -> Reading | None:
        if not self.keeps_connection:
            return None
        try:
            stream = await self._open()
        except OSError:
            return None  # the attempts tell what is wrong
        try:
            session = AmqpSession(stream)
            try:
                await self._log_in(session, {})
            except (ClosedByBrokerError, NoAmqpError, SecretError, OSError):
                return None
            keep_alive(stream.sock)
            return _reading_of_farewell(await session.until_closed())
        except ConnectionResetError as exc:
            return reading_of_end(exc if exc.errno else None)
        except ssl.SSLError:
            return reading_of_end()
        except (NoAmqpError, OSError) as exc:
            return reading_of_end(exc) if isinstance(exc, OSError) else None
        finally:
            stream.close()

    async def _open(self) -> Stream:
        options = self._options
        return await open_stream(await self._addresses.get(), self._tls, options.server_name or options.host)

    async def _log_in(self, session: AmqpSession, facts: dict[str, Any]) -> None:
        broker = await session.start()
        facts |= {"product": broker.product, "version": broker.version, "cluster_name": broker.cluster_name}
        if "PLAIN" not in broker.mechanisms:
            offered = ", ".join(broker.mechanisms[:8])
            raise NoAmqpError(f"the broker does not offer PLAIN, only {offered or 'nothing'}")
        await session.log_in(self._options.user, self.ports.secrets.get(self._options.password))
        await session.open(self._options.vhost)


def _reading_of(error: Exception) -> Reading:
    match error:
        case ClosedByBrokerError():
            return _reading_of_close(error)
        case SecretError():
            return Reading.unknown(Failure.LOCAL, f"{error.where}: {error.what}")
        case OSError():
            return reading_of_stream_error(error)
        case _:
            return Reading.failed(Failure.BAD_ANSWER, str(error))


def _reading_of_close(closed: ClosedByBrokerError) -> Reading:
    text = closed.text
    refused = closed.code == _ACCESS_REFUSED
    if closed.code == _NOT_ALLOWED:  # RabbitMQ says by its words alone what it does not allow
        if "limit" in text:
            return Reading.failed(Failure.SATURATED, text)
        refused = "refused" in text
    if refused:
        return Reading.unknown(Failure.CREDENTIALS, text)
    if closed.code == _CONNECTION_FORCED:
        return Reading.failed(Failure.STOPPING, text)
    return Reading.failed(Failure.BAD_ANSWER, str(closed))


def _reading_of_farewell(closed: ClosedByBrokerError) -> Reading:
    """A held connection is closed by a broker that is being stopped, or by a person who closes this one."""
    if closed.code == _CONNECTION_FORCED and "shutdown" in closed.text:
        return Reading.failed(Failure.STOPPING, closed.text)
    return Reading.unknown(None, f"the held connection was closed: {closed}")


def _with(reading: Reading, facts: dict[str, Any]) -> Reading:
    return reading.adding(facts)
