"""The way to a PostgreSQL server: addresses, libpq's connection string, and what the socket knows.

libpq hides the errno of a failed connection and blocks to look up names, so both are done here.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from psycopg import pq
from psycopg.conninfo import make_conninfo

from probes.os_errors import own_error
from probes.pg_errors import PgError

# A held connection to a host that went silent ends after about 5 s; long stalls are judged by the probes'
# own deadlines, this only clears away what is half open (pg_auto_failover #1180: 8 days).
_KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}


# A role's own setting must not hide the warning that a wait for a standby was given up (P8).
_OPTIONS = "-c client_min_messages=warning"


@dataclass(frozen=True, slots=True)
class PgTarget:
    """Where and as whom. The password is no part of it, so that it can be shown and compared."""

    host: str
    port: int
    user: str
    database: str
    application_name: str
    sslmode: str = "prefer"
    sslrootcert: str | None = None


async def resolve(host: str, port: int) -> list[str]:
    """Numeric addresses; libpq itself would block the loop to look a name up. Raises PgError."""
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise PgError(f"{host}: {exc.strerror or exc}", cause=exc) from exc
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def conninfo(target: PgTarget, address: str, password: str | None) -> bytes:
    """Lives only until libpq has read it."""
    text = make_conninfo(
        host=target.host,
        hostaddr=address,
        port=target.port,
        user=target.user,
        password=password,
        dbname=target.database,
        application_name=target.application_name,
        sslmode=target.sslmode,
        sslrootcert=target.sslrootcert,
        gssencmode="disable",
        client_encoding="UTF8",
        target_session_attrs="any",
        options=_OPTIONS,
        **_KEEPALIVES,  # type: ignore[arg-type]  # numbers are options like the rest
    )
    return text.encode()


def refused_at_once(conn: pq.abc.PGconn, address: str, port: int) -> PgError:
    """libpq gave up before it waited for anything, and keeps the errno: ask the system the same again."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            code = sock.connect_ex((address, port))
    except OSError as exc:
        return PgError(exc.strerror or str(exc), cause=exc)
    if code in (0, errno.EINPROGRESS):
        text = " ".join(conn.error_message.decode(errors="replace").split())
        return PgError(text, cause=OSError(errno.EINVAL, text))
    return PgError(os.strerror(code), cause=own_error(OSError(code, os.strerror(code))))


@contextlib.contextmanager
def lent_socket(conn: pq.abc.PGconn) -> Iterator[socket.socket]:
    """libpq's socket, lent: detached again, never closed here."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, fileno=conn.socket)
    try:
        yield sock
    finally:
        sock.detach()


def take_socket_error(conn: pq.abc.PGconn) -> OSError | None:
    """The pending error of the socket; reading it clears it."""
    with lent_socket(conn) as sock:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return OSError(code, os.strerror(code)) if code else None


def is_at_end(conn: pq.abc.PGconn) -> bool:
    """Has the peer closed, with nothing left to read?"""
    try:
        with lent_socket(conn) as sock:
            return sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
