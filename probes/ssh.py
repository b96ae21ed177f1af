"""Probe type `ssh`: can one log in, and does a command there say what it should?

A login goes through much of a host: its network, a fork, its accounts, its disk. A host that answers pings
and lets nobody in is found out here. The host key must be known: to a stranger nothing is said, and nothing
that a stranger does makes a target `down`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from config.secrets import SecretRef
from model.errors import SecretError
from model.observation import Failure, Layer
from probes.addresses import Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.os_errors import reading_of_os_error
from probes.sockets import connect
from probes.ssh_banner import NoSshError, NotNowError, read_banner
from probes.ssh_login import (
    LIMIT_S,
    Account,
    GarbageError,
    HostKeyError,
    LoggedIn,
    NotLetInError,
    OwnKeyError,
    SshLogin,
)
from probes.texts import one_line
from probes.threads import AllBusyError, BoundedThreads, note_from_thread
from probes.trace import note

# Of all probes of this type together: a login takes a tenth of a second, so these are some hundred logins a
# second; more threads than that only hang.
MOST_AT_ONCE = 32

_threads = BoundedThreads("ssh probe", MOST_AT_ONCE)


class SshOptions(ProbeOptions):
    """Where to log in, as whom, and what to run there."""

    host: str = Field(min_length=1, description="Name or address.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(22, description="Port of sshd.")
    user: str = Field("bcm-failover", min_length=1, description="Login on the host.")
    key: SecretRef | None = Field(None, description="Private key (OpenSSH, without a passphrase).")
    password: SecretRef | None = Field(None, description="Password, where there is no key.")
    known_hosts: Path = Field(
        Path("/etc/bcm-failover/known_hosts"),
        description="Host keys; an unknown or changed one is refused, and the target is unknown.",
    )
    command: tuple[str, ...] = Field(
        (), description="A command to run there, as a list of words; it must end with exit status 0."
    )
    expect: str = Field("", description="A text that the command must print.")

    @field_validator("known_hosts")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        if not value.is_absolute():
            raise ValueError("must be an absolute path of a file in the format of known_hosts")
        return value

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.key is None) == (self.password is None):
            raise ValueError("give `key` or `password`, and not both")
        if self.expect and not self.command:
            raise ValueError("`expect` is what a `command` prints; give one")
        return self


class SshProbe(Probe):
    """A login over ssh, and a command if one is given.

    Facts: `address` that answered; `server`, its version; `login_ms` from the first packet to being let in;
    `host_key`, type and fingerprint; `exit_status` of the command.

    A host key that is unknown or has changed, and credentials that are refused, are unknown and never down.
    """

    type: ClassVar[str] = "ssh"
    layer: ClassVar[Layer] = Layer.SERVER
    Options = SshOptions

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, SshOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._addresses = Addresses(options.host, options.port, ports.clock)
        self._logins: set[SshLogin] = set()

    async def check(self) -> Reading:
        began_s = time.monotonic()
        try:
            addresses = await self._addresses.get()
            note("resolved %s to %s", self._options.host, ", ".join(a.host for a in addresses))
            sock = await connect(addresses)
        except OSError as exc:
            return reading_of_os_error(exc)
        facts: dict[str, Any] = {}
        try:
            # Of one that has hung up already there is none.
            with contextlib.suppress(OSError):
                facts["address"] = str(sock.getpeername()[0])
            note("connected to %s", facts.get("address", "nobody any more"))
            facts["server"], heard = await read_banner(sock)
            note("it is %s", facts["server"])
            login = SshLogin(sock, heard, began_s, note_from_thread())
        except BaseException as exc:
            sock.close()
            if isinstance(exc, NoSshError | NotNowError | OSError):
                return _failed(exc, facts)
            raise
        return await self._log_in(login, facts)

    def abandon(self) -> None:
        for login in list(self._logins):
            login.shut()

    async def _log_in(self, login: SshLogin, facts: dict[str, Any]) -> Reading:
        self._logins.add(login)
        try:
            result = _threads.start(lambda: self._work(login))
        except AllBusyError as exc:
            login.close()
            return Reading.unknown(Failure.LOCAL, f"logins of `ssh` probes: {exc}", **facts)
        else:
            try:
                await asyncio.wait({result}, timeout=LIMIT_S)
                if not result.done():
                    return Reading.failed(Failure.SILENT, f"no end within {LIMIT_S:g} s", **facts)
                return self._judged(result.result(), facts)
            except (SecretError, OSError, HostKeyError, NotLetInError, OwnKeyError, GarbageError) as exc:
                return _failed(exc, facts)
            finally:
                # By now it has ended, or must: paramiko finds its socket at its end.
                login.shut()
                if not result.cancel() and not result.cancelled():
                    result.exception()  # nobody else may ask for it
        finally:
            self._logins.discard(login)

    def _work(self, login: SshLogin) -> LoggedIn:
        """In its thread: secrets are files, and files can block."""
        options = self._options
        try:
            secrets = self.ports.secrets
            account = Account(
                options.host,
                options.port,
                options.user,
                None if options.key is None else secrets.get(options.key),
                None if options.password is None else secrets.get(options.password),
                options.known_hosts,
            )
        except BaseException:
            login.close()
            raise
        return login.run(account, options.command)

    def _judged(self, result: LoggedIn, facts: dict[str, Any]) -> Reading:
        facts |= {"login_ms": result.login_ms, "host_key": result.host_key}
        if not self._options.command:
            return Reading.ok(f"logged in after {result.login_ms} ms", **facts)
        said = one_line(result.output)
        note("it says: %s", said)
        if result.status is None:
            return Reading.failed(Failure.BAD_ANSWER, f"a signal ended the command: {said}", **facts)
        facts["exit_status"] = result.status
        if result.status != 0:
            text = f"the command ended with exit status {result.status}: {said}"
            return Reading.failed(Failure.BAD_ANSWER, text, **facts)
        if self._options.expect not in result.output:
            text = f"expected {self._options.expect!r}; the command says: {said}"
            return Reading.failed(Failure.BAD_ANSWER, text, **facts)
        return Reading.ok(said, **facts)


def _failed(error: Exception, facts: dict[str, Any]) -> Reading:
    """What an error says of the target."""
    note("failed: %s", error)
    match error:
        case SecretError():
            return Reading.unknown(Failure.LOCAL, f"{error.where}: {error.what}", **facts)
        case OwnKeyError():
            return Reading.unknown(Failure.LOCAL, str(error), **facts)
        case HostKeyError():
            return Reading.unknown(None, str(error), **facts)
        case NotLetInError():
            return Reading.unknown(Failure.CREDENTIALS, str(error), **facts)
        case NotNowError():
            return Reading.failed(Failure.SATURATED, str(error), **facts)
        case OSError():
            return reading_of_os_error(error).adding(facts)
        case _:
            return Reading.failed(Failure.BAD_ANSWER, one_line(str(error)), **facts)
