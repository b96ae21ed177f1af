"""SQL sessions of a simulated controller: the port `Sql` onto simulated servers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from config.postgresql import of_postgresql
from config.schema import Estate
from controller.adapters.endpoint import first_writable
from controller.simulate.loop import VirtualLoop
from controller.simulate.network import KEEPALIVE_S
from controller.simulate.postgres import Backend, Postgres
from controller.simulate.statements import execute
from model.ports import SqlError, SqlSession

if TYPE_CHECKING:
    from controller.simulate.world import World

_TEXTS: Final = {
    "57P03": "the database system is starting up",
    "53300": "sorry, too many clients already",
    "28P01": "password authentication failed",
    "25006": "cannot execute in a read-only transaction",
    "55000": "recovery is not in progress",
    "57P01": "terminating connection due to administrator command",
}
ROLES: Final = {"monitor": "bcm_monitor", "control": "bcm_control", "replication": "bcm_replication"}
_FORK_S: Final = 0.002


class SimulatedSession:
    """model.ports.SqlSession."""

    def __init__(self, sessions: SimulatedSql, server: Postgres) -> None:
        self._sessions = sessions
        self._server = server
        self._backend: Backend | None = None
        self._fate = server.host.fate  # when it was opened
        self._closed = False
        self._why = ""
        self._waiting: asyncio.Future[Any] | None = None
        self._dropped = False  # what had not got through when it was reset never will

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def backend_pid(self) -> int:
        return self._backend.pid if self._backend is not None else 0

    async def open(self, application: str, user: str, timeout_s: float) -> None:
        """Raises SqlError."""
        server, sessions = self._server, self._sessions
        host = sessions.host

        def asked() -> None:
            if not server.running:
                reply(None, "refused")
            elif not server.postmaster_stopped:
                server.do(lambda: server.later(_FORK_S, admit))

        def admit() -> None:
            admitted = server.admit(application, user, host, self._ended, sessions.loop)
            if isinstance(admitted, Backend):
                reply(admitted, "")
            else:
                reply(None, admitted)

        def reply(backend: Backend | None, problem: str) -> None:
            sessions.world.network.send(
                server.host.name, host, lambda: sessions.loop.deliver(self._opened, waiting, backend, problem)
            )

        waiting = sessions.loop.create_future()
        sessions.world.network.send(host, server.host.name, asked)
        self._fate = self._server.host.fate
        self._backend = await self._await(waiting, timeout_s)

    def _opened(self, waiting: asyncio.Future[Any], backend: Backend | None, problem: str) -> None:
        if waiting.done():  # nobody waits any more: the socket is shut
            if backend is not None:
                self._backend = backend
                self._say_goodbye()
        elif backend is not None:
            waiting.set_result(backend)
        else:
            self._closed = True
            waiting.set_exception(self._error(problem))

    async def query(self, statement: str, params: Sequence[Any] = (), *, timeout_s: float) -> list[Any]:
        if self._closed:
            raise self._error(self._why)
        server, sessions, backend = self._server, self._sessions, self._backend
        waiting = sessions.loop.create_future()

        def arrived() -> None:
            if self._dropped:
                return
            if server.running:
                server.do(run)
            else:  # its socket is gone: a reset
                sessions.world.network.send(server.host.name, sessions.host, lambda: self._ended("crash"))

        def run() -> None:
            if backend is not None and backend.pid in server.backends:
                execute(server, backend, statement, params, answer)

        def answer(rows: list[Any], sqlstate: str | None) -> None:
            sessions.world.network.send(
                server.host.name, sessions.host, lambda: sessions.loop.deliver(told, rows, sqlstate)
            )

        def told(rows: list[Any], sqlstate: str | None) -> None:
            if waiting.done():
                if self._closed:  # an answer to a socket that is shut meets a reset
                    self._say_goodbye()
                return
            if sqlstate is None:
                waiting.set_result(rows)
            else:
                waiting.set_exception(self._error(sqlstate))

        sessions.world.network.send(sessions.host, server.host.name, arrived)
        rows: list[Any] = await self._await(waiting, timeout_s)
        return rows

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._waiting is None:
                self._say_goodbye()
            else:
                self._reset()

    async def _await(self, waiting: asyncio.Future[Any], timeout_s: float) -> Any:
        """The result; at the time-out, and when it is cancelled, the socket is shut."""
        timer = self._sessions.loop.call_later(timeout_s, self._timed_out, waiting, timeout_s)
        self._waiting = waiting
        if timeout_s > KEEPALIVE_S:
            self._keep_alive(waiting, self._fate, 0)
        try:
            return await waiting
        except asyncio.CancelledError:
            await self.close()
            raise
        finally:
            self._waiting = None
            timer.cancel()

    def _keep_alive(self, waiting: asyncio.Future[Any], fate: int, missed: int) -> None:
        """The kernel's: a host that is gone, or was away, ends the connection."""
        sessions, host = self._sessions, self._server.host
        if waiting.done():
            return
        there, missed = sessions.world.network.kept_alive(sessions.host, host.name, missed)
        if missed > 1 or (there and host.fate != fate):
            self._hear_end("closed")
        else:
            self._sessions.loop.call_later(KEEPALIVE_S, self._keep_alive, waiting, fate, missed)

    def _timed_out(self, waiting: asyncio.Future[Any], timeout_s: float) -> None:
        if waiting.done():
            return
        sent = self._backend is not None
        self._closed = True
        self._reset()
        text = f"{self._server.name}: no answer within {timeout_s:g} s"
        waiting.set_exception(SqlError(text, outcome_unknown=sent))

    def _reset(self) -> None:
        """Shut while a statement waits for its answer: what is still to be sent is dropped, and the reset is
        sent once (probes/pg_session.py)."""
        network, way = self._sessions.world.network, (self._sessions.host, self._server.host.name)
        self._dropped = way in network.cut or way in network.loss
        if way not in network.cut:
            self._say_goodbye()

    def _say_goodbye(self) -> None:
        """The server learns that its client is gone, if anything reaches it."""
        backend, server = self._backend, self._server
        if backend is not None:
            self._sessions.world.network.send(
                self._sessions.host,
                server.host.name,
                lambda: server.do(lambda: server.client_gone(backend.pid)),
            )

    def _ended(self, how: str) -> None:
        """From the server, over the network."""
        self._sessions.loop.deliver(self._hear_end, how)

    def _hear_end(self, how: str) -> None:
        if self._closed:
            return
        self._closed = True
        self._why = "57P01" if how == "admin" else "closed"
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            waiting.set_exception(self._error(self._why, sent=True))

    def _error(self, problem: str, *, sent: bool = False) -> SqlError:
        name = self._server.name
        if problem == "refused":
            return SqlError(f"{name}: connection refused", refused=True)
        if problem in _TEXTS:
            return SqlError(f"{name}: {_TEXTS[problem]}", sqlstate=problem, outcome_unknown=sent)
        return SqlError(f"{name}: the connection ended", outcome_unknown=sent)


class SimulatedSql:
    """model.ports.Sql, of one controller on one host."""

    def __init__(self, world: World, loop: VirtualLoop, host: str, estate: Estate) -> None:
        self.world = world
        self.loop = loop
        self.host = host
        self._estate = estate

    async def connect(
        self, service: str, member: str, *, role: str, database: str, timeout_s: float, application_name: str
    ) -> SqlSession:
        session = SimulatedSession(self, self.world.server(service, member))
        await session.open(application_name, ROLES[role], timeout_s)
        return session

    async def connect_endpoint(
        self, service: str, *, role: str, database: str, timeout_s: float
    ) -> tuple[str, SqlSession]:
        declared = of_postgresql(self._estate.service(service))
        members = declared.tried_in_order

        async def connect(member: str, limit_s: float) -> SqlSession:
            return await self.connect(
                service,
                member,
                role=role,
                database=database,
                timeout_s=limit_s,
                application_name="bcm-failover:endpoint",
            )

        return await first_writable(members, connect, timeout_s, where=f"endpoint of {service}")
