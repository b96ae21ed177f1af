"""Sessions on MariaDB servers, over the product's own speaker of their protocol."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable
from typing import TypeVar

from config.credentials import Credential
from config.mariadb import MariadbService
from config.schema import Estate
from controller.adapters.clock import SystemClock
from model.errors import DeclinedError, RunbookError, SecretError
from model.ports import NoAnswerError, Secrets
from probes.addresses import Addresses
from probes.mariadb import MariadbOptions, mysql_tls
from probes.mysql_errors import MyError
from probes.mysql_session import MySession

T = TypeVar("T")

# `MyError.cause` of a connection that nobody took.
_REFUSED = ConnectionRefusedError
# Own words for whoever is held up: a statement of ours waits for no lock longer than this, in seconds. And
# texts are quoted as the standard has it, whatever the server's sql_mode is.
_SETTINGS = (
    "SET SESSION lock_wait_timeout = 2, innodb_lock_wait_timeout = 2, wait_timeout = 86400, "
    "sql_mode = 'NO_BACKSLASH_ESCAPES'"
)


class MysqlSessions:
    """`model.ports.Mysql` for one estate."""

    def __init__(self, estate: Estate, secrets: Secrets) -> None:
        self._estate = estate
        self._secrets = secrets
        self._addresses: dict[tuple[str, int], Addresses] = {}
        # Reading the authorities takes longer than the login.
        self._tls: dict[tuple[str, str], ssl.SSLContext | None] = {}

    async def connect(self, service: str, member: str, *, role: str, timeout_s: float) -> OpenSession:
        """See `model.ports.Mysql.connect`."""
        where = self._service(service)
        account = _account(where, role)
        opened = await _in_time(self._open(where, member, account), member, timeout_s, sent=False)
        session = OpenSession(member, opened)
        try:
            await session.query(_SETTINGS, timeout_s=timeout_s)
        except BaseException:
            session.close()
            raise
        return session

    async def _open(self, service: MariadbService, name: str, account: Credential) -> MySession:
        member, tls = service.members[name], service.mariadb.tls
        known = self._addresses.setdefault(
            (member.host, member.port), Addresses(member.host, member.port, SystemClock())
        )
        return await MySession.open(
            await known.get(),
            account.user,
            self._password(account),
            tls=self._context(service, name),
            server_name=member.host,
            tls_required=tls == "require",
        )

    def _context(self, service: MariadbService, name: str) -> ssl.SSLContext | None:
        key = (service.name, name)
        if key not in self._tls:
            member, settings = service.members[name], service.mariadb
            options = MariadbOptions(
                host=member.host, port=member.port, user=settings.monitor.user, tls=settings.tls
            )
            self._tls[key] = mysql_tls(options, name)
        return self._tls[key]

    def _service(self, name: str) -> MariadbService:
        service = self._estate.services[name]
        if not isinstance(service, MariadbService):
            raise RunbookError(f"{name} is made of {service.engine}, not of mariadb")
        return service

    def _password(self, account: Credential) -> str:
        """Raises NoAnswerError where its secret can't be read: nothing was sent."""
        try:
            return "" if account.password is None else self._secrets.get(account.password)
        except SecretError as error:
            raise NoAnswerError(f"{error.where}: {error.what}") from None


class OpenSession:
    """`model.ports.MysqlSession`."""

    def __init__(self, member: str, session: MySession) -> None:
        self._member = member
        self._session = session
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def connection(self) -> int:
        return self._session.connection

    async def query(self, statement: str, *, timeout_s: float) -> list[dict[str, str | None]]:
        if self._closed:
            raise NoAnswerError(f"{self._member}: the session is closed")
        try:
            return await _in_time(self._session.query(statement), self._member, timeout_s, sent=True)
        except NoAnswerError:
            self.close()
            raise
        except asyncio.CancelledError:
            self.close()  # an answer that nobody has read would be taken for that of the next statement
            raise

    def close(self) -> None:
        self._closed = True
        self._session.close()


async def _in_time(work: Awaitable[T], member: str, timeout_s: float, *, sent: bool) -> T:
    try:
        async with asyncio.timeout(max(timeout_s, 0.001)):
            return await work
    except TimeoutError:
        raise NoAnswerError(f"{member}: no answer within {timeout_s:.2f} s", outcome_unknown=sent) from None
    except MyError as error:
        raise _told(error, member, sent=sent) from None
    except OSError as error:
        raise NoAnswerError(f"{member}: {error.strerror or error}", outcome_unknown=sent) from None


def _told(error: MyError, member: str, *, sent: bool) -> NoAnswerError | DeclinedError:
    if error.server is not None:
        return DeclinedError(str(error), code=error.code, where=member)
    if isinstance(error.cause, _REFUSED):
        return NoAnswerError(f"{member}: connection refused", refused=True)
    return NoAnswerError(f"{member}: {error}", outcome_unknown=sent)


def _account(service: MariadbService, role: str) -> Credential:
    """Raises RunbookError where the estate names none."""
    settings = service.mariadb
    if role == "monitor":
        return settings.monitor
    if settings.control is None:
        raise RunbookError(
            f"the estate names no account that may change {service.name}",
            hint="mariadb: {control: {user: …, password: …}}",
        )
    return settings.control
