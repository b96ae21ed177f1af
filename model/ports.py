"""The ports: everything of the outside world that probes, actions and the daemon may touch.

The daemon binds them to real clocks, disks and hosts; a simulator binds them to a virtual world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from model.events import Event
from model.health import Health


@runtime_checkable
class Clock(Protocol):
    """Monotonic seconds for every difference; wall seconds since 1970 UTC only to be recorded."""

    def monotonic_s(self) -> float: ...

    def wall_s(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class Journal(Protocol):
    """Append-only, hash-chained. `append` returns after the record is on disk (fsync)."""

    async def append(
        self,
        type_: str,
        data: Mapping[str, Any],
        *,
        service: str | None = None,
        incident: str | None = None,
        execution: str | None = None,
        actor: str = "daemon",
        anchor: bool = False,
    ) -> Event:
        """Write one event.

        `incident="new"` or `execution="new"` makes the id from the record's own seq (`INC-12`, `EXE-13`).
        `anchor=True` also fsyncs (seq, hash) to the anchor file and sends it to the system log before
        returning: done before each changing step.

        Raises LeadershipLostError if a newer epoch has been taken, JournalFullError if the disk is full,
        JournalError otherwise; in each case nothing was written and nothing may be changed.
        """
        ...

    def events(
        self,
        *,
        since_seq: int = 0,
        types: Iterable[str] | None = None,
        service: str | None = None,
        incident: str | None = None,
        execution: str | None = None,
    ) -> Sequence[Event]:
        """Events in order, filtered. Reads only."""
        ...


class Lease(Protocol):
    """Leadership on this store: one owner, an epoch that only grows (S1, S4). Not a timer: an owner."""

    @property
    def epoch(self) -> int: ...

    def held(self) -> bool:
        """True while this process is the owner and its epoch is current; checked before every step."""
        ...


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Of a command on a node. `exit_code` None means that the outcome is not known."""

    exit_code: int | None
    stdout: str
    stderr: str
    took_s: float

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


class NodeAccess(Protocol):
    """Commands on one node. Arguments are a list and are never spliced into a shell string."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        user: str | None = None,
        stdin: bytes | None = None,
        env: Mapping[str, str] | None = None,
    ) -> CommandResult:
        """Raises NodeAccessError if the node can't be reached; a time-out gives exit_code None."""
        ...

    def describe(self, argv: Sequence[str], *, user: str | None = None) -> str:
        """The command as a person would type it; for plans and logs."""
        ...


class HaproxyApi(Protocol):
    """The runtime API of HAProxy processes."""

    async def ask(self, socket: str, command: str, *, timeout_s: float) -> str:
        """The whole answer to one command. socket: the absolute path of a file on this host, or HOST:PORT.

        Raises BalancerError; ValueError for a command that would be more than one.
        """
        ...


class NameServers(Protocol):
    """DNS messages to servers that are named, over TCP: no cache and no resolver in between."""

    async def ask(self, server: str, message: bytes, *, timeout_s: float) -> bytes:
        """The answer's message as it came, unchecked. server: HOST or HOST:PORT. Raises NameServerError."""
        ...


class Secrets(Protocol):
    """Resolves a reference to a secret; the value never reaches a log (S12)."""

    def get(self, reference: Any) -> str: ...


class Heartbeats(Protocol):
    """What was pushed to this controller: silence is the failure."""

    def last(self, name: str) -> tuple[float, str] | None:
        """(monotonic seconds at which the last push of `name` came, its status text); None: none came yet."""
        ...


@dataclass(frozen=True, slots=True)
class Sighting:
    """What detection makes of one target now. began_s: when the attempt began that it is based on, in
    monotonic seconds; None: there was none yet."""

    health: Health
    began_s: float | None
    why: str


class OutputFiles(Protocol):
    """Keeps what a step printed, where it is too long for the journal."""

    async def keep(self, execution: str, name: str, text: str) -> str:
        """Path of the file; empty if it could not be kept. `name`: of the step, and what it is."""
        ...


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """verify: check the server's certificate, against the authorities of `ca_file` (PEM) or the system's.
    Redirects are not followed, and no proxy is used."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    verify: bool = True
    ca_file: str | None = None


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Names of headers are in small letters. complete: `body` is all of it, and not only its beginning."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True


class HttpError(Exception):
    """There is no answer. sent: the request may have been received, and may have had its effect."""

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent


class Http(Protocol):
    """Requests on connections of their own."""

    async def request(self, request: HttpRequest, *, timeout_s: float) -> HttpAnswer:
        """Any status is an answer. Raises HttpError, at the latest after `timeout_s`."""
        ...


Sleeper = Callable[[float], Any]


class SqlSession(Protocol):
    """One session on one database server. Autocommit: each statement is its own transaction."""

    @property
    def closed(self) -> bool: ...

    @property
    def backend_pid(self) -> int: ...

    async def query(
        self, statement: str, params: Sequence[Any] = (), *, timeout_s: float
    ) -> list[tuple[Any, ...]]:
        """Rows of a statement ([] if it gives none).

        At the time-out the socket is shut, never cancelled at the server: a cancelled wait for synchronous
        replication reports success (P8). Raises SqlError.
        """
        ...

    async def close(self) -> None: ...


class Sql(Protocol):
    """Opens sessions on members of a service. `role` is monitor, control or replication."""

    async def connect(
        self, service: str, member: str, *, role: str, database: str, timeout_s: float, application_name: str
    ) -> SqlSession:
        """Raises SqlError."""
        ...

    async def connect_endpoint(
        self, service: str, *, role: str, database: str, timeout_s: float
    ) -> tuple[str, SqlSession]:
        """As a client of the service: (the member that takes writes, a session there). Raises SqlError."""
        ...


class NoAnswerError(Exception):
    """A server of Redis or MariaDB did not answer: `refused` (nobody listens), or silent or cut.
    `outcome_unknown`: the command was sent, and may have taken effect."""

    def __init__(self, text: str, *, refused: bool = False, outcome_unknown: bool = False) -> None:
        super().__init__(text)
        self.refused = refused
        self.outcome_unknown = outcome_unknown


class Redis(Protocol):
    """Commands to the members of a service of Redis, and to its Sentinels."""

    async def ask(
        self,
        service: str,
        target: str,
        commands: Sequence[Sequence[str]],
        *,
        timeout_s: float,
        monitor: bool = False,
    ) -> list[Any]:
        """The reply to each, sent together over a fresh connection: text, number, list or None.

        target: a member's name, or HOST:PORT of a Sentinel. monitor: as the account that looks, not as the
        one that changes. What the server refuses is a `Refused` in its place. Raises NoAnswerError.
        """
        ...


class Refused(str):
    """What Redis answered instead of doing it, whole; `code` is its first word, in capitals."""

    __slots__ = ()

    @property
    def code(self) -> str:
        return self.partition(" ")[0]


class MysqlSession(Protocol):
    """One session on one server of MariaDB. Autocommit: each statement is its own transaction."""

    @property
    def closed(self) -> bool: ...

    @property
    def connection(self) -> int:
        """Its number at the server."""
        ...

    async def query(self, statement: str, *, timeout_s: float) -> list[dict[str, str | None]]:
        """Rows by column name, [] if there are none. At the time-out the socket is shut, and nothing is
        cancelled at the server: a cancelled wait for a replica reports success (P8).

        Raises NoAnswerError, after which the session is closed, and DeclinedError.
        """
        ...

    def close(self) -> None: ...


class Mysql(Protocol):
    """Opens sessions on the members of a service of MariaDB."""

    async def connect(self, service: str, member: str, *, role: str, timeout_s: float) -> MysqlSession:
        """role: monitor, which looks and writes the canary, or control, which changes. Raises NoAnswerError,
        and DeclinedError where the server lives and lets nobody in."""
        ...


class SqlError(Exception):
    """`sqlstate` is the server's five-letter code, or None where no server answered; `outcome_unknown` is
    set where the statement may have taken effect (the connection was lost after it was sent)."""

    def __init__(
        self, text: str, *, sqlstate: str | None = None, refused: bool = False, outcome_unknown: bool = False
    ) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate
        self.refused = refused
        self.outcome_unknown = outcome_unknown
