"""One ssh connection to a node, shared by the commands that run there. Everything here blocks.

paramiko is known to hang where the peer is silent in the middle of something (its #1778, #2685). So the
socket is made here, and `shut` ends whatever waits on it, from any thread and at once.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from dataclasses import dataclass

import paramiko

from config.schema import SshAccess as SshSettings
from model.errors import NodeAccessError, SecretError
from model.ports import Secrets
from probes.ssh_keys import KINDS, private_key

# What goes wrong is told by our own errors; paramiko would print its tracebacks beside them.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

# A connection to a host that went silent ends after about 5 s, and with it what hangs on it.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)


@dataclass(frozen=True, slots=True)
class SshTarget:
    node: str
    address: str
    settings: SshSettings

    @property
    def where(self) -> str:
        return f"node {self.node} (ssh {self.settings.user}@{self.address}:{self.settings.port})"

    def error(self, what: str, hint: str = "") -> NodeAccessError:
        return NodeAccessError(what, where=self.where, hint=hint)


class SshLink:
    """`users` and `retired` are kept by whoever shares it out, under its own lock."""

    def __init__(self, target: SshTarget) -> None:
        self.users = 0
        self.retired = False
        self._target = target
        self._client = paramiko.SSHClient()
        self._client.set_missing_host_key_policy(paramiko.RejectPolicy())
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._shut = False

    @property
    def alive(self) -> bool:
        transport = self._client.get_transport()
        return transport is not None and transport.is_active() and not self._shut

    def connect(self, secrets: Secrets, timeout_s: float) -> None:
        """Connect and log in. Raises NodeAccessError."""
        target, settings = self._target, self._target.settings
        deadline_s = time.monotonic() + timeout_s
        self._load_known_hosts()
        key = self._key(secrets)
        try:
            sock = self._connect_socket(timeout_s)
            left_s = max(deadline_s - time.monotonic(), 0.001)
            self._client.connect(
                target.address,
                settings.port,
                settings.user,
                pkey=key,
                sock=sock,
                timeout=left_s,
                banner_timeout=left_s,
                auth_timeout=left_s,
                allow_agent=key is None,
                look_for_keys=False,
            )
        except (OSError, EOFError, paramiko.SSHException) as exc:
            self.close()
            raise self._error(exc) from None

    def open_channel(self, timeout_s: float) -> paramiko.Channel:
        """Raises NodeAccessError; then nothing was run, and the link is of no use."""
        transport = self._client.get_transport()
        try:
            if transport is None:
                raise EOFError
            return transport.open_session(timeout=timeout_s)
        except (OSError, EOFError, paramiko.SSHException) as exc:
            raise self._error(exc) from None

    def shut(self) -> None:
        """Never blocks: whoever waits on the socket finds it at its end."""
        with self._lock:
            self._shut = True
            if self._sock is not None:
                with contextlib.suppress(OSError):
                    self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.shut()
        transport = self._client.get_transport()
        if transport is not None:
            # The thread of its handshake timer would live on for 15 s where the handshake failed.
            transport.packetizer.complete_handshake()
        self._client.close()
        if self._sock is not None:
            self._sock.close()

    def _connect_socket(self, timeout_s: float) -> socket.socket:
        sock = socket.create_connection((self._target.address, self._target.settings.port), timeout_s)
        with self._lock:
            self._sock = sock
            if self._shut:
                raise EOFError
        for level, option, value in _KEEPALIVE:
            sock.setsockopt(level, option, value)
        return sock

    def _load_known_hosts(self) -> None:
        path = self._target.settings.known_hosts
        try:
            self._client.load_system_host_keys(str(path))
        except OSError as exc:
            raise self._target.error(
                f"known host keys can't be read: {path}: {exc.strerror}", self._keyscan()
            ) from None

    def _key(self, secrets: Secrets) -> paramiko.PKey | None:
        reference = self._target.settings.key
        if reference is None:
            return None
        try:
            text = secrets.get(reference)
        except SecretError as error:
            raise self._target.error(f"the private key can't be read: {error}") from None
        key = private_key(text)
        if key is None:
            raise self._target.error(f"{reference} is no private key that can be used", KINDS)
        return key

    def _error(self, exc: Exception) -> NodeAccessError:
        target = self._target
        match exc:
            case paramiko.BadHostKeyException():
                return target.error(
                    f"the host key is not the one in {target.settings.known_hosts}",
                    "find out why before anything else: a reinstalled host, or somebody between you and it",
                )
            case paramiko.AuthenticationException():
                return target.error(
                    f"{target.settings.user} is not let in",
                    "check the key, and authorized_keys of that account on the node",
                )
            case paramiko.SSHException() if "known_hosts" in str(exc):
                return target.error(f"the host key is not in {target.settings.known_hosts}", self._keyscan())
            case OSError() if exc.strerror or str(exc):
                return target.error(exc.strerror or str(exc))
            case paramiko.SSHException():
                return target.error(str(exc))
            case _:
                return target.error("the connection was closed")

    def _keyscan(self) -> str:
        settings = self._target.settings
        return (
            f"ssh-keyscan -p {settings.port} {self._target.address} >> {settings.known_hosts}, "
            "and compare the fingerprint with the host's own"
        )
