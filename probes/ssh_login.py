"""One login by paramiko over a socket that is connected, and perhaps a command. Everything here blocks.

paramiko is known to hang where the peer is silent in the middle of something (its #1778, #2685). So nobody
waits for it: `shut` ends whatever waits on the socket, from any thread and at once.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import paramiko

from probes.captured import Captured
from probes.known_hosts import KnownKeys, name_in_file, read_known_keys
from probes.ssh_keys import KINDS, private_key

# What goes wrong is told by our readings; paramiko would print its tracebacks beside them.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

MOST_BYTES = 4 * 1024 * 1024  # of all that the peer sends in one attempt
# paramiko's own limits, none of which is to be relied on: the attempt is ended from outside long before.
LIMIT_S = 60.0
_POLL_S = 0.01
# Output may follow the exit status; what the command left running may hold its pipes open for ever.
_DRAIN_S = 0.25
_END_S = 2.0
_CHUNK_BYTES = 65536
# What paramiko lets out where a peer talks garbage.
_GARBAGE = (paramiko.SSHException, ValueError, IndexError, KeyError, TypeError, struct.error)


class HostKeyError(Exception):
    """The host is not known, or not the one that is known: nothing was said to it."""


class NotLetInError(Exception):
    """The server refuses the credentials."""


class OwnKeyError(Exception):
    """A file of ours can't be used."""


class GarbageError(Exception):
    """It is ssh, and not as it should be."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who logs in where, and by what: either a private key or a password."""

    host: str
    port: int
    user: str
    key: str | None
    password: str | None
    known_hosts: Path


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """`status`: of the command; None if there was none, or a signal ended it."""

    login_ms: int
    host_key: str
    status: int | None = None
    output: str = ""


class SshLogin:
    """`run` blocks, once; `shut` may come from any thread, at any time, and never blocks. Owns the socket."""

    def __init__(self, sock: socket.socket, heard: bytes, began_s: float, note: Callable[..., None]) -> None:
        self._sock = _Replayed(sock, heard)
        self._began_s = began_s
        self._note = note

    def shut(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def run(self, account: Account, command: Sequence[str] | None) -> LoggedIn:
        """Raises HostKeyError, NotLetInError, OwnKeyError, GarbageError, OSError (of the connection)."""
        transport: paramiko.Transport | None = None
        try:
            known = _known(account)
            transport = paramiko.Transport(self._sock)
            host_key = self._greet(transport, account, known)
            self._log_in(transport, account)
            login_ms = int((time.monotonic() - self._began_s) * 1000)
            self._note("logged in as %s after %d ms", account.user, login_ms)
            if not command:
                return LoggedIn(login_ms, host_key)
            status, output = self._run(transport, command)
            return LoggedIn(login_ms, host_key, status, output)
        except (EOFError, *_GARBAGE) as exc:
            raise self._broken(exc) from None
        finally:
            self._end(transport)

    def close(self) -> None:
        """Of a login that was never run."""
        self._sock.close()

    def _broken(self, exc: Exception) -> Exception:
        if self._sock.flooded:
            return GarbageError(f"it sends more than {MOST_BYTES} bytes")
        if self._sock.ended or isinstance(exc, EOFError):
            return ConnectionResetError("closed in the middle")
        return GarbageError(f"no proper ssh: {exc or type(exc).__name__}")

    def _greet(self, transport: paramiko.Transport, account: Account, known: KnownKeys) -> str:
        """Agree on keys and look who is there; before anything of ours is said."""
        options = transport.get_security_options()
        wanted = [kind for known_type in known.types for kind in _algorithms(known_type)]
        offered = [kind for kind in options.key_types if kind in wanted]
        options.key_types = (*offered, *(kind for kind in options.key_types if kind not in offered))
        transport.banner_timeout = transport.auth_timeout = LIMIT_S
        transport.start_client(timeout=LIMIT_S)
        key = transport.get_remote_server_key()
        shown = f"{key.get_name()} {key.fingerprint}"
        self._note("host key %s", shown)
        if known.trusts(key.get_base64()):
            return shown
        if key.get_base64() in known.revoked:
            raise HostKeyError(f"the host key {shown} is revoked in {account.known_hosts}")
        if known.trusted:
            raise HostKeyError(
                f"the host key {shown} is not the one in {account.known_hosts}: "
                "a reinstalled host, or somebody between you and it"
            )
        name = name_in_file(account.host, account.port)
        raise HostKeyError(f"the host key {shown} of {name} is not in {account.known_hosts}")

    def _log_in(self, transport: paramiko.Transport, account: Account) -> None:
        try:
            if account.key is not None:
                more = transport.auth_publickey(account.user, _private(account.key))
            else:
                more = transport.auth_password(account.user, account.password or "")
        except paramiko.AuthenticationException:
            if transport.is_active():
                raise NotLetInError(f"{account.user} is not let in") from None
            raise ConnectionResetError("closed during the login") from None
        if more:
            raise NotLetInError(f"{account.user} is not let in without {' and '.join(more)} too")

    def _run(self, transport: paramiko.Transport, command: Sequence[str]) -> tuple[int | None, str]:
        output = Captured()
        with contextlib.closing(transport.open_session(timeout=LIMIT_S)) as channel:
            channel.set_combine_stderr(True)
            channel.exec_command(shlex.join(command))
            channel.shutdown_write()
            while not channel.status_event.wait(_POLL_S):
                _take(channel, output)
            _drain(channel, output)
            status = channel.recv_exit_status()
        if status < 0 and not transport.is_active():
            raise EOFError
        self._note("the command ended: %s", "by a signal" if status < 0 else f"exit status {status}")
        return (None if status < 0 else status), output.text()

    def _end(self, transport: paramiko.Transport | None) -> None:
        """The socket is closed only when paramiko's thread is off it: its number may be another's then."""
        self.shut()
        if transport is not None:
            if transport.ident is not None:  # it was started
                transport.join(_END_S)
            # The thread of its handshake timer would live on for 15 s where the handshake failed.
            transport.packetizer.complete_handshake()
            transport.close()
        self._sock.close()


class _Replayed(socket.socket):
    """The socket, with what was read from it already, and at its end where the peer sends too much."""

    def __init__(self, sock: socket.socket, heard: bytes) -> None:
        super().__init__(fileno=sock.detach())
        self._heard = heard
        self._left_bytes = MOST_BYTES
        self.ended = self.flooded = False

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if self._heard:
            heard, self._heard = self._heard[:bufsize], self._heard[bufsize:]
            return heard
        chunk = super().recv(bufsize, flags)
        self.ended = not chunk
        self._left_bytes -= len(chunk)
        self.flooded = self._left_bytes < 0
        return b"" if self.flooded else chunk


def _known(account: Account) -> KnownKeys:
    try:
        return read_known_keys(account.known_hosts, account.host, account.port)
    except OSError as exc:
        raise OwnKeyError(f"{account.known_hosts} can't be read: {exc.strerror}") from None


def _private(text: str) -> paramiko.PKey:
    key = private_key(text)
    if key is None:
        raise OwnKeyError(f"the private key can't be used: {KINDS}")
    return key


def _algorithms(key_type: str) -> tuple[str, ...]:
    return ("rsa-sha2-512", "rsa-sha2-256") if key_type == "ssh-rsa" else (key_type,)


def _drain(channel: paramiko.Channel, output: Captured) -> None:
    """What follows the exit status."""
    drained_s = time.monotonic() + _DRAIN_S
    while True:
        # Looked at before taking: what came before the end is in the buffer by then.
        over = channel.closed or channel.eof_received or time.monotonic() > drained_s
        if not _take(channel, output):
            if over:
                return
            time.sleep(_POLL_S / 10)


def _take(channel: paramiko.Channel, output: Captured) -> bool:
    if not channel.recv_ready():
        return False
    output.add(channel.recv(_CHUNK_BYTES))
    return True
