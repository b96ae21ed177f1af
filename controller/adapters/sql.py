"""SQL sessions on members of a service, for actions: the port `Sql` on probes.pg_session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from config.engines import postgresql_of
from config.schema import Credential, Estate, PostgresqlMember, PostgresqlService
from controller.adapters.clock import SystemClock
from controller.adapters.endpoint import first_writable
from model.errors import SecretError
from model.ports import Secrets, SqlError, SqlSession
from probes.addresses import Addresses
from probes.pg_connect import PgTarget
from probes.pg_errors import PgError
from probes.pg_session import PgSession

ENDPOINT_APPLICATION = "bcm-failover:endpoint"


class MemberSession:
    """model.ports.SqlSession. One statement at a time.

    Integers and booleans come converted, everything else as text. A statement that the server reports as
    done, though somebody cancelled its wait for a synchronous standby, raises with `outcome_unknown` (P8).
    """

    def __init__(self, session: PgSession, where: str) -> None:
        self._session = session
        self._where = where

    @property
    def closed(self) -> bool:
        """Also looks whether the server has ended it meanwhile."""
        return self._session.closed or self._session.ended() is not None

    @property
    def backend_pid(self) -> int:
        return self._session.backend_pid

    async def query(
        self, statement: str, params: Sequence[Any] = (), *, timeout_s: float
    ) -> list[tuple[Any, ...]]:
        """Raises SqlError. At the time-out the socket is shut and the session is gone."""
        with _sql_errors(self._where):
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._session.query(statement, params)
            except TimeoutError:
                raise PgError(f"no answer within {timeout_s:g} s", sent=True) from None

    async def close(self) -> None:
        self._session.abort()


class SqlSessions:
    """model.ports.Sql for an estate, and the client's way through a service's endpoint."""

    def __init__(self, estate: Estate, secrets: Secrets) -> None:
        self._estate = estate
        self._secrets = secrets
        self._clock = SystemClock()
        self._addresses: dict[tuple[str, int], Addresses] = {}

    async def connect(
        self, service: str, member: str, *, role: str, database: str, timeout_s: float, application_name: str
    ) -> MemberSession:
        """`role` is monitor, control or replication. Raises SqlError, at the latest after `timeout_s`."""
        declared = postgresql_of(self._estate.service(service))
        server = declared.members[member]
        credential: Credential = getattr(declared.postgresql.roles, role)
        session = PgSession(_target(declared, server, credential.user, database, application_name))
        where = f"{service}/{member}"
        with _sql_errors(where):
            try:
                async with asyncio.timeout(timeout_s):
                    await session.open(self._password(credential), await self._resolve(server))
            except TimeoutError:
                raise PgError(f"no session within {timeout_s:g} s") from None
        return MemberSession(session, where)

    async def connect_endpoint(
        self,
        service: str,
        *,
        role: str,
        database: str,
        timeout_s: float,
        application_name: str = ENDPOINT_APPLICATION,
    ) -> tuple[str, SqlSession]:
        """As a client with a multi-host DSN and target_session_attrs=read-write: the member that takes
        writes, of those in the endpoint's order (all of them, if it names none), and a session there.

        Raises SqlError if none was found by `timeout_s`; its text says what each one answered last.
        """
        declared = postgresql_of(self._estate.service(service))
        members = declared.endpoint.order or tuple(declared.members)

        async def connect(member: str, limit_s: float) -> MemberSession:
            return await self.connect(
                service,
                member,
                role=role,
                database=database,
                timeout_s=limit_s,
                application_name=application_name,
            )

        return await first_writable(members, connect, timeout_s, where=f"endpoint of {service}")

    def _password(self, credential: Credential) -> str | None:
        return None if credential.password is None else self._secrets.get(credential.password)

    async def _resolve(self, member: PostgresqlMember) -> list[str]:
        key = (member.host, member.port)
        addresses = self._addresses.setdefault(key, Addresses(*key, self._clock))
        try:
            return [address.host for address in await addresses.get()]
        except OSError as exc:
            raise PgError(exc.strerror or str(exc), cause=exc) from None


def _target(
    service: PostgresqlService, member: PostgresqlMember, user: str, database: str, application_name: str
) -> PgTarget:
    settings = service.postgresql
    root = str(settings.sslrootcert) if settings.sslrootcert else None
    return PgTarget(member.host, member.port, user, database, application_name, settings.sslmode, root)


@contextmanager
def _sql_errors(where: str) -> Iterator[None]:
    """What went wrong, as the port says it; without the chain, which could carry more than a person may
    see."""
    try:
        yield
    except PgError as error:
        code = f" (SQLSTATE {error.sqlstate})" if error.sqlstate else ""
        raise SqlError(
            f"{where}: {error}{code}",
            sqlstate=error.sqlstate,
            refused=error.refused,
            outcome_unknown=error.sent,
        ) from None
    except SecretError as error:
        raise SqlError(f"{where}: {error}") from None
