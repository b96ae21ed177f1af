"""What both PostgreSQL probe types are told of their server, and how they open sessions there."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.secrets import SecretRef
from probes.addresses import Addresses
from probes.base import ProbeOptions, ProbePorts
from probes.pg_connect import PgTarget
from probes.pg_errors import PgError
from probes.pg_session import PgSession


class PgOptions(ProbeOptions):
    """`password` is a reference that the secrets port resolves at each connection, never the secret."""

    host: str = Field(description="Address or name of the server.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(5432, description="Port of the server.")
    user: str = Field(description="Database role that looks: the service's monitor role.")
    password: SecretRef | None = Field(None, repr=False, description="Where the role's password is.")
    database: str = Field("bcm_canary", description="Database to connect to.")
    application_name: str = Field("bcm-failover", description="As it stands in pg_stat_activity.")
    sslmode: Literal["disable", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "prefer", description="As in libpq."
    )
    sslrootcert: str | None = Field(None, description="As in libpq; for verify-ca and verify-full.")


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
