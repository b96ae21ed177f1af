"""SQL sessions on members of a service, for actions: the port `Sql` on probes.pg_session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from config.endpoints import DnsEndpoint, HaproxyEndpoint, VipEndpoint
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


# Behind a translation of addresses it is nobody's: then the server's history tells which one it is.
_WHERE_IT_IS = "SELECT host(inet_server_addr()), inet_server_port()"


class Way(NamedTuple):
    """Where clients connect, whoever is primary."""

    host: str
    port: int


def way_of(service: PostgresqlService) -> Way | None:
    """None: clients know the members."""
    endpoint = service.endpoint
    any_port = next(iter(service.members.values())).port
    match endpoint:
        case HaproxyEndpoint():
            return Way(endpoint.host, endpoint.port)
        case VipEndpoint():
            return Way(endpoint.host, endpoint.port or any_port)
        case DnsEndpoint():
            return Way(endpoint.name, endpoint.port or any_port)
        case _:
            return None


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
        """As a client: with a multi-host DSN and target_session_attrs=read-write the member that takes
        writes, of those in the endpoint's order; else whoever the endpoint leads to, by its own address where
        that is a member's. With a session there.

        Raises SqlError if none was found by `timeout_s`; its text says what each one answered last.
        """
        declared = postgresql_of(self._estate.service(service))
        way = way_of(declared)
        if way is not None:
            credential: Credential = getattr(declared.postgresql.roles, role)
            target = _led_to(declared, way, credential.user, database, application_name)
            return await self._led(declared, target, self._password(credential), timeout_s)

        async def connect(member: str, limit_s: float) -> MemberSession:
            return await self.connect(
                service,
                member,
                role=role,
                database=database,
                timeout_s=limit_s,
                application_name=application_name,
            )

        return await first_writable(
            declared.tried_in_order, connect, timeout_s, where=f"endpoint of {service}"
        )

    async def _led(
        self, service: PostgresqlService, target: PgTarget, password: str | None, timeout_s: float
    ) -> tuple[str, SqlSession]:
        """Through what leads clients to the primary: one address for all."""
        where = f"endpoint of {service.name}"

        async def connect(_name: str, limit_s: float) -> MemberSession:
            session = PgSession(target)
            with _sql_errors(where):
                try:
                    async with asyncio.timeout(limit_s):
                        await session.open(password, await self._resolved(target.host, target.port))
                except TimeoutError:
                    raise PgError(f"no session within {limit_s:g} s") from None
            return MemberSession(session, where)

        way = f"{target.host}:{target.port}"
        name, session = await first_writable([way], connect, timeout_s, where=where)
        [(host, port)] = await session.query(_WHERE_IT_IS, timeout_s=timeout_s)
        for member in service.members.values():
            if member.port == port and host in await self._resolve(member):
                return member.name, session
        return name, session

    def _password(self, credential: Credential) -> str | None:
        return None if credential.password is None else self._secrets.get(credential.password)

    async def _resolve(self, member: PostgresqlMember) -> list[str]:
        return await self._resolved(member.host, member.port)

    async def _resolved(self, host: str, port: int) -> list[str]:
        key = (host, port)
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


def _led_to(
    service: PostgresqlService, way: Way, user: str, database: str, application_name: str
) -> PgTarget:
    settings = service.postgresql
    root = str(settings.sslrootcert) if settings.sslrootcert else None
    return PgTarget(way.host, way.port, user, database, application_name, settings.sslmode, root)


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
