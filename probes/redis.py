"""Probe type `redis`: does a Redis server answer, in which role, and does it take a write?

Each attempt opens a fresh connection, logs in and asks. One more connection can be held, whose end tells of
a crash within milliseconds. With `write_key` a real write is made: it finds what an answer to PING hides, a
full memory or disk and a master that became a replica.
"""

from __future__ import annotations

import ssl
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from config.secrets import SecretRef
from model.errors import SecretError
from model.observation import Failure, Layer
from probes.addresses import Addresses
from probes.base import Probe, ProbeOptions, ProbePorts, Reading
from probes.redis_judge import facts_of, managed_by, parse_info, reading_of
from probes.resp import NoRedisError, RedisError, Reply, command, read_replies, read_reply
from probes.streams import Stream, held_stream_until_end, open_stream, reading_of_stream_error
from probes.tls_settings import TlsOptions, tls_context
from probes.trace import note

# One by one: servers before 7 take a single section.
_SECTIONS = ("replication", "memory", "persistence", "clients", "cluster")
# Whoever may not ask this, or has no Sentinel, is answered all the same.
_SENTINELS = ("PUBSUB", "CHANNELS", "__sentinel__:hello")


class RedisOptions(TlsOptions):
    """Where, as whom, and what must hold."""

    host: str = Field(min_length=1, description="Address or name of the server.")
    port: Annotated[int, Field(ge=1, le=65535)] = Field(6379, description="Port of the server.")
    user: str = Field("", description="ACL user; the default user, if empty.")
    password: SecretRef | None = Field(None, repr=False, description="Where the user's password is.")
    tls: bool = Field(False, description="Speak TLS.")
    role: Literal["any", "master", "replica"] = Field(
        "any", description="The role it must have; another one is a bad answer."
    )
    write_key: str = Field(
        "",
        description="Write this key at each attempt, and read it back; for a master. Nobody else may use it.",
    )
    write_ttl_s: int = Field(
        60, ge=1, le=86400, description="After how many seconds the key is gone by itself."
    )
    hold: bool = Field(True, description="Keep a connection open, to notice a crash at once.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.user and self.password is None:
            raise ValueError("a `user` has a `password`")
        if self.write_key and self.role == "replica":
            raise ValueError("a replica takes no writes: `write_key` is for a master")
        return self


class RedisProbe(Probe):
    """One Redis server.

    Facts: `role` (master or replica); `replication_offset` in bytes; `connected_replicas`; `link_up` of a
    replica; `lag_s` since a replica heard its master, or since the slowest replica acknowledged;
    `used_memory_bytes`, `max_memory_bytes` (0: no limit), `connected_clients`, `max_clients`, `loading`;
    `last_save_ok`: the last background save succeeded; `replid`: of the history that it has, `syncing` of a
    replica that is being given another one; `replicas_in_touch`, where `min-replicas-to-write` is in force;
    `other_manager`: `redis-cluster` or `sentinel`, where one moves its masters by itself; `canary_n`: the
    number that was written under `write_key`, or that is there.

    A write that is refused is `read_only`, `saturated` (out of memory), `sync_blocked` (too few replicas),
    `disk_full` or `bad_answer` (can't save, for another reason).
    """

    type: ClassVar[str] = "redis"
    layer: ClassVar[Layer] = Layer.APPLICATION
    Options = RedisOptions
    concurrent: ClassVar[int] = 4

    def __init__(self, target: str, options: ProbeOptions, ports: ProbePorts) -> None:
        super().__init__(target, options, ports)
        assert isinstance(options, RedisOptions)  # noqa: S101  # narrows the type
        self._options = options
        self._addresses = Addresses(options.host, options.port, ports.clock)
        self._tls: ssl.SSLContext | None = tls_context(options, target) if options.tls else None

    async def check(self) -> Reading:
        try:
            login = self._login()
            stream = await self._open()
        except SecretError as exc:
            return Reading.unknown(Failure.LOCAL, f"{exc.where}: {exc.what}")
        except OSError as exc:
            return reading_of_stream_error(exc)
        try:
            return await self._converse(stream, login)
        except NoRedisError as exc:
            return Reading.failed(Failure.BAD_ANSWER, str(exc))
        except OSError as exc:
            return reading_of_stream_error(exc)
        finally:
            stream.close()

    async def hold(self) -> Reading | None:
        """Logged in, so that the server takes us for a client, and lists who we are."""
        if not self.keeps_connection:
            return None
        try:
            login = self._login()
            stream = await self._open()
        except (SecretError, OSError):
            return None  # the attempts tell what is wrong
        try:
            await stream.send(login + command("CLIENT", "SETNAME", "bcm-failover"))
            replies = await read_replies(stream, 2 if login else 1)
            if login and isinstance(replies[0], RedisError):
                return None
            return await held_stream_until_end(stream)
        except (NoRedisError, OSError):
            return None
        finally:
            stream.close()

    async def _open(self) -> Stream:
        options = self._options
        return await open_stream(await self._addresses.get(), self._tls, options.server_name or options.host)

    def _login(self) -> bytes:
        """Raises SecretError."""
        options = self._options
        if options.password is None:
            return b""
        password = self.ports.secrets.get(options.password)
        return command("AUTH", options.user, password) if options.user else command("AUTH", password)

    async def _converse(self, stream: Stream, login: bytes) -> Reading:
        questions = command("PING") + b"".join(command("INFO", section) for section in _SECTIONS)
        questions += command(*_SENTINELS)
        if self._options.write_key:
            questions += command("GET", self._options.write_key)
        await stream.send(login + questions)
        note("asked: %sPING, INFO", "AUTH, " if login else "")
        if login:
            answer = await read_reply(stream)
            if isinstance(answer, RedisError):
                note("login refused: %s", answer)
                return reading_of(answer, at_login=True)
        pong = await read_reply(stream)
        channels: Reply = None
        number = 0
        try:
            sections = await read_replies(stream, len(_SECTIONS))
            channels = await read_reply(stream)
            if self._options.write_key:
                number = number_in(await read_reply(stream)) or 0
        except OSError:
            if not isinstance(pong, RedisError):
                raise
            sections = []  # it says why, and hangs up: no room for another client, protected mode
        info = parse_info(*(section for section in sections if isinstance(section, str)))
        facts = {**managed_by(channels), **facts_of(info)}
        note("answered: %s, %s", pong, facts)
        if isinstance(pong, RedisError):
            return _with(reading_of(pong), facts)
        if pong != "PONG":
            return Reading.failed(Failure.BAD_ANSWER, f"answered {str(pong)[:40]!r} to PING", **facts)
        role = facts.get("role", "unknown")
        if self._options.role not in ("any", role):
            return Reading.failed(Failure.BAD_ANSWER, f"role {role}, expected {self._options.role}", **facts)
        if self._options.write_key:
            refused = await self._write(stream, number + 1)
            if refused is not None:
                return _with(refused, facts)
            facts["canary_n"] = number + 1
        return Reading.ok(f"role {role}", **facts)

    async def _write(self, stream: Stream, number: int) -> Reading | None:
        """None if the key was written and is there: with a number, so that a loss can be counted."""
        options = self._options
        key, value = options.write_key, canary_text(self.target, number)
        await stream.send(command("SET", key, value, "EX", str(options.write_ttl_s)) + command("GET", key))
        written, found = await read_replies(stream, 2)
        note("wrote %s: %s; read back: %s", key, written, found)
        for reply in (written, found):
            if isinstance(reply, RedisError):
                return reading_of(reply)
        return (
            None if _is_there(found) else Reading.failed(Failure.BAD_ANSWER, f"{key} was written and is gone")
        )


def canary_text(target: str, number: int) -> str:
    """What is kept under a `write_key`."""
    return f"bcm-failover {target} {number}"


def number_in(found: object) -> int | None:
    """The number in what was found under a `write_key`; None where it is not ours, or too old to have one."""
    words = found.split() if isinstance(found, str) else []
    last = words[-1] if len(words) == 3 and words[0] == "bcm-failover" else ""
    return int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None


def _is_there(found: Reply) -> bool:
    return number_in(found) is not None


def _with(reading: Reading, facts: dict[str, Any]) -> Reading:
    return reading.adding(facts)
