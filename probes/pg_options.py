"""What both PostgreSQL probe types are told of their server, and how they open sessions there."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from probes.addresses import Addresses
from probes.base import ProbeOptions, ProbePorts
from probes.pg_connect import PgTarget
from probes.pg_errors import PgError
from probes.pg_session import PgSession


class PgOptions(ProbeOptions):
    """`password` is a reference that the secrets port resolves at each connection, never the secret."""

    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    user: str
    password: Any = Field(default=None, repr=False)
    database: str = "bcm_canary"
    application_name: str = "bcm-failover"
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = "prefer"
    sslrootcert: str | None = None


class PgDoor:
    """Opens sessions on one server. The addresses of its name are kept, the password never is."""

    def __init__(self, options: PgOptions, ports: ProbePorts) -> None:
        self._options = options
        self._secrets = ports.secrets
        self._addresses = Addresses(options.host, options.port, ports.clock)

    def session(self, database: str | None = None) -> PgSession:
        """Not open yet."""
        options = self._options
        target = PgTarget(
            options.host,
            options.port,
            options.user,
            database or options.database,
            options.application_name,
            options.sslmode,
            options.sslrootcert,
        )
        return PgSession(target)

    async def open(self, session: PgSession) -> None:
        """Raises PgError, and SecretError where the password can't be read."""
        reference = self._options.password
        password = None if reference is None else self._secrets.get(reference)
        try:
            addresses = [address.host for address in await self._addresses.get()]
        except OSError as exc:
            raise PgError(exc.strerror or str(exc), cause=exc) from None
        await session.open(password, addresses)
